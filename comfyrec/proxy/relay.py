"""The recording relay: listens, and relays every connection to the one upstream.

What happens on a connection is in ``link``.
"""

from __future__ import annotations

import asyncio
import re
import socket
from functools import partial
from typing import Final

from comfyrec.errors import ProxyError, UsageError
from comfyrec.proxy.connections import Connections
from comfyrec.proxy.link import ProxyLink, reason
from comfyrec.proxy.link_halves import ClientHalf

__all__ = ["Relay", "listen", "listen_address"]

BACKLOG: Final = 1024


class Relay(Connections):
    """Listens, and relays every connection to the upstream of ``Connections``."""

    _server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listen and relay; port 0 picks a free one. Returns the address.

        Raises:
            ProxyError: the address cannot be listened on.
        """
        return await self.serve(listen(host, port))

    async def serve(self, listener: socket.socket) -> tuple[str, int]:
        """Relay what comes to a socket that listens already. Returns its address."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ClientHalf(partial(ProxyLink, self), self.room), sock=listener, backlog=BACKLOG
        )
        address = listener.getsockname()
        return str(address[0]), int(address[1])

    async def stop(self) -> None:
        """Stop listening and end what is open; everything seen is recorded."""
        if self._server is not None:
            self._server.close()
        for link in list(self.links):
            link.stop()
        # One turn of the loop: the transports tell that they are closed.
        await asyncio.sleep(0)

    async def until_idle(self) -> None:
        """Wait until no connection is open; then their ends are recorded too."""
        await self.idle.wait()


def listen_address(text: str, flag: str = "--listen") -> tuple[str, int]:
    """``HOST:PORT`` of a flag, as in ``127.0.0.1:8189`` or ``[::1]:8189``.

    Raises:
        UsageError: it is not an address.
    """
    matched = re.fullmatch(r"(?:\[([0-9a-fA-F:.%]+)\]|([^:\[\]]+)):([0-9]{1,5})", text, re.ASCII)
    if matched is None or int(matched[3]) > 65535:
        raise UsageError(
            f"{flag} {text!r} is not an address; give HOST:PORT, as in 127.0.0.1:8189 or [::1]:8189"
        )
    return matched[1] or matched[2], int(matched[3])


def listen(host: str, port: int, flag: str = "--listen") -> socket.socket:
    """A socket that listens; nobody is answered before a relay serves it.

    Raises:
        ProxyError: the address cannot be listened on.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # "localhost" has two addresses; clients of ComfyUI are used to 127.0.0.1.
        family, _, _, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except (OSError, OverflowError, UnicodeError) as why:
        raise ProxyError(
            f"{flag} {host}:{port}: {reason(why)}; choose another address, or port 0 for a free one"
        ) from None
