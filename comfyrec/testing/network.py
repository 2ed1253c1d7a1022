"""No traffic leaves this machine while a test runs: every other address is refused by name.

Connections and datagrams are stopped where Python makes them, at the methods of ``socket`` and at
name look-ups, so that requests, aiohttp, httpx, websockets, urllib and trio are all stopped alike,
in any thread. What opens sockets in C past Python's ``socket``, as uvloop does, is not seen.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

__all__ = ["NetworkBlocked", "blocked_network"]


class NetworkBlocked(ConnectionError):
    """A test tried to reach an address that it was not allowed to."""

    def __init__(self, host: object, port: object) -> None:
        # As the operating system would refuse it: clients put its strerror into their own errors.
        sentence = (
            f"this test may not reach {host}:{port}; point the client at the comfyui "
            f"fixture's url, or lift the block (comfyui_block_network, --comfyui-block-network)"
        )
        super().__init__(errno.ECONNREFUSED, sentence)
        self.host, self.port = host, port

    def __str__(self) -> str:
        return str(self.strerror)


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
    resolved: set[str] = set()

    def check(address: Any) -> None:
        if not isinstance(address, tuple):
            return  # a path: a socket of this machine
        host, port = address[0], address[1]
        if not (_is_local(host) or host in allowed or host in resolved):
            raise NetworkBlocked(host, port)

    def to_an_address(original: Callable[..., Any], number: int) -> Callable[..., Any]:
        """A method of sockets whose argument of that number, or whose last one, is where to."""

        def call(self: socket.socket, *args: Any) -> Any:
            if number < 0 or number < len(args):
                check(args[number])
            return original(self, *args)

        return call

    def of_a_name(original: Callable[..., Any]) -> Callable[..., Any]:
        """A look-up; what an allowed name has led to may be connected to."""

        def call(host: Any, *args: Any, **kwargs: Any) -> Any:
            if not (_is_local(host) or host in allowed):
                raise NetworkBlocked(host, kwargs.get("port", args[0] if args else None))
            found = original(host, *args, **kwargs)
            resolved.update(_addresses(found))
            return found

        return call

    with contextlib.ExitStack() as stack:
        for name, number in _WHERE_TO.items():
            guarded = to_an_address(getattr(socket.socket, name), number)
            stack.enter_context(_patched(socket.socket, name, guarded))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            stack.enter_context(_patched(socket, name, of_a_name(getattr(socket, name))))
        yield


# Method of sockets -> which argument is the address; -1 the last one, whatever else there is.
_WHERE_TO: Final = {"connect": 0, "connect_ex": 0, "sendto": -1, "sendmsg": 3}


def _addresses(found: Any) -> Iterator[str]:
    """What a look-up gave: a text, (name, aliases, addresses), or rows that end in an address."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, tuple):
        yield from found[2]
    else:
        yield from (str(row[4][0]) for row in found)


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
