"""Our reading of form bodies against aiohttp's own ``request.post()``."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from comfyrec.http.forms import BadForm, fields_of

MULTIPART = "multipart/form-data; boundary=b"


def part(disposition: str, content: bytes, *more: str) -> bytes:
    """One part of a multipart body."""
    head = "\r\n".join((f"Content-Disposition: {disposition}", *more)).encode()
    return b"--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


FILE = part(
    'form-data; name="image"; filename="a.png"', b"\x89PNG\r\n\x1a\n", "Content-Type: image/png"
)
WORD = part('form-data; name="type"', b"input")
# name -> Content-Type, body
CASES: dict[str, tuple[str | None, bytes]] = {
    "a file and a word": (MULTIPART, FILE + WORD + b"--b--\r\n"),
    "no line break at the end": (MULTIPART, FILE + b"--b--"),
    "text before the first boundary": (MULTIPART, b"preamble\r\n" + WORD + b"--b--\r\n"),
    "text behind the last boundary": (MULTIPART, WORD + b"--b--\r\nepilogue"),
    "the same name twice": (MULTIPART, WORD + WORD + b"--b--\r\n"),
    "an empty file": (MULTIPART, part('form-data; name="image"; filename="e"', b"") + b"--b--\r\n"),
    "an empty name of a file": (
        MULTIPART,
        part('form-data; name="image"; filename=""', b"x", "Content-Type: text/plain")
        + b"--b--\r\n",
    ),
    "a boundary inside a line": (MULTIPART, part('form-data; name="t"', b"x--b--y") + b"--b--\r\n"),
    "line breaks in the content": (
        MULTIPART,
        part('form-data; name="i"; filename="f"', b"\r\n\r\n--x\r\n\n\r") + b"--b--\r\n",
    ),
    "base64": (
        MULTIPART,
        part('form-data; name="i"; filename="f"', b"aGVsbG8=", "Content-Transfer-Encoding: base64")
        + b"--b--\r\n",
    ),
    "quoted printable": (
        MULTIPART,
        part('form-data; name="t"', b"a=3Db", "Content-Transfer-Encoding: quoted-printable")
        + b"--b--\r\n",
    ),
    "a control character in a name": (
        MULTIPART, part('form-data; name="a\x13b"', b"x") + WORD + b"--b--\r\n"
    ),
    "a tab in a name": (MULTIPART, part('form-data; name="a\tb"', b"x") + b"--b--\r\n"),
    "a name beyond ASCII": (
        MULTIPART, part('form-data; name="\xe4\U0001f600"', b"x") + b"--b--\r\n"
    ),
    "a header without a colon": (
        MULTIPART, part('form-data; name="a"', b"x", "odd") + b"--b--\r\n"
    ),
    "a header with a space behind its name": (
        MULTIPART, part('form-data; name="a"', b"x", "X-Odd : 1") + b"--b--\r\n"
    ),
    "an unknown encoding": (
        MULTIPART,
        part('form-data; name="t"', b"x", "Content-Transfer-Encoding: rot13") + b"--b--\r\n",
    ),
    "a name without quotes": (MULTIPART, part("form-data; name=type", b"x") + b"--b--\r\n"),
    "a quoted boundary": ('multipart/form-data; boundary="b"', WORD + b"--b--\r\n"),
    "an escaped quote in a name": (
        MULTIPART, part(r'form-data; name="i"; filename="a\"b.png"', b"x") + b"--b--\r\n",
    ),
    "a slash in front of a name": (
        MULTIPART, part('form-data; name="i"; filename="/etc/x.png"', b"x") + b"--b--\r\n",
    ),
    "dots in a name": (
        MULTIPART, part('form-data; name="i"; filename="../x.png"', b"x") + b"--b--\r\n",
    ),
    "letters beyond ASCII": (
        MULTIPART, part('form-data; name="i"; filename="möwe.png"', "ü".encode()) + b"--b--\r\n",
    ),
    "an extended name": (
        MULTIPART,
        part("form-data; name=\"i\"; filename*=UTF-8''m%C3%B6we.png", b"x") + b"--b--\r\n",
    ),
    "no boundary named": ("multipart/form-data", WORD + b"--b--\r\n"),
    "the boundary never comes": (MULTIPART, b"nothing here"),
    "an empty body": (MULTIPART, b""),
    "the end is missing": (MULTIPART, WORD),
    "cut in a part": (MULTIPART, FILE[:-30]),
    "no name": (MULTIPART, part("form-data", b"x") + b"--b--\r\n"),
    "no disposition": (MULTIPART, b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n"),
    "another disposition": (MULTIPART, part('attachment; name="x"', b"x") + b"--b--\r\n"),
    "urlencoded": ("application/x-www-form-urlencoded", b"a=1&b=%C3%BC&a=2&c="),
    "urlencoded in latin-1": ("application/x-www-form-urlencoded; charset=latin-1", b"a=%FC"),
    "urlencoded in no charset": ("application/x-www-form-urlencoded; charset=none", b"a=1"),
    "urlencoded and empty": ("application/x-www-form-urlencoded", b""),
    "JSON": ("application/json", b'{"image": "x"}'),
    "no type": (None, b"a=1"),
}  # fmt: skip

Read = list[tuple[str, bytes, str | None]] | None


def _shown(value: Any) -> tuple[bytes, str | None]:
    if isinstance(value, web.FileField):
        return value.file.read(), value.filename
    return (value.encode() if isinstance(value, str) else bytes(value)), None


async def _read_by_aiohttp() -> dict[str, Read]:
    async def handler(request: web.Request) -> web.Response:
        name = request.query["case"]
        # Whatever it raises, the client gets a 500.
        try:
            fields = await request.post()
        except Exception:
            found[name] = None
        else:
            found[name] = [(key, *_shown(value)) for key, value in fields.items()]
        return web.Response()

    found: dict[str, Read] = {}
    app = web.Application()
    app.router.add_post("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session:
        for name, (kind, body) in CASES.items():
            headers = {} if kind is None else {"Content-Type": kind}
            async with session.post(url, params={"case": name}, data=body, headers=headers):
                pass
    await runner.cleanup()
    return found


@pytest.fixture(scope="module")
def aiohttps() -> dict[str, Read]:
    return asyncio.run(_read_by_aiohttp())


@pytest.mark.parametrize("name", CASES)
def test_a_form_is_read_as_aiohttp_does(name: str, aiohttps: dict[str, Read]) -> None:
    kind, body = CASES[name]

    try:
        ours: Read = [
            (field.name, field.value, field.filename or None)
            for field in fields_of(kind or "", body)
        ]
    except BadForm:
        ours = None

    assert ours == aiohttps[name]
