"""All play-throughs of a player, and which of them a request is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import parse_qsl

from comfyrec.timeline.peek import loads
from fake_server.replay.live.session import Take
from fake_server.replay.request_key import Asking
from fake_server.source import Request

__all__ = ["QUESTIONS", "Takes", "query_of"]

QUESTIONS: Final = ("GET", "HEAD", "OPTIONS")
TAKES_MAX: Final = 256
"""Play-throughs that are remembered; the oldest that nobody uses any more go first."""
PEERS_MAX: Final = 4_096
"""Connections that are remembered."""


class Takes:
    """The play-throughs, in the order in which they began.

    Args:
        begin: number -> a new play-through.

    Attributes:
        begun: how many there were.
    """

    def __init__(self, begin: Callable[[int], Take]) -> None:
        self._begin = begin
        self.begun = 0
        self._takes: dict[int, Take] = {}
        self._of_client: dict[str, Take] = {}
        self._of_prompt: dict[str, Take] = {}
        self._of_peer: dict[str, Take] = {}

    def numbered(self, number: int) -> Take | None:
        """The play-through of that number, if it is remembered."""
        return self._takes.get(number)

    @property
    def latest(self) -> Take:
        """The one that began last; the first one begins when it is asked for."""
        return next(reversed(self._takes.values())) if self._takes else self.new()

    @property
    def active(self) -> list[Take]:
        """Those in which somebody is connected or waits; the latest if there are none."""
        return [take for take in self._takes.values() if take.active] or [self.latest]

    def new(self) -> Take:
        """Begin another one."""
        take = self._takes[self.begun] = self._begin(self.begun)
        self.begun += 1
        if len(self._takes) > TAKES_MAX:
            self._forget_oldest()
        return take

    def _forget_oldest(self) -> None:
        oldest = next((take for take in self._takes.values() if not take.active), None)
        if oldest is None or oldest is self.latest:
            return
        del self._takes[oldest.number]
        for known in (self._of_client, self._of_prompt, self._of_peer):
            for key in [key for key, take in known.items() if take is oldest]:
                del known[key]

    # --- who is who ----------------------------------------------------------------------------

    def of_client(self, client: str | None) -> Take | None:
        """The play-through of a live client."""
        return self._of_client.get(client) if client else None

    def remember(
        self, take: Take, request: Request, *, client: str | None = None, prompt: str | None = None
    ) -> None:
        """A client, a prompt and a connection belong to a play-through from now on."""
        if client:
            self._of_client[client] = take
        if prompt:
            self._of_prompt[prompt] = take
        if request.peer:
            self._of_peer.pop(request.peer, None)
            self._of_peer[request.peer] = take
            if len(self._of_peer) > PEERS_MAX:
                del self._of_peer[next(iter(self._of_peer))]

    def known(self, request: Request) -> Take | None:
        """The play-through that a request names by an id, or by its connection."""
        for word in _words(request):
            take = self._of_prompt.get(word) or self._of_client.get(word)
            if take is not None:
                self.remember(take, request)
                return take
        return self._of_peer.get(request.peer)

    def awaiting(self, asking: Asking) -> Take | None:
        """The one whose script stands before this very change."""
        return next((take for take in self.active if take.awaits(asking)), None)

    @property
    def running(self) -> Take | None:
        """The newest one in which a prompt runs."""
        found = (take for take in reversed(self.active) if take.cast.running is not None)
        return next(found, None)


def query_of(target: str) -> dict[str, str]:
    """The query of a request target; the last value of a name."""
    return dict(parse_qsl(target.partition("?")[2], keep_blank_values=True))


def _words(request: Request) -> Iterator[str]:
    """Everything in a request that may be the id of a client or a prompt."""
    yield from request.target.partition("?")[0].split("/")
    yield from query_of(request.target).values()
    body = loads(request.body) if request.body[:1] == b"{" else None
    for value in body.values() if isinstance(body, dict) else ():
        words = value if isinstance(value, list) else [value]
        yield from (word for word in words if isinstance(word, str))
