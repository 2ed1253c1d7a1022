"""One look at the upstream, behind the first client."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from comfyrec.proxy.probe import Probe, clients_go_first, probe
from comfyrec.proxy.upstream import parse_upstream

STATS = (
    b'{"system": {"comfyui_version": "0.33.0", "argv": ["main.py", "--cpu", "--port", "1", '
    b'"--token=x"]}, "devices": [{"type": "cpu"}]}'
)


def answering(
    answer: bytes, heard: Callable[[bytes], None] = lambda head: None, below_api: bytes = b""
) -> Probe:
    """What is found at a server that gives this answer to anything, or another below /api."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heard(head)
        writer.write(below_api if b"/api/" in head and below_api else answer)
        writer.close()

    async def look() -> Probe:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            upstream = parse_upstream(f"http://127.0.0.1:{port}/sub")
            return await probe(upstream, context=None, rewrite=upstream.rewriter())

    return asyncio.run(look())


def test_a_comfyui_says_which_one_it_is() -> None:
    found = answering(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + STATS)

    assert found == Probe(
        about={
            "comfyui_version": "0.33.0",
            "devices": ["cpu"],
            "flags": ["--cpu", "--port", "--token"],
        }
    )


def test_it_asks_as_every_client_will() -> None:
    heads: list[bytes] = []

    answering(b"HTTP/1.1 200 OK\r\n\r\n" + STATS, heads.append)

    assert heads[0].startswith(b"GET /sub/system_stats HTTP/1.1\r\nHost: 127.0.0.1")


def test_a_server_that_has_all_below_api_is_asked_there() -> None:
    heads: list[bytes] = []
    found = answering(
        b"HTTP/1.1 404 Not Found\r\n\r\n", heads.append, b"HTTP/1.1 200 OK\r\n\r\n" + STATS
    )

    assert found.about["comfyui_version"] == "0.33.0"
    assert found.sentence == ""
    assert [head.split()[1] for head in heads] == [b"/sub/system_stats", b"/sub/api/system_stats"]


ODD = {
    "a web page": (b"HTTP/1.1 200 OK\r\n\r\n<html>{}</html>", "not as ComfyUI does"),
    "another server": (b"HTTP/1.1 404 Not Found\r\n\r\n", "status 404 and not as ComfyUI"),
    "HTTP/2": (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "it answers in HTTP/2"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x46", "it speaks TLS; say https://"),
    "no HTTP": (b"SSH-2.0-x\r\n", "it does not answer as an HTTP server"),
    "nothing": (b"", "it does not answer as an HTTP server"),
}


@pytest.mark.parametrize("answer, words", ODD.values(), ids=ODD)
def test_what_is_odd_is_said_at_once_and_the_recording_goes_on(answer: bytes, words: str) -> None:
    found = answering(answer)

    assert words in found.sentence
    assert found.sentence.endswith("(recording goes on)")
    assert found.about == {}


def test_a_server_that_is_not_up_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    upstream = parse_upstream(f"http://127.0.0.1:{port}")

    found = asyncio.run(probe(upstream, context=None, rewrite=None))

    assert found.sentence == (
        f"--upstream {upstream.url}: it refuses the connection; is the server up? "
        "(recording goes on)"
    )


def test_it_does_not_wait_for_the_end_of_what_is_not_a_200() -> None:
    """A server that answers anything with 101, and says nothing more."""

    async def look() -> Probe:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            await reader.read()  # of the head, and then until the other side ends
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            upstream = parse_upstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            return await probe(upstream, context=None, rewrite=None)

    assert "status 101 and not as ComfyUI does" in asyncio.run(look()).sentence


def test_clients_go_first_until_one_is_answered() -> None:
    async def looks_after_the_answer() -> list[str]:
        answered, done = asyncio.Event(), list[str]()

        async def look() -> None:
            await clients_go_first(answered, lambda: 1, quiet_s=60)
            done.append("look")

        looking = asyncio.create_task(look())
        await asyncio.sleep(0)
        done.append("answer")
        answered.set()
        await looking
        return done

    assert asyncio.run(looks_after_the_answer()) == ["answer", "look"]


def test_clients_go_first_while_new_ones_come() -> None:
    counts = iter([0, 1, 1, 2, 2, 2])

    asyncio.run(clients_go_first(asyncio.Event(), lambda: next(counts), quiet_s=0))

    assert list(counts) == []


def test_a_server_of_comfy_api_v2_is_nothing_odd() -> None:
    body = b'{"error": {"code": "not_found", "message": "there is no job of that id"}}'
    found = answering(
        b"HTTP/1.1 404 Not Found\r\n\r\nnothing",
        below_api=b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n" + body,
    )

    assert found == Probe(about={"surface": "v2"})
