"""Legal streams: order, history, and how they shrink."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import find, given, settings

from comfyrec.errors import ScenarioError, UsageError
from comfyrec.strategies import (
    Stream,
    faulty_streams,
    scenarios,
    streams,
)
from tests.support.fuzz_settings import FUZZ, SEARCH

LEGAL = streams()


@pytest.mark.slow
@FUZZ
@given(LEGAL)
def test_a_legal_stream_breaks_no_rule(stream: Stream) -> None:
    assert stream.violations == []
    assert stream.label == "legal"
    assert stream.truth == (stream.outcome,)


@pytest.mark.slow
@FUZZ
@given(LEGAL)
def test_the_history_of_a_stream_is_of_its_prompt(stream: Stream) -> None:
    assert stream.history is not None
    assert stream.history["prompt"][1:3] == [stream.prompt_id, stream.graph]
    assert len(stream.times_us) == len(stream.messages)
    assert list(stream.times_us) == sorted(stream.times_us)


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["error", "interrupted"])
def test_an_outcome_shrinks_to_one_node(outcome: str) -> None:
    found = find(
        streams(),
        lambda stream: stream.outcome == outcome,
        settings=settings(SEARCH, max_examples=1_000),
    )

    assert (len(found.graph), len(found.nodes)) == (1, 1)


def test_a_graph_of_ones_own_is_used() -> None:
    graph = {"7": {"class_type": "PreviewAny", "inputs": {"source": "a"}}}

    own = find(streams(graph, version="0.3.10"), lambda stream: True, settings=SEARCH)

    assert (own.graph, own.version) == (graph, "0.3.10")


CALLS: dict[str, tuple[Any, type[Exception], str]] = {
    "no such fault": (lambda: faulty_streams(labels=("late",)), ValueError, "no fault 'late'"),
    "no such version": (lambda: streams(version="new"), UsageError, "is not a version"),
    "no such scenario": (lambda: scenarios("nothing-like-it"), ScenarioError, "nothing-like-it"),
}


@pytest.mark.parametrize("call, error, words", CALLS.values(), ids=CALLS)
def test_a_wrong_call_is_said_at_once(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
