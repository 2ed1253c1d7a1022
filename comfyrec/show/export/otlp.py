"""A story -> OpenTelemetry spans as OTLP JSON: one for each prompt, its queue wait and its nodes.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. A line is what a collector takes
at ``/v1/traces``. The trace id is that of an incoming ``traceparent``, else the prompt id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from comfyrec.timeline import HttpMessage, Timeline
from comfyrec.timeline.moments import Moment, moments_of
from comfyrec.timeline.node_runs import NodeRun
from comfyrec.timeline.story import PromptStory, Story

__all__ = ["Incoming", "Traces", "otlp_lines"]

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_HEX: Final = re.compile(r"[0-9a-f]{32}")
STEPS_MAX: Final = 10_000
"""Steps of one prompt that become events; collectors take far fewer."""
_SERVER, _INTERNAL = 2, 1
_OK, _ERROR = 1, 2


def otlp_lines(timeline: Timeline, story: Story, *, tool: str) -> Iterator[dict[str, Any]]:
    """One export request for each prompt.

    Args:
        timeline: the recording.
        story: of the same timeline.
        tool: name and version of what made the spans.
    """
    version = story.comfyui_version if story.version_stated else ""
    traces = Traces(tool=tool, start_us=story.start_us, comfyui_version=version)
    for moment in moments_of(timeline):
        traces.step(moment)
    for prompt in story.prompts:
        submitted = timeline.all_prompts[prompt.number].submitted
        asked = None if submitted is None else timeline.exchanges[submitted].request
        incoming = Incoming() if asked is None else Incoming.of(asked)
        request = traces.request(prompt, incoming, end_us=story.duration_us)
        if request is not None:
            yield request


class Incoming(NamedTuple):
    """The trace that a prompt was posted within (https://www.w3.org/TR/trace-context/)."""

    traceparent: str = ""
    tracestate: str = ""

    @classmethod
    def of(cls, request: HttpMessage) -> Incoming:
        """As the header of a POST says it."""
        traceparent = request.header("traceparent").strip().lower()
        return cls(traceparent, request.header("tracestate").strip())


class Traces:
    """Steps and stories of prompts -> export requests, one for each prompt.

    Args:
        tool: name and version of what makes the spans.
        start_us: Unix time of the first record.
        comfyui_version: as the server said it; empty: it did not.
    """

    def __init__(self, *, tool: str, start_us: int, comfyui_version: str = "") -> None:
        self._name, _, self._version = tool.partition(" ")
        self.start_us, self.comfyui_version = start_us, comfyui_version
        self._steps: dict[int, list[Moment]] = {}

    def step(self, moment: Moment) -> None:
        """A moment; the progress of a node becomes an event of its span."""
        if moment.type == "progress" and moment.prompt is not None:
            steps = self._steps.setdefault(moment.prompt, [])
            if len(steps) < STEPS_MAX:
                steps.append(moment)

    def request(
        self, prompt: PromptStory, incoming: Incoming, *, end_us: int
    ) -> dict[str, Any] | None:
        """The export request of a prompt, whose steps are forgotten with it.

        Args:
            prompt: what became of it.
            incoming: the trace that it belongs to.
            end_us: the end of what has none, microseconds since the first record.
        """
        steps = self._steps.pop(prompt.number, [])
        spans = list(_spans(prompt, incoming, steps, self.start_us, end_us))
        if not spans:
            return None
        resource = {"service.name": "ComfyUI", "service.version": self.comfyui_version}
        scope = {"scope": {"name": self._name, "version": self._version}, "spans": spans}
        return {
            "resourceSpans": [
                {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}
            ]
        }


def _spans(
    prompt: PromptStory, incoming: Incoming, steps: list[Moment], start_us: int, end_us: int
) -> Iterator[dict[str, Any]]:
    begin = prompt.submitted_us if prompt.submitted_us is not None else prompt.started_us
    if begin is None:
        return
    end = prompt.ended_us if prompt.ended_us is not None else end_us
    trace_id, parent = _trace_of(prompt, incoming.traceparent)
    make = _Spans(trace_id, start_us, incoming.tracestate if parent else "")
    facts = {
        "comfyui.prompt_id": prompt.prompt_id,
        "comfyui.client_id": prompt.client_id,
        "comfyui.outcome": prompt.outcome or "unknown",
        "comfyui.nodes.cached": sum(run.cached for run in prompt.nodes),
        "comfyui.previews": prompt.previews,
    }
    whole = make.span("prompt", "prompt", (begin, end), facts, kind=_SERVER, parent=parent)
    if prompt.failure is not None and not prompt.failure.blocked:
        words = f"{prompt.failure.exception_type}: {prompt.failure.message.strip()}"
        whole["status"] = {"code": _ERROR, "message": words}
    elif prompt.outcome == "success":
        whole["status"] = {"code": _OK}
    yield whole
    if prompt.submitted_us is not None and prompt.started_us is not None:
        times = (prompt.submitted_us, prompt.started_us)
        yield make.span("queue", "queue wait", times, {}, parent=whole["spanId"])
    for number, run in enumerate(prompt.nodes):
        if run.t is not None:
            yield _node(make, number, run, end, whole["spanId"], steps)


def _node(
    make: _Spans, number: int, run: NodeRun, end: int, parent: str, steps: list[Moment]
) -> dict[str, Any]:
    assert run.t is not None, "only nodes that ran have spans"
    facts = {
        "comfyui.node.id": run.node_id,
        "comfyui.node.class_type": run.class_type,
        "comfyui.node.title": run.title,
    }
    last = run.t_end if run.t_end is not None else end
    name = run.class_type or run.node_id
    span = make.span(f"node {number}", name, (run.t, last), facts, parent=parent)
    span["events"] = [
        {"timeUnixNano": make.nanoseconds(step.t_us), "name": step.words}
        for step in steps
        if step.node == run.node_id and run.t <= step.t_us <= last
    ]
    return span


class _Spans:
    """Spans of one trace."""

    def __init__(self, trace_id: str, start_us: int, state: str) -> None:
        self._trace_id, self._start_us, self._state = trace_id, start_us, state

    def nanoseconds(self, t_us: int) -> str:
        """A moment of the recording as OTLP writes it: Unix nanoseconds, a decimal text."""
        return str((self._start_us + t_us) * 1000)

    def span(
        self,
        key: str,
        name: str,
        times: tuple[int, int],
        facts: Mapping[str, Any],
        *,
        kind: int = _INTERNAL,
        parent: str = "",
    ) -> dict[str, Any]:
        """One span; ``key`` tells it apart from the others of its trace."""
        begin, end = times
        span: dict[str, Any] = {
            "traceId": self._trace_id,
            "spanId": _digest(f"{self._trace_id} {parent} {key} {begin}", 8),
            "name": name,
            "kind": kind,
            "startTimeUnixNano": self.nanoseconds(begin),
            "endTimeUnixNano": self.nanoseconds(max(end, begin)),
            "attributes": _attributes(facts),
        }
        if self._state:
            span["traceState"] = self._state
        return {**span, "parentSpanId": parent} if parent else span


def _trace_of(prompt: PromptStory, traceparent: str) -> tuple[str, str]:
    """(trace id, id of the span above): of the request's traceparent, else of the prompt."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is not None and set(found[1]) != {"0"} and set(found[2]) != {"0"}:
        return found[1], found[2]
    plain = prompt.prompt_id.replace("-", "").lower()
    known = _HEX.fullmatch(plain) is not None and set(plain) != {"0"}
    return (plain if known else _digest(prompt.prompt_id, 16)), ""


def _digest(text: str, size: int) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=size).hexdigest()


def _attributes(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": _value(value)}
        for key, value in facts.items()
        if value is not None and value != ""
    ]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": str(value)}
