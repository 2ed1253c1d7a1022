"""No traffic leaves this machine while a test runs: every other address is refused by name.

Connections are stopped where Python makes them, at ``socket.connect`` and at name look-ups, so
that requests, aiohttp, httpx, websockets and urllib are all stopped alike, in any thread.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Collection, Iterator
from typing import Any

__all__ = ["NetworkBlocked", "blocked_network"]


class NetworkBlocked(ConnectionError):
    """A test tried to reach an address that it was not allowed to."""

    def __init__(self, host: object, port: object) -> None:
        super().__init__(host, port)
        self.host, self.port = host, port

    def __str__(self) -> str:
        return (
            f"this test may not reach {self.host}:{self.port}; point the client at the comfyui "
            f"fixture's url, or lift the block (comfyui_block_network, --comfyui-block-network)"
        )


def _is_local(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def blocked_network(allowed: Collection[str] = ()) -> Iterator[None]:
    """Refuse every connection that is neither to loopback nor to a host in ``allowed``.

    Raises:
        NetworkBlocked: in the code that tries to connect or to look a name up.
    """
    connect, connect_ex, look_up = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )
    resolved: set[str] = set()

    def check(address: Any) -> None:
        if not isinstance(address, tuple):
            return
        host, port = address[0], address[1]
        if not (_is_local(host) or host in allowed or host in resolved):
            raise NetworkBlocked(host, port)

    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: socket.socket, address: Any) -> Any:
            check(address)
            return original(self, address)

        return call

    def guarded_look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if not (_is_local(host) or host in allowed):
            raise NetworkBlocked(host, port)
        found = look_up(host, port, *args, **kwargs)
        resolved.update(str(entry[4][0]) for entry in found)
        return found

    with (
        _patched(socket.socket, "connect", guarded(connect)),
        _patched(socket.socket, "connect_ex", guarded(connect_ex)),
        _patched(socket, "getaddrinfo", guarded_look_up),
    ):
        yield


@contextlib.contextmanager
def _patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute for a while; what stood there before is put back, or uncovered again."""
    own = vars(owner).get(name, None)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)
