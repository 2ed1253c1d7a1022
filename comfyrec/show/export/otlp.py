"""A story -> OpenTelemetry spans as OTLP JSON: one for each prompt, its queue wait and its nodes.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. A line is what a collector takes
at ``/v1/traces``. The trace id is that of an incoming ``traceparent``, else the prompt id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final

from comfyrec.timeline import Timeline
from comfyrec.timeline.moments import Moment, moments_of
from comfyrec.timeline.node_runs import NodeRun
from comfyrec.timeline.story import PromptStory, Story

__all__ = ["otlp_lines"]

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_HEX: Final = re.compile(r"[0-9a-f]{32}")
_SERVER, _INTERNAL = 2, 1
_OK, _ERROR = 1, 2


def otlp_lines(timeline: Timeline, story: Story, *, tool: str) -> Iterator[dict[str, Any]]:
    """One export request for each prompt.

    Args:
        timeline: the recording.
        story: of the same timeline.
        tool: name and version of what made the spans.
    """
    name, _, version = tool.partition(" ")
    steps: dict[int, list[Moment]] = {}
    for moment in moments_of(timeline):
        if moment.type == "progress" and moment.prompt is not None:
            steps.setdefault(moment.prompt, []).append(moment)
    resource = {"service.name": "ComfyUI", "service.version": story.comfyui_version}
    for prompt in story.prompts:
        spans = list(_spans(prompt, timeline, story, steps.get(prompt.number, [])))
        if spans:
            scope = {"scope": {"name": name, "version": version}, "spans": spans}
            yield {
                "resourceSpans": [
                    {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}
                ]
            }


def _spans(
    prompt: PromptStory, timeline: Timeline, story: Story, steps: list[Moment]
) -> Iterator[dict[str, Any]]:
    begin = prompt.submitted_us if prompt.submitted_us is not None else prompt.started_us
    if begin is None:
        return
    end = prompt.ended_us if prompt.ended_us is not None else story.duration_us
    trace_id, parent = _incoming(prompt, timeline)
    make = _Spans(trace_id, story.start_us)
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

    def __init__(self, trace_id: str, start_us: int) -> None:
        self._trace_id, self._start_us = trace_id, start_us

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
        return {**span, "parentSpanId": parent} if parent else span


def _incoming(prompt: PromptStory, timeline: Timeline) -> tuple[str, str]:
    """(trace id, id of the span above): of the request's traceparent, else of the prompt."""
    submitted = timeline.prompts[prompt.number].submitted
    if submitted is not None:
        said = timeline.exchanges[submitted].request.header("traceparent").strip().lower()
        found = _TRACEPARENT.fullmatch(said)
        if found is not None and set(found[1]) != {"0"}:
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
