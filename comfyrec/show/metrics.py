"""What happens on the wire -> counters, as Prometheus scrapes them.

https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4). Labels are of few
values each: outcomes, classes of statuses, and node classes up to ``CLASSES_MAX``. Nothing that a
prompt says is among them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from comfyrec.cassette.records import Side
from comfyrec.timeline.live import Live, Told
from comfyrec.timeline.live_prompts import LivePrompt
from comfyrec.timeline.model import Message
from comfyrec.timeline.prompt_story import PromptStory

__all__ = ["CLASSES_MAX", "CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
CLASSES_MAX: Final = 200
"""Node classes that have a label of their own; all others share ``other``."""
_CLASS_LENGTH_MAX: Final = 80
_NO_CLASS: Final = re.compile(r"[^\x20-\x7e]")
_SECONDS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
"""Bounds of histograms: from a cached prompt to a long film."""

Labels = tuple[tuple[str, str], ...]
Counters = Mapping[str, tuple[str, int]]


class _Histogram:
    """How many durations were at most so long, and their sum."""

    def __init__(self) -> None:
        self.counts = [0] * (len(_SECONDS) + 1)
        self.sum = 0.0

    def take(self, us: int) -> None:
        seconds = max(us, 0) / 1_000_000
        self.counts[bisect_left(_SECONDS, seconds)] += 1
        self.sum += seconds

    def samples(self, name: str) -> Iterator[str]:
        total = 0
        bounds = [*(f"{bound:g}" for bound in _SECONDS), "+Inf"]
        for bound, count in zip(bounds, self.counts, strict=True):
            total += count
            yield _sample(f"{name}_bucket", (("le", bound),), total)
        yield _sample(f"{name}_sum", (), self.sum)
        yield _sample(f"{name}_count", (), total)


class _Node(msgspec.Struct):
    count: int = 0
    seconds: float = 0.0


class Metrics:
    """Counts what a ``Watch`` tells it; ``text`` is what a scrape gets.

    Args:
        version: of this program.
    """

    def __init__(self, *, version: str) -> None:
        self._version = version
        self._outcomes: dict[str, int] = dict.fromkeys(
            ("success", "error", "interrupted", "deleted", "unknown"), 0
        )
        self._refused: dict[str, int] = {}
        self._wait, self._run, self._silence = _Histogram(), _Histogram(), _Histogram()
        self._nodes: dict[str, _Node] = {}
        self._cached = {"yes": 0, "no": 0}
        self._messages = {"to_client": 0, "from_client": 0}
        self._bytes: dict[Labels, int] = {
            (("protocol", protocol), ("direction", direction)): 0
            for protocol in ("http", "websocket")
            for direction in ("to_client", "from_client")
        }
        self._answers: dict[str, int] = {}
        self._previews = 0
        self._opened = 0
        self._closed = {"clean": 0, "cut": 0}
        self._queue: int | None = None

    # --- counting ------------------------------------------------------------------------------

    def told(self, told: Told, live: Live) -> None:
        """A moment."""
        moment = told.moment
        direction = "to_client" if moment.side is Side.SERVER else "from_client"
        if moment.kind == "message":
            self._messages[direction] += 1
            self._bytes[("protocol", "websocket"), ("direction", direction)] += moment.size
            self._message(told)
        elif moment.kind in ("request", "answer"):
            self._bytes[("protocol", "http"), ("direction", direction)] += moment.size
            if moment.kind == "answer":
                status = f"{moment.type[:1]}xx" if moment.type[:1] in "12345" else "other"
                self._answers[status] = self._answers.get(status, 0) + 1
        elif moment.kind == "opened":
            self._opened += 1
        elif moment.kind == "closed":
            self._closed["cut" if moment.severity else "clean"] += 1

    def _message(self, told: Told) -> None:
        assert isinstance(told.content, Message), "a message is what a message moment has"
        if told.content.peek.queue_remaining is not None:
            self._queue = told.content.peek.queue_remaining
        if isinstance(told.content.data, bytes) and told.moment.type.startswith("preview"):
            self._previews += 1

    def ended(self, prompt: LivePrompt, live: Live) -> None:
        """A prompt that has ended."""
        story = prompt.story(live.start or 0)
        self._outcomes[story.outcome or "unknown"] += 1
        if story.queue_wait_us is not None:
            self._wait.take(story.queue_wait_us)
        if story.run_us is not None:
            self._run.take(story.run_us)
        silence = None if prompt.telling is None else prompt.telling.silence_us
        if silence is not None:
            self._silence.take(silence)
        self._ran(story)

    def _ran(self, story: PromptStory) -> None:
        for run in story.nodes:
            self._cached["yes" if run.cached else "no"] += 1
            if run.duration_us is not None:
                node = self._nodes.setdefault(self._label(run.class_type), _Node())
                node.count += 1
                node.seconds += run.duration_us / 1_000_000

    def _label(self, class_type: str) -> str:
        """The class as a label; what nobody could have meant as one, and too many, is ``other``."""
        plain = _NO_CLASS.sub("?", class_type)[:_CLASS_LENGTH_MAX] or "unknown"
        known = plain in self._nodes or len(self._nodes) < CLASSES_MAX
        return plain if known else "other"

    # --- the text ------------------------------------------------------------------------------

    def text(self, live: Live, more: Counters | None = None) -> str:
        """All samples.

        Args:
            live: what has not ended.
            more: further counters, by name: (help, value).
        """
        return "".join(f"{line}\n" for line in self._lines(live, more or {}))

    def _lines(self, live: Live, more: Counters) -> Iterator[str]:
        yield from _family("comfyrec_build_info", "gauge", "Version of comfyrec.")
        yield _sample("comfyrec_build_info", (("version", self._version),), 1)
        yield from self._of_prompts(live)
        yield from self._of_nodes()
        yield from self._of_connections()
        for name, (words, value) in more.items():
            yield from _family(name, "counter", words)
            yield _sample(name, (), value)

    def _of_prompts(self, live: Live) -> Iterator[str]:
        name = "comfyui_prompts_total"
        yield from _family(name, "counter", "Prompts that ended, by outcome.")
        yield from (_sample(name, (("outcome", k),), v) for k, v in self._outcomes.items())
        name = "comfyui_prompts_refused_total"
        yield from _family(name, "counter", "Prompts that the server did not accept.")
        yield _sample(name, (), live.refused)
        name = "comfyui_prompts_under_way"
        yield from _family(name, "gauge", "Prompts that are accepted and have not ended.")
        yield _sample(name, (), live.prompts.under_way)
        if self._queue is not None:
            name = "comfyui_queue_remaining"
            yield from _family(name, "gauge", "What the server said last of its queue.")
            yield _sample(name, (), self._queue)
        for name, words, histogram in (
            ("comfyui_queue_wait_seconds", "From the POST of a prompt to its start.", self._wait),
            ("comfyui_run_seconds", "From the start of a prompt to its end.", self._run),
            (
                "comfyui_silence_before_end_seconds",
                "How long nothing was said of a prompt before its end was.",
                self._silence,
            ),
        ):
            yield from _family(name, "histogram", words)
            yield from histogram.samples(name)

    def _of_nodes(self) -> Iterator[str]:
        name = "comfyui_nodes_total"
        yield from _family(name, "counter", "Nodes of prompts that ended; cached ones did not run.")
        yield from (_sample(name, (("cached", k),), v) for k, v in self._cached.items())
        name = "comfyui_node_seconds"
        yield from _family(name, "summary", "How long nodes ran, by class.")
        for kind, node in self._nodes.items():
            label = (("class_type", kind),)
            yield _sample(f"{name}_sum", label, node.seconds)
            yield _sample(f"{name}_count", label, node.count)
        name = "comfyui_previews_total"
        yield from _family(name, "counter", "Previews that clients were sent.")
        yield _sample(name, (), self._previews)

    def _of_connections(self) -> Iterator[str]:
        name = "comfyui_sockets"
        yield from _family(name, "gauge", "WebSockets that are open.")
        yield _sample(name, (), self._opened - sum(self._closed.values()))
        name = "comfyui_sockets_closed_total"
        yield from _family(name, "counter", "WebSockets that ended, with a close frame or without.")
        yield from (_sample(name, (("how", k),), v) for k, v in self._closed.items())
        name = "comfyui_messages_total"
        yield from _family(name, "counter", "WebSocket messages.")
        yield from (_sample(name, (("direction", k),), v) for k, v in self._messages.items())
        name = "comfyui_bytes_total"
        yield from _family(name, "counter", "Bytes of HTTP bodies and WebSocket messages.")
        yield from (_sample(name, labels, v) for labels, v in self._bytes.items())
        name = "comfyui_http_answers_total"
        yield from _family(name, "counter", "HTTP answers, by class of status.")
        yield from (_sample(name, (("status", k),), v) for k, v in sorted(self._answers.items()))


def _family(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: Labels, value: int | float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    shown = repr(value) if isinstance(value, float) else str(value)
    return f"{name}{{{inside}}} {shown}" if inside else f"{name} {shown}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
