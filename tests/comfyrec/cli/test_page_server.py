"""The page of a recording that grows: served on this machine only, with news as they come."""

from __future__ import annotations

import asyncio
import json
import signal
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from comfyrec.cassette.files import create_cassette, is_being_written, write_cassette
from comfyrec.cli import main
from comfyrec.cli._growth import growth_of
from comfyrec.cli._page_server import Served, served_page
from comfyrec.proxy.relay import listen
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.settings import PluginSettings
from tests.support.timeline_samples import run, session

Look = Callable[[aiohttp.ClientSession, Served], Awaitable[Any]]


def looked_at(path: Path, look: Look) -> Any:
    async def play() -> Any:
        with listen("127.0.0.1", 0) as listener:
            async with (
                served_page(str(path), listener, say=print) as page,
                aiohttp.ClientSession() as http,
            ):
                return await look(http, page)

    return asyncio.run(play())


def head_of(body: bytes) -> dict[str, Any]:
    (size,) = struct.unpack_from("<I", body)
    head: dict[str, Any] = json.loads(body[4 : 4 + size])
    return head


async def rows(http: aiohttp.ClientSession, page: Served, **query: str) -> dict[str, Any]:
    async with http.get(f"{page.url}rows", params=query) as answer:
        assert answer.status == 200
        return head_of(await answer.read())


def test_news_reach_a_page_that_waits_for_them(tmp_path: Path) -> None:
    path, records = tmp_path / "x.crec", run(session()).records
    writer = create_cassette(path, clock_us=lambda: records[0].t)

    async def look(http: aiohttp.ClientSession, page: Served) -> list[dict[str, Any]]:
        first = await rows(http, page)
        waiting = asyncio.create_task(
            rows(http, page, wait_s="20", rows=str(first["rows"]), instance=first["instance"])
        )
        for record in records[1:]:
            writer.add(record)
        writer.flush()
        news = await waiting
        writer.close()
        await asyncio.wait_for(page.over.wait(), 20)
        return [first, news, await rows(http, page)]

    first, news, last = looked_at(path, look)

    assert first["rows"] == 0 and not first["over"]
    assert news["rows"] > 0
    assert [prompt["outcome"] for prompt in last["prompts"]] == ["success"]
    assert last["over"] is True


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example:80", "Origin": "http://evil.example:80"},
    ],
    ids=["another host", "another origin", "another site", "a name that leads here"],
)
def test_pages_of_others_get_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    path = tmp_path / "x.jsonl"
    write_cassette(path, run(session()).end())

    async def look(http: aiohttp.ClientSession, page: Served) -> list[int]:
        found = []
        for part in ("", "rows", "block?n=0"):
            async with http.get(page.url + part, headers=headers) as answer:
                found.append(answer.status)
        async with http.get(page.url) as answer:
            found.append(answer.status)
        return found

    assert looked_at(path, look) == [403, 403, 403, 200]


def test_paths_lead_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    write_cassette(path, run(session()).end())

    async def look(http: aiohttp.ClientSession, page: Served) -> set[int]:
        found = set()
        for part in ("../x.jsonl", "%2e%2e/x.jsonl", "etc/passwd", "block?n=../1", "picture"):
            async with http.get(page.url + part) as answer:
                found.add(answer.status)
        return found

    assert looked_at(path, look) == {404}


def test_growth_is_told_when_a_file_grows_or_is_replaced(tmp_path: Path) -> None:
    path, other = tmp_path / "x", tmp_path / "y"
    path.write_bytes(b"1")
    other.write_bytes(b"123")
    with growth_of(path) as growth:
        assert not growth.wait(0)
        with path.open("ab") as file:
            file.write(b"2")
        assert growth.wait(10)
        other.replace(path)
        assert growth.wait(10)
        assert not growth.wait(0)


def test_growth_is_told_to_one_who_waits(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"1")
    with growth_of(path) as growth:
        told: list[bool] = []
        waiting = threading.Thread(target=lambda: told.append(growth.wait(20)))
        waiting.start()
        path.write_bytes(b"12")
        waiting.join(20)
        assert told == [True]


def test_whether_a_recorder_has_a_file_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "x.crec"
    writer = create_cassette(path, clock_us=lambda: 1)
    assert is_being_written(str(path))
    writer.close()
    assert not is_being_written(str(path))
    assert not is_being_written(str(tmp_path / "none"))


def test_a_file_and_an_address_do_not_go_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["view", "all-cached", "--serve", "-o", str(tmp_path / "x.html")]) == 2
    assert "--serve writes no file" in capsys.readouterr().err
    assert main(["view", "all-cached", "--serve", "nowhere"]) == 2
    assert "--serve 'nowhere' is not an address" in capsys.readouterr().err


@pytest.mark.long
def test_a_page_beside_a_recorder_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "x.crec"
    write_cassette(path, run(session()).end())
    command = [sys.executable, "-m", "comfyrec", "view", str(path), "--serve"]
    page = subprocess.Popen(
        [*command, "--exit-on-stdin-close"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert page.stdout is not None and page.stdin is not None
    assert page.stdout.readline().startswith(f"Showing {path} at http://127.0.0.1:")

    page.stdin.close()

    assert page.wait(30) == 0
    page.stdout.close()


@pytest.mark.long
def test_a_recorder_has_its_page_beside_it(tmp_path: Path) -> None:
    with closing(ComfyUI(PluginSettings())) as server:
        command = [sys.executable, "-m", "comfyrec", "record", "--upstream", server.url]
        recorder = subprocess.Popen(
            [*command, "-o", str(tmp_path / "x.crec"), "--listen", "127.0.0.1:0", "--view"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert recorder.stdout is not None and recorder.stderr is not None
        assert recorder.stdout.readline().startswith("Recording ")
        url = recorder.stderr.readline().split()[-1]
        with urllib.request.urlopen(url) as answer:
            page = answer.read()

        recorder.send_signal(signal.SIGINT)
        recorder.communicate(timeout=30)

    assert b'id="live"' in page
    assert recorder.returncode == 0
    with pytest.raises(OSError):
        urllib.request.urlopen(url)
