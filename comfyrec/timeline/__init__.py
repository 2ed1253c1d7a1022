"""records -> what happened: exchanges, sockets, messages and prompts of one recording.

``Timeline.build(records)`` takes any iterable of records, of a whole recording or of what is left
of a damaged one, and never raises on what they hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import msgspec

from comfyrec.cassette.records import AnyRecord, Session, Side
from comfyrec.http.large_body import BodyStore
from comfyrec.timeline.assemble import assemble
from comfyrec.timeline.facts import VersionSigns, version_signs
from comfyrec.timeline.message_summary import Peek
from comfyrec.timeline.model import (
    BodyMessage,
    Closing,
    Exchange,
    HttpMessage,
    Message,
    Piece,
    Ping,
    RecordedPrompt,
    Socket,
)
from comfyrec.timeline.prompt_story import PromptStory
from comfyrec.timeline.prompts import prompts_of

__all__ = [
    "BodyMessage",
    "Closing",
    "Exchange",
    "HttpMessage",
    "Message",
    "Peek",
    "Piece",
    "Ping",
    "RecordedPrompt",
    "Side",
    "Socket",
    "Timeline",
]


class Timeline(msgspec.Struct, frozen=True, dict=True):
    """What happened in one recording, in order."""

    sessions: tuple[Session, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    """Every HTTP request, WebSocket upgrades included, in order."""
    sockets: tuple[Socket, ...] = ()
    """Every accepted WebSocket, in the order of the upgrades."""
    prompts: tuple[RecordedPrompt, ...] = ()
    """Every prompt that was accepted, in order; then those that only frames tell of."""
    problems: tuple[str, ...] = ()
    """What could not be read, one sentence each, at most 200."""
    records: int = 0
    t: int = 0
    """Time of the first record, Unix microseconds."""
    t_end: int = 0

    @classmethod
    def build(cls, records: Iterable[AnyRecord], *, store: BodyStore | None = None) -> Timeline:
        """The timeline of a recording.

        Args:
            records: in the order of the file; whole, cut off, or with holes.
            store: takes large bodies of pictures, uploads and the like, which then stand in
                ``HttpMessage.stored``; without one all bodies are kept in memory.
        """
        parts = assemble(records, store)
        return cls(
            sessions=tuple(parts.sessions),
            exchanges=tuple(parts.exchanges),
            sockets=tuple(parts.sockets),
            prompts=tuple(prompts_of(parts.exchanges, parts.sockets)),
            problems=tuple(parts.problems),
            records=parts.records,
            t=parts.t,
            t_end=parts.t_end,
        )

    @property
    def jobs(self) -> tuple[RecordedPrompt, ...]:
        """Every job of Comfy API v2, as a prompt; their numbers follow those of ``prompts``."""
        return tuple(prompt for prompt, _ in self.jobs_told)

    @property
    def all_prompts(self) -> tuple[RecordedPrompt, ...]:
        """``prompts``, then ``jobs``: the place of each is its number."""
        return (*self.prompts, *self.jobs)

    @cached_property
    def jobs_told(self) -> tuple[tuple[RecordedPrompt, PromptStory], ...]:
        """Each job, and what became of it."""
        from comfyrec.timeline.live_prompts import jobs_told

        return jobs_told(self.exchanges, first=len(self.prompts), start=self.t)

    @cached_property
    def comfyui_version(self) -> str:
        """The server's version as recorded, or the oldest recorded generation that fits."""
        return self._signs.version

    @property
    def version_stated(self) -> bool:
        """False: nobody asked the server, and the version is a guess from what it sent."""
        return self._signs.stated is not None

    @cached_property
    def _signs(self) -> VersionSigns:
        return version_signs(self.sessions, self.exchanges, self.sockets)
