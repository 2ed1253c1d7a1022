"""The network block: what it refuses, and that it is lifted."""

from __future__ import annotations

import asyncio
import http.client
import socket
import urllib.request
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

from comfyrec.testing.network import NetworkBlocked, blocked_network
from fake_server.testing import running


def test_only_this_machine_can_be_reached() -> None:
    with running() as url, blocked_network():
        host = url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=5)
        connection.request("GET", "/queue")
        assert connection.getresponse().status == 200
        connection.close()
        with pytest.raises(NetworkBlocked, match=r"192\.0\.2\.1:80"):
            http.client.HTTPConnection("192.0.2.1", timeout=1).request("GET", "/")
        with pytest.raises(NetworkBlocked, match=r"comfy\.example"):
            socket.create_connection(("comfy.example", 443), timeout=1)


async def _over_asyncio() -> None:
    await asyncio.open_connection("192.0.2.1", 80)


async def _over_aiohttp() -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect("ws://192.0.2.1/ws"):
        raise AssertionError("it got through")


async def _over_websockets() -> None:
    async with connect_async("ws://comfy.example/ws"):
        raise AssertionError("it got through")


def _datagram(*way: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        getattr(sock, way[0])(*way[1:])


WAYS_OUT: dict[str, Callable[[], Any]] = {
    "urllib": lambda: urllib.request.urlopen("http://192.0.2.1/", timeout=1),
    "websockets.sync": lambda: connect("ws://192.0.2.1/ws"),
    "websockets.asyncio": lambda: asyncio.run(_over_websockets()),
    "websockets of aiohttp": lambda: asyncio.run(_over_aiohttp()),
    "streams of asyncio": lambda: asyncio.run(_over_asyncio()),
    "a name of an IPv6 address": lambda: socket.create_connection(("2001:db8::1", 80), timeout=1),
    "a look-up": lambda: socket.gethostbyname("comfy.example"),
    "a datagram": lambda: _datagram("sendto", b"x", ("192.0.2.1", 53)),
    "a datagram with flags": lambda: _datagram("sendto", b"x", 0, ("192.0.2.1", 53)),
    "a message": lambda: _datagram("sendmsg", [b"x"], [], 0, ("192.0.2.1", 53)),
}


@pytest.mark.parametrize("way_out", WAYS_OUT.values(), ids=WAYS_OUT)
def test_every_way_out_is_blocked(way_out: Callable[[], Any]) -> None:
    with blocked_network(), pytest.raises((NetworkBlocked, OSError), match="this test may not"):
        way_out()


def test_an_allowed_host_is_not_refused_by_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    # Nothing leaves this machine: what the block would let through ends here.
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: tried.append(address))

    with blocked_network(["192.0.2.1"]), socket.socket() as sock:
        sock.connect(("192.0.2.1", 9))

    assert tried == [("192.0.2.1", 9)]


def test_the_block_is_lifted_afterwards() -> None:
    before = socket.socket.connect, socket.getaddrinfo
    with blocked_network():
        pass

    assert (socket.socket.connect, socket.getaddrinfo) == before
