"""Records as they are written -> who counts them and who traces them.

What watches a recording looks at it once; the story of a prompt that has ended is told to all of
them and then forgotten, so a recorder may run for months.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from comfyrec.cassette.records import AnyRecord
from comfyrec.show.export.otlp import Incoming, Traces
from comfyrec.timeline.live import Live, Told
from comfyrec.timeline.live_prompts import LivePrompt

__all__ = ["Spans", "Watch", "Watcher"]


class Watcher(Protocol):
    """Somebody who is told what happens."""

    def told(self, told: Told, live: Live) -> None:
        """A moment."""
        ...

    def ended(self, prompt: LivePrompt, live: Live) -> None:
        """A prompt of which nothing more is expected; its story is still there."""
        ...


class Watch:
    """Takes the records of one recording in order, and tells its watchers."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self.live = Live(ended=self._ended, rules=False, keep=False)
        self.entry_of: Callable[[str], Mapping[str, Any] | None] | None = None
        """Gives the history entry of a prompt that is over, where what is watched can be asked."""
        self._watchers = watchers

    def take(self, records: Iterable[AnyRecord]) -> None:
        """The next records."""
        for record in records:
            for told in self.live.take(record):
                for watcher in self._watchers:
                    watcher.told(told, self.live)

    def settle(self, now_us: int) -> None:
        """It is this time, by the records' clock: what was about to end may have ended."""
        self.live.prompts.settle(now_us)
        if self.entry_of is not None:
            self.live.prompts.look_up(now_us, self.entry_of)

    def finish(self) -> None:
        """The recording is over."""
        self.live.finish()

    def _ended(self, prompt: LivePrompt) -> None:
        for watcher in self._watchers:
            watcher.ended(prompt, self.live)


class Spans:
    """Prompts that ended -> OTLP export requests, for whoever takes them out of ``ready``.

    Args:
        tool: name and version of what makes the spans.
    """

    def __init__(self, *, tool: str) -> None:
        self._traces = Traces(tool=tool, start_us=0)
        self.ready: list[dict[str, Any]] = []

    def told(self, told: Told, live: Live) -> None:
        """A moment."""
        self._traces.step(told.moment)

    def ended(self, prompt: LivePrompt, live: Live) -> None:
        """Its spans are ready."""
        self._traces.start_us = live.start or 0
        self._traces.comfyui_version = live.stated_version or ""
        incoming = Incoming(prompt.traceparent, prompt.tracestate)
        request = self._traces.request(
            prompt.story(live.start or 0), incoming, end_us=live.duration_us
        )
        if request is not None:
            self.ready.append(request)
