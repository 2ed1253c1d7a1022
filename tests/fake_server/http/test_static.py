"""Our answer for a file against aiohttp's own FileResponse, for every condition and range."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from comfyrec.http.dates import http_date
from fake_server.http.static import file_answer
from fake_server.source import Request
from fake_server.storage.memory import StoredFile

DATA = bytes(range(100))
MODIFIED_US = 1_700_000_000_500_000
TAG = f'"{MODIFIED_US * 1_000:x}-{len(DATA):x}"'
BEFORE, SAME, AFTER = (http_date(MODIFIED_US // 1_000_000 + shift) for shift in (-9, 1, 9))

CONDITIONS = [
    {},
    {"If-None-Match": TAG},
    {"If-None-Match": f"W/{TAG}"},
    {"If-None-Match": '"other"'},
    {"If-None-Match": f'"other", {TAG}'},
    {"If-None-Match": "*"},
    {"If-Match": TAG},
    {"If-Match": f"W/{TAG}"},
    {"If-Match": '"other"'},
    {"If-Match": "*"},
    {"If-Modified-Since": BEFORE},
    {"If-Modified-Since": SAME},
    {"If-Modified-Since": AFTER},
    {"If-Modified-Since": "yesterday"},
    {"If-Unmodified-Since": BEFORE},
    {"If-Unmodified-Since": AFTER},
    {"If-None-Match": '"other"', "If-Modified-Since": AFTER},
    {"If-Match": TAG, "If-Unmodified-Since": BEFORE},
]
RANGES = [
    {},
    {"Range": "bytes=0-9"},
    {"Range": ""},
    {"Range": "bytes=90-"},
    {"Range": "bytes=-10"},
    {"Range": "bytes=-1000"},
    {"Range": "bytes=-0"},
    {"Range": "bytes=50-1000"},
    {"Range": "bytes=99-99"},
    {"Range": "bytes=100-"},
    {"Range": "bytes=9-3"},
    {"Range": "bytes=-"},
    {"Range": "bytes=0-1,5-6"},
    {"Range": "items=0-1"},
    {"Range": "nonsense"},
    {"Range": "BYTES=1-2"},
    {"Range": "bytes=0-9", "If-Range": TAG},
    {"Range": "bytes=0-9", "If-Range": '"other"'},
    {"Range": "bytes=0-9", "If-Range": BEFORE},
    {"Range": "bytes=0-9", "If-Range": AFTER},
]
KEPT = ("Content-Type", "Etag", "Last-Modified", "Content-Length", "Accept-Ranges", "Content-Range")
EVERY = [
    (method, {**condition, **part})
    for method, condition, part in itertools.product(("GET", "HEAD"), CONDITIONS, RANGES)
]


async def _asked_of_aiohttp(path: Path) -> list[tuple[int, dict[str, str], bytes]]:
    async def handler(request: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers={"Content-Type": "image/png"})

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    found = []
    async with aiohttp.ClientSession() as session:
        for method, headers in EVERY:
            async with session.request(method, url, headers=headers) as answer:
                found.append((answer.status, dict(answer.headers), await answer.read()))
    await runner.cleanup()
    return found


@pytest.fixture(scope="module")
def aiohttps(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, dict[str, str], bytes]]:
    path = tmp_path_factory.mktemp("files") / "picture.png"
    path.write_bytes(DATA)
    os.utime(path, ns=(MODIFIED_US * 1_000, MODIFIED_US * 1_000))
    return asyncio.run(_asked_of_aiohttp(path))


def _kept(headers: dict[str, str]) -> dict[str, str]:
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: lower[name.lower()] for name in KEPT if name.lower() in lower}


@pytest.mark.slow
def test_a_file_is_served_as_aiohttp_does(
    aiohttps: list[tuple[int, dict[str, str], bytes]],
) -> None:
    file = StoredFile(DATA, MODIFIED_US)

    different = []
    for (method, headers), (status, theirs, body) in zip(EVERY, aiohttps, strict=True):
        ask = Request(method, "/", headers=tuple(headers.items()))
        ours = file_answer(ask, file, 0, [("Content-Type", "image/png")])
        ours_body = b"" if method == "HEAD" else ours.body
        got = (ours.status, _kept(dict(ours.headers)), ours_body)
        if got != (status, _kept(theirs), body):
            different.append((method, headers, got, (status, _kept(theirs), body)))

    assert not different
