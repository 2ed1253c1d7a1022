"""Plain requests are read as aiohttp would read them, and never when it would not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fake_server.server.fast_path.parse import BODY_MAX, parse_head
from tests.support.lanes import examples
from tests.support.plain_heads import HEADS

EXAMPLES = examples(400, 20_000)
ODD = [
    b"Upgrade: websocket", b"Connection: Upgrade", b"Transfer-Encoding: chunked",
    b"Expect: 100-continue", b"Content-Length: 3", b"Content-Length: +1", b"Content-Length: 01",
    b"Content-Encoding: gzip", b" folded", b"Sec-WebSocket-Key1: x", b"No colon", b": no name",
    b"Space : before", b"Empty:", b"Tab:\tvalue", b"Bare: \rreturn", b"High: \xff", b"Nul: \x00",
    b"Host: a b", b"Host: second", b"Keep-Alive: timeout=5", b"Proxy-Connection: close",
    b"Trailing: space ", b"Connection: close, keep-alive", b"TE: trailers",
]  # fmt: skip


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def by_aiohttp(data: bytes, loop: asyncio.AbstractEventLoop) -> Any:
    """What aiohttp reads: the message and its body, or the exception."""
    parser = HttpRequestParser(
        BaseProtocol(loop), loop, 65_536, max_line_size=8_190, max_field_size=8_190
    )
    try:
        messages, upgraded, tail = parser.feed_data(data)
    except HttpProcessingError as error:
        return error
    if len(messages) != 1 or upgraded or tail:
        return messages, upgraded, tail
    message, payload = messages[0]
    body = b"".join(getattr(payload, "_buffer", ()))
    return message, body, payload.is_eof()


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A head as clients send it, with some of it changed, and enough bytes for a body."""
    head = bytearray(draw(st.sampled_from(HEADS)))
    for _ in range(draw(st.integers(0, 3))):
        lines = head.split(b"\r\n")
        line = draw(
            st.sampled_from(ODD) | st.sampled_from(HEADS).map(lambda h: h.split(b"\r\n")[1])
        )
        lines.insert(draw(st.integers(1, max(1, len(lines) - 2))), bytearray(line))
        head = bytearray(b"\r\n".join(lines))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(head) - 1))
        wild = draw(st.sampled_from(b' \t\r\n:/?#%&="<>\\^`{|}[]\x00\x7f\xff0azAZ_.-'))
        if draw(st.booleans()):
            head[at] = wild
        else:
            head.insert(at, wild)
    return bytes(head)


@pytest.mark.slow
@settings(max_examples=EXAMPLES)
@given(data=requests(), body=st.binary(max_size=12))
@example(data=HEADS[2], body=b"{}")
@example(data=b"GET //x HTTP/1.1\r\nHost: x\r\n\r\n", body=b"")
def test_what_is_taken_for_plain_reads_as_aiohttp_reads_it(
    data: bytes, body: bytes, loop: asyncio.AbstractEventLoop
) -> None:
    plain = parse_head(data + body)
    if plain is None:
        return
    body = (body + bytes(plain.size))[: plain.size - plain.body]

    read = by_aiohttp(data[: plain.body] + body, loop)

    assert isinstance(read, tuple) and len(read) == 3, read
    message, got, whole = read
    assert (message.method, message.path, message.version) == (plain.method, plain.target, (1, 1))
    fields = tuple((name.decode(), value.decode()) for name, value in message.raw_headers)
    assert fields == plain.fields
    assert message.should_close is not plain.stays
    assert not (message.upgrade or message.chunked or message.compression)
    assert (got, whole) == (body, True)


@pytest.mark.parametrize("head", HEADS)
def test_what_clients_send_is_plain(head: bytes) -> None:
    plain = parse_head(head)

    assert plain is not None
    assert plain.body == len(head)


@pytest.mark.parametrize("line", ODD)
def test_a_field_that_changes_how_a_request_is_read_is_not_plain(line: bytes) -> None:
    start, host, rest = HEADS[2].split(b"\r\n", 2)

    assert parse_head(b"\r\n".join((start, host, line, rest))) is None


@pytest.mark.parametrize("size", [BODY_MAX, BODY_MAX + 1])
def test_a_body_that_is_waited_for_has_an_end(size: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size

    assert (parse_head(head) is not None) is (size <= BODY_MAX)


def test_a_long_head_is_not_plain() -> None:
    assert parse_head(b"GET / HTTP/1.1\r\nHost: x\r\nA: %b\r\n\r\n" % (b"a" * 5_000)) is None


@pytest.mark.parametrize("count, plain", [(128, True), (129, False)])
def test_more_fields_than_aiohttp_takes_are_not_plain(count: int, plain: bool) -> None:
    more = b"".join(b"A%d: b\r\n" % number for number in range(count - 1))

    assert (parse_head(b"GET / HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n") is not None) is plain
