"""All play-throughs of a player, and which of them a request is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from fake_server.replay.live.playthrough import Playthrough
from fake_server.replay.live.uploads import viewed_file
from fake_server.replay.recorded.other_ids import numbers_named
from fake_server.replay.recorded.request_key import RequestKey
from fake_server.source import Request

__all__ = ["Playthroughs"]

PLAYTHROUGHS_MAX: Final = 256
"""Play-throughs that are remembered; the oldest that nobody uses any more go first."""
PEERS_MAX: Final = 4_096
"""Connections that are remembered."""


class Playthroughs:
    """The play-throughs, in the order in which they began.

    Args:
        begin: number -> a new play-through.

    Attributes:
        begun: how many there were.
    """

    def __init__(self, begin: Callable[[int], Playthrough]) -> None:
        self._begin = begin
        self.begun = 0
        self._playthroughs: dict[int, Playthrough] = {}
        self._of_client: dict[str, Playthrough] = {}
        self._of_prompt: dict[str, Playthrough] = {}
        self._of_peer: dict[str, Playthrough] = {}

    def numbered(self, number: int) -> Playthrough | None:
        """The play-through of that number, if it is remembered."""
        return self._playthroughs.get(number)

    @property
    def all(self) -> list[Playthrough]:
        """Those that are remembered, in the order in which they began."""
        return list(self._playthroughs.values())

    @property
    def latest(self) -> Playthrough:
        """The one that began last; the first one begins when it is asked for."""
        return next(reversed(self._playthroughs.values())) if self._playthroughs else self.new()

    @property
    def active(self) -> list[Playthrough]:
        """Those in which somebody is connected or waits; the latest if there are none."""
        return [
            playthrough for playthrough in self._playthroughs.values() if playthrough.active
        ] or [self.latest]

    def new(self) -> Playthrough:
        """Begin another one."""
        playthrough = self._playthroughs[self.begun] = self._begin(self.begun)
        self.begun += 1
        if len(self._playthroughs) > PLAYTHROUGHS_MAX:
            self._forget_oldest()
        return playthrough

    def _forget_oldest(self) -> None:
        oldest = next(
            (playthrough for playthrough in self._playthroughs.values() if not playthrough.active),
            None,
        )
        if oldest is None or oldest is self.latest:
            return
        del self._playthroughs[oldest.number]
        for known in (self._of_client, self._of_prompt, self._of_peer):
            for key in [key for key, playthrough in known.items() if playthrough is oldest]:
                del known[key]

    # --- who is who ----------------------------------------------------------------------------

    def of_client(self, client: str | None) -> Playthrough | None:
        """The play-through of a live client."""
        return self._of_client.get(client) if client else None

    def remember(
        self,
        playthrough: Playthrough,
        request: Request,
        *,
        client: str | None = None,
        prompt: str | None = None,
    ) -> None:
        """A client, a prompt and a connection belong to a play-through from now on."""
        if client:
            self._of_client[client] = playthrough
        if prompt:
            self._of_prompt[prompt] = playthrough
        if request.peer:
            self._of_peer.pop(request.peer, None)
            self._of_peer[request.peer] = playthrough
            if len(self._of_peer) > PEERS_MAX:
                del self._of_peer[next(iter(self._of_peer))]

    def known(self, request: Request) -> Playthrough | None:
        """The play-through that a request names by an id, or by its connection."""
        file = viewed_file(request)
        if file is not None:
            for one in reversed(self._playthroughs.values()):
                if one.live_state.has_file(file):
                    return one
        for word in _words(request):
            playthrough = self._of_prompt.get(word) or self._of_client.get(word)
            if playthrough is not None:
                self.remember(playthrough, request)
                return playthrough
        return self._of_peer.get(request.peer)

    def awaiting(self, request_key: RequestKey) -> Playthrough | None:
        """The one whose script stands before this very change."""
        return next(
            (playthrough for playthrough in self.active if playthrough.awaits(request_key)), None
        )

    @property
    def running(self) -> Playthrough | None:
        """The newest one in which a prompt runs."""
        found = (
            playthrough
            for playthrough in reversed(self.active)
            if playthrough.live_state.running is not None
        )
        return next(found, None)


def _words(request: Request) -> Iterator[str]:
    """Everything in a request that may be the id of a client, a prompt or what a server made."""
    yield from request.parts.segments
    for name, value in request.parts.pairs:
        if not value.isdecimal() or name.lower().endswith(_ENDS_OF_ID):  # else it is how many
            yield value
    body = request.json if request.body[:1] == b"{" else None
    for value in body.values() if isinstance(body, dict) else ():
        words = value if isinstance(value, list) else [value]
        yield from (word for word in words if isinstance(word, str))
    yield from numbers_named(request)


_ENDS_OF_ID: Final = ("id", "ids")
