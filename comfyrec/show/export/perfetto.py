"""A story -> a native Perfetto trace: tracks of prompts, nodes, requests and sockets.

Fields are those of ``TracePacket``, ``TrackDescriptor`` and ``TrackEvent`` in
https://perfetto.dev/docs/reference/trace-packet-proto. Times are nanoseconds of Unix time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from comfyrec.show.export.protobuf import double, integer, message, text
from comfyrec.timeline import Timeline
from comfyrec.timeline.moments import Moment, moments_of
from comfyrec.timeline.story import PromptStory, Story

__all__ = ["perfetto_trace"]

_SEQUENCE: Final = 1
_BEGIN, _END, _INSTANT, _COUNTER = 1, 2, 3, 4
_CLOCK_BOOTTIME: Final = 6

Slice = tuple[int, int, str, Mapping[str, Any]]
"""(begin, end, name, annotations), microseconds since the start of the recording."""


def perfetto_trace(timeline: Timeline, story: Story) -> bytes:
    """The trace, as ``ui.perfetto.dev`` and ``trace_processor`` open it."""
    trace = _Trace(story.start_us)
    prompts = trace.track("prompts")
    for prompt in story.prompts:
        _prompt(trace, prompts, prompt, story.duration_us)
    requests = [_request(e, timeline) for e in timeline.exchanges if e.status != 101]
    http = trace.track("HTTP")
    for lane in _in_lanes(requests):
        trace.slices(trace.track("requests", http), lane)
    moments = moments_of(timeline)
    for socket in story.sockets:
        own = trace.track(f"socket {socket.number} ({socket.name})")
        for moment in moments:
            if moment.socket == socket.number and moment.kind == "message":
                trace.instant(own, moment.t_us, moment.type, _annotations(moment))
    _queue(trace, moments, timeline)
    return trace.packed()


def _prompt(trace: _Trace, above: int, prompt: PromptStory, last_us: int) -> None:
    begin = prompt.submitted_us if prompt.submitted_us is not None else prompt.started_us
    if begin is None:
        return
    end = prompt.ended_us if prompt.ended_us is not None else last_us
    facts = {
        "prompt_id": prompt.prompt_id,
        "client_id": prompt.client_id or "",
        "outcome": prompt.outcome,
        "error": str(prompt.failure) if prompt.failure is not None else "",
    }
    track = trace.track(f"prompt {prompt.prompt_id[:8]}", above)
    outcome = prompt.outcome or "no end"
    inner: list[Slice] = [(begin, max(end, begin), f"prompt: {outcome}", facts)]
    if prompt.submitted_us is not None and prompt.started_us is not None:
        inner.append((prompt.submitted_us, prompt.started_us, "queue wait", {}))
    trace.slices(track, inner)
    ran: list[Slice] = [
        (run.t, max(run.t_end if run.t_end is not None else end, run.t), run.name, _node(run))
        for run in prompt.nodes
        if run.t is not None
    ]
    for lane in _in_lanes(ran):
        trace.slices(trace.track("nodes", track), lane)


def _node(run: Any) -> dict[str, Any]:
    return {"node_id": run.node_id, "class_type": run.class_type, "previews": run.previews}


def _request(exchange: Any, timeline: Timeline) -> Slice:
    start = exchange.request.t
    end = exchange.response.t_end if exchange.response is not None else exchange.cut_t
    facts = {"status": exchange.status or 0, "target": exchange.target}
    name = f"{exchange.method} {exchange.path}"
    return start - timeline.t, max(end, start) - timeline.t, name, facts


def _annotations(moment: Moment) -> dict[str, Any]:
    return {"words": moment.words, "node": moment.node or "", "size": moment.size}


def _queue(trace: _Trace, moments: Sequence[Moment], timeline: Timeline) -> None:
    track = trace.counter("queue remaining")
    for moment in moments:
        if moment.type == "status" and moment.socket is not None and moment.place is not None:
            peek = timeline.sockets[moment.socket].messages[moment.place].peek
            if peek.queue_remaining is not None:
                trace.count(track, moment.t_us, peek.queue_remaining)


def _in_lanes(slices: Iterable[Slice]) -> list[list[Slice]]:
    """The slices on as few lanes as keep those of one lane apart."""
    lanes: list[list[Slice]] = []
    for one in sorted(slices, key=lambda s: s[:2]):
        free = next((lane for lane in lanes if lane[-1][1] <= one[0]), None)
        if free is None:
            lanes.append([one])
        else:
            free.append(one)
    return lanes


class _Trace:
    """Packets of one trace, in the making."""

    def __init__(self, start_us: int) -> None:
        self._start_us = start_us
        self._packets: list[tuple[int, bytes]] = []
        self._tracks: list[bytes] = []

    def track(self, name: str, above: int = 0) -> int:
        """A new track below another; gives its id."""
        return self._describe(name, above, b"")

    def counter(self, name: str) -> int:
        """A new track of a number that changes."""
        return self._describe(name, 0, message(8))

    def _describe(self, name: str, above: int, more: bytes) -> int:
        uuid = len(self._tracks) + 1
        parent = integer(5, above) if above else b""
        self._tracks.append(message(60, integer(1, uuid), text(2, name), parent, more))
        return uuid

    def slices(self, track: int, slices: Iterable[Slice]) -> None:
        """Stretches on one track, the outer ones first."""
        for begin, end, name, facts in slices:
            self._event(track, begin, _BEGIN, text(23, name), *_debug(facts))
            self._event(track, end, _END)

    def instant(self, track: int, t_us: int, name: str, facts: Mapping[str, Any]) -> None:
        """A moment on a track."""
        self._event(track, t_us, _INSTANT, text(23, name), *_debug(facts))

    def count(self, track: int, t_us: int, value: int) -> None:
        """The number is this from now on."""
        self._event(track, t_us, _COUNTER, integer(30, max(value, 0)))

    def _event(self, track: int, t_us: int, kind: int, *fields: bytes) -> None:
        event = message(11, integer(9, kind), integer(11, track), *fields)
        self._packets.append((t_us, event))

    def packed(self) -> bytes:
        """All packets, in order of time."""
        # Of one moment, in the order in which they were told: an end comes before what follows it.
        self._packets.sort(key=lambda packet: packet[0])
        told = [message(1, self._own(0), described) for described in self._tracks]
        told += [message(1, self._own(t_us), event) for t_us, event in self._packets]
        return b"".join(told)

    def _own(self, t_us: int) -> bytes:
        moment = max(self._start_us + t_us, 0) * 1000
        return integer(8, moment) + integer(58, _CLOCK_BOOTTIME) + integer(10, _SEQUENCE)


def _debug(facts: Mapping[str, Any]) -> Iterator[bytes]:
    for name, value in facts.items():
        if value == "":
            continue
        if isinstance(value, int):
            yield message(4, text(10, name), integer(3, max(value, 0)))
        elif isinstance(value, float):
            yield message(4, text(10, name), double(5, value))
        else:
            yield message(4, text(10, name), text(6, str(value)))
