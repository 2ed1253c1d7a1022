"""Parts of the fixtures that need no pytest around them: differences, the network block."""

from __future__ import annotations

import asyncio
import http.client
import socket
from typing import Any

import pytest

from comfyrec.testing.assertions import difference
from comfyrec.testing.network import NetworkBlocked, blocked_network
from comfyrec.testing.settings import address_variables
from fake_server.testing import running

GRAPH = {"1": {"class_type": "A", "inputs": {"seed": 1, "link": ["2", 0]}}}


@pytest.mark.parametrize(
    ("expected", "actual", "lines"),
    [
        (GRAPH, GRAPH, []),
        ({"a": 1}, {"a": 2}, ["a: 2, expected 1"]),
        ({"a": 1}, {"a": 1.0}, ["a: 1.0, expected 1"]),
        ({"a": {"b": 1}}, {"a": {}}, ["a/b: missing, expected 1"]),
        ({}, {"a": 1}, ["a: 1, expected nothing"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a: [2, 1], expected [1, 2]"]),
    ],
)
def test_where_graphs_differ_is_said(expected: Any, actual: Any, lines: list[str]) -> None:
    assert list(difference(expected, actual)) == lines


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


def test_asyncio_is_blocked_as_well() -> None:
    async def connect() -> None:
        await asyncio.open_connection("192.0.2.1", 80)

    with blocked_network(), pytest.raises(NetworkBlocked):
        asyncio.run(connect())


def test_an_allowed_host_is_not_refused_by_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    # Nothing leaves this machine: what the block would let through ends here.
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: tried.append(address))

    with blocked_network(["192.0.2.1"]), socket.socket() as sock:
        sock.connect(("192.0.2.1", 9))

    assert tried == [("192.0.2.1", 9)]


def test_the_block_is_lifted_behind_it() -> None:
    before = socket.socket.connect, socket.getaddrinfo
    with blocked_network():
        pass

    assert (socket.socket.connect, socket.getaddrinfo) == before


def test_variables_name_the_address() -> None:
    variables = address_variables("http://127.0.0.1:8188")

    assert variables["COMFYUI_URL"] == "http://127.0.0.1:8188"
    assert (variables["COMFYUI_HOST"], variables["COMFYUI_PORT"]) == ("127.0.0.1", "8188")
