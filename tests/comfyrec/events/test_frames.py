"""Frames that are written by hand are the same bytes that ``encode`` writes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.events import (
    ExecInfo,
    NodeProgress,
    Progress,
    ProgressData,
    ProgressState,
    ProgressStateData,
    QueueStatus,
    Status,
    StatusData,
    Unknown,
    comfy_json,
    decode,
    encode,
)
from comfyrec.events.frames import (
    NodeState,
    json_number,
    progress,
    progress_state,
    status,
    text_frame,
)

NUMBERS = st.integers(0, 10**6) | st.floats()
TEXTS = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(TEXTS, VALUES)
def test_a_frame_of_plain_values_is_what_encode_writes(kind: str, data: object) -> None:
    written = text_frame(kind, data)

    assert written == encode(Unknown(kind, data)) == json.dumps({"type": kind, "data": data})


@given(st.integers(0, 100), st.none() | TEXTS)
def test_a_status_is_what_encode_writes(remaining: int, sid: str | None) -> None:
    data = StatusData(QueueStatus(ExecInfo(remaining)), sid)

    assert status(remaining, sid) == encode(Status(data))


@given(NUMBERS)
def test_a_number_is_written_as_json_writes_it(value: float) -> None:
    assert json_number(value) == comfy_json(value)


@given(NUMBERS, NUMBERS, TEXTS, TEXTS)
def test_progress_is_what_encode_writes(
    value: float, maximum: float, prompt_id: str, node: str
) -> None:
    written = progress(
        json_number(value),
        json_number(maximum),
        prompt_id=comfy_json(prompt_id),
        node=comfy_json(node),
    )

    assert written == encode(Progress(ProgressData(value, maximum, prompt_id, node)))


ENTRIES = st.builds(
    NodeProgress,
    value=NUMBERS,
    max=NUMBERS,
    state=st.sampled_from(["running", "finished"]),
    node_id=TEXTS,
    prompt_id=TEXTS,
    display_node_id=TEXTS,
    parent_node_id=st.none() | TEXTS,
    real_node_id=TEXTS,
    activity=st.none() | TEXTS,
)


@pytest.mark.slow
@given(TEXTS, st.lists(ENTRIES, max_size=3, unique_by=lambda entry: entry.node_id))
def test_the_states_of_nodes_are_what_encode_writes(
    prompt_id: str, entries: list[NodeProgress]
) -> None:
    parts = [
        NodeState.of(
            entry.node_id,
            prompt_id=comfy_json(entry.prompt_id),
            display=str(entry.display_node_id),
            parent=entry.parent_node_id,
            real=str(entry.real_node_id),
        ).entry(
            json_number(entry.value),
            json_number(entry.max),
            entry.state,
            activity=entry.activity,
        )
        for entry in entries
    ]

    written = progress_state(comfy_json(prompt_id), parts)

    nodes = {entry.node_id: entry for entry in entries}
    assert written == encode(ProgressState(ProgressStateData(prompt_id, nodes)))


def test_a_frame_written_by_hand_is_read_as_its_event() -> None:
    event = decode(progress("1", "20", prompt_id='"p"', node='"3"'))

    assert event == Progress(ProgressData(1, 20, "p", "3"))
