"""The fixture in each scenario of the catalogue: it sees what a client does, and starts anew.

These tests are also run many times over in random order (``test_random_order.py``).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from comfyrec.testing.handle import ComfyUI
from fake_server.scenarios import catalogue

pytestmark = pytest.mark.long

NAMES = [scenario.name for scenario in catalogue()]
# It refuses everybody until it has started.
ANSWERING = [name for name in NAMES if name != "slow-start"]
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: c3RyYXRlZ2llcy1oZWFyIQ==\r\n"
)


@contextmanager
def asked(server: ComfyUI, target: str, more: str = "") -> Iterator[socket.socket]:
    """A connection on which a request was made."""
    address = urlsplit(server.url)
    with socket.create_connection((server.host, server.port), timeout=5) as plain:
        line = plain if address.scheme == "http" else trusting().wrap_socket(plain)
        with line:
            head = f"GET {address.path}{target} HTTP/1.1\r\nHost: {address.netloc}\r\n{more}\r\n"
            line.sendall(head.encode())
            yield line


def trusting() -> ssl.SSLContext:
    """Takes any certificate: there is nothing to be protected."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.mark.parametrize("comfyui_scenario", ANSWERING, indirect=True)
def test_a_request_is_seen(comfyui: ComfyUI) -> None:
    assert comfyui.requests == []

    with asked(comfyui, "/system_stats?a=1", "X-Mine: 7\r\n"):
        seen = comfyui.wait_for_request("GET", "/system_stats")

    assert seen.query == {"a": ["1"]}
    assert ("X-Mine", "7") in seen.headers


@pytest.mark.parametrize("comfyui_scenario", ANSWERING, indirect=True)
def test_a_socket_is_seen(comfyui: ComfyUI) -> None:
    with asked(comfyui, "/ws?clientId=me", UPGRADE):
        comfyui.wait_until(lambda: comfyui.sockets, "a socket")

    assert [one.client_id for one in comfyui.sockets] == ["me"]


@pytest.mark.parametrize("comfyui_scenario", ANSWERING, indirect=True)
def test_a_restart_keeps_address_and_scenario(comfyui: ComfyUI) -> None:
    before = comfyui.url, comfyui.settings

    comfyui.restart()
    with asked(comfyui, "/queue"):
        comfyui.wait_for_request("GET", "/queue")

    assert (comfyui.url, comfyui.settings) == before
