"""What all connections of one relay share."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, Protocol

from comfyrec.proxy.recorder import Recorder, is_frontend_file
from comfyrec.proxy.upstream import Upstream
from comfyrec.wire.tap import Tap

__all__ = ["READ_BYTES", "Connections", "Ends"]

READ_BYTES: Final = 1 << 20
"""At most at once, four times what asyncio reads; a body of many megabytes costs a third less."""
SENTENCES_MAX: Final = 50
"""Different sentences that one run says about connections."""


class Ends(Protocol):
    """A connection, as far as its relay ends it."""

    def stop(self) -> None:
        """End it now; what was seen of it is recorded."""
        ...


class Connections:
    """What all connections of one relay share: where they lead, who writes them down, how many.

    Args:
        upstream: the only server that is ever connected to.
        recorder: gets a copy of everything.
        context: how to check the upstream's certificate; needed for ``https``.
        rewrite: what to do with request heads on their way; see ``Upstream.rewriter``.
        include_static: record static files of the web frontend too.
        any_upgrade: pass on requests to switch to other protocols than WebSocket.
        say: shows a person one sentence.
    """

    def __init__(
        self,
        upstream: Upstream,
        recorder: Recorder,
        *,
        say: Callable[[str], None],
        context: ssl.SSLContext | None = None,
        rewrite: Callable[[bytes], bytes] | None = None,
        include_static: bool = False,
        any_upgrade: bool = False,
    ) -> None:
        self.upstream, self.recorder = upstream, recorder
        self.context = context if upstream.tls else None
        self._rewrite, self._any_upgrade = rewrite, any_upgrade
        self._include_static = include_static
        self._say, self._said = say, set[str]()
        self.links: set[Ends] = set()
        self.dialled: set[object] = set()
        """Our ends of the connections to the upstream. Who comes from one of them is ourselves."""
        self.room = memoryview(bytearray(READ_BYTES))
        """Where each read of any connection goes; it is copied out before the next."""
        self.idle = asyncio.Event()
        """Set while no connection is open."""
        self.idle.set()
        self.answered = asyncio.Event()
        """Set once the upstream has said something to a client."""
        self.accepted = 0
        """Connections accepted so far."""
        self.relayed = 0
        """Bytes passed on so far, both ways."""
        self.left_out = 0
        """Exchanges that were not recorded: static files of the web frontend."""

    def opened(self, link: Ends) -> None:
        """A connection was accepted."""
        self.links.add(link)
        self.accepted += 1
        self.idle.clear()

    def ended(self, link: Ends, *, left_out: int) -> None:
        """The client of a connection is gone."""
        self.left_out += left_out
        self.links.discard(link)
        if not self.links:
            self.idle.set()

    def new_tap(self) -> Tap:
        """Eyes for one connection."""
        if self._include_static:
            return Tap(rewrite=self._rewrite, any_upgrade=self._any_upgrade)
        return Tap(
            unwanted=is_frontend_file,
            rewrite=self._rewrite,
            any_upgrade=self._any_upgrade,
        )

    def say(self, sentence: str) -> None:
        """Tell a person, once per sentence."""
        if sentence not in self._said and len(self._said) < SENTENCES_MAX:
            self._said.add(sentence)
            self._say(sentence)
