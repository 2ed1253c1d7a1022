"""What aiohttp has read of a request: bodies whole, chunked, or cut at the limit."""

from __future__ import annotations

from tests.support.scripted_source import Plain, Start


def test_a_chunked_body_and_one_that_waits_for_100_are_read(start: Start) -> None:
    _, handle = start()

    with Plain(handle.port) as client:
        chunked = client.ask(
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"2\r\nab\r\n0\r\n\r\n",
        )
        client.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        interim = client.until(b"\r\n\r\n")
        client.send(b"cd")
        expected = client.answer()

    assert chunked[2] == b"ab"
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert expected[2] == b"cd"


def test_no_more_of_a_body_is_kept_than_the_limit_and_one_byte(start: Start) -> None:
    source, handle = start(body_limit=10)

    with Plain(handle.port) as client:
        status, _, _ = client.ask(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n", b"x" * 50
        )

    assert status == 200
    assert source.happened[0].request.body == b"x" * 11
