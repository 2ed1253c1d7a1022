"""Spans: one for each prompt, its wait and its nodes; whose trace they belong to."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.cassette.files import bundled, find_cassette, open_cassette
from comfyrec.cassette.records import HttpPart, Side
from comfyrec.show.export.otlp import otlp_lines
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import tell
from tests.support.timeline_samples import PROMPT, Recording, run, session

INCOMING = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def spans_of(timeline: Timeline) -> list[dict[str, Any]]:
    lines = otlp_lines(timeline, tell(timeline), tool="comfyrec 1")
    return [
        span
        for line in lines
        for scope in line["resourceSpans"][0]["scopeSpans"]
        for span in scope["spans"]
    ]


def test_a_prompt_its_wait_and_its_nodes_are_spans_of_one_trace() -> None:
    prompt, queue, node = spans_of(Timeline.build(run(session()).end()))

    assert [s["name"] for s in (prompt, queue, node)] == ["prompt", "queue wait", "SaveImage"]
    assert {s["traceId"] for s in (prompt, queue, node)} == {PROMPT.replace("-", "")}
    assert queue["parentSpanId"] == node["parentSpanId"] == prompt["spanId"]
    assert int(node["endTimeUnixNano"]) - int(node["startTimeUnixNano"]) == 2_000_000
    assert prompt["status"] == {"code": 1}


def test_steps_are_events_and_a_failure_is_an_error() -> None:
    with open_cassette(find_cassette("execution-error")) as reader:
        failed = spans_of(Timeline.build(reader))[0]
    with open_cassette(find_cassette("fresh-run-previews")) as reader:
        spans = spans_of(Timeline.build(reader))

    assert failed["status"] == {"code": 2, "message": "ValueError: deliberate failure"}
    (sampler,) = [span for span in spans if span["name"] == "KSampler"]
    assert [event["name"] for event in sampler["events"]][-1] == "KSampler 3 4/4"


@pytest.mark.parametrize(
    "sent, trace_id, parent",
    [
        (INCOMING, INCOMING[3:35], INCOMING[36:52]),
        ("nonsense", PROMPT.replace("-", ""), None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", PROMPT.replace("-", ""), None),
    ],
    ids=["honored", "not one", "all zeros"],
)
def test_an_incoming_traceparent_is_honored(sent: str, trace_id: str, parent: str | None) -> None:
    recording = Recording()
    head = f"POST /prompt HTTP/1.1\r\nHost: h\r\ntraceparent: {sent}\r\n\r\n".encode()
    recording.put(HttpPart, conn=1, side=Side.CLIENT, exchange=0, head=head, body=b'{"prompt":{}}')
    recording.answer(1, {"prompt_id": PROMPT})

    (prompt,) = spans_of(Timeline.build(recording.end()))

    assert (prompt["traceId"], prompt.get("parentSpanId")) == (trace_id, parent)


@pytest.mark.parametrize("name", bundled())
def test_ids_are_hexadecimal_and_apart(name: str) -> None:
    with open_cassette(find_cassette(name)) as reader:
        spans = spans_of(Timeline.build(reader))

    assert all(len(bytes.fromhex(s["traceId"])) == 16 for s in spans)
    assert all(len(bytes.fromhex(s["spanId"])) == 8 for s in spans)
    assert len({(s["traceId"], s["spanId"]) for s in spans}) == len(spans)
