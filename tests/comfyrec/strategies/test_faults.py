"""Faults in a stream, and what their labels promise."""

from __future__ import annotations

import pytest
from hypothesis import find, given

from comfyrec.strategies import (
    FAULTS,
    Stream,
    faulty_streams,
)
from tests.support.fuzz_settings import FUZZ, SEARCH
from tests.support.lanes import DEEP

FAULTY = faulty_streams()


@pytest.mark.slow
@FUZZ
@given(FAULTY)
def test_a_fault_shows_where_its_label_says_so(stream: Stream) -> None:
    shows = FAULTS[stream.label].shows

    assert shows in (None, bool(stream.violations)), stream.violations


@pytest.mark.slow
@FUZZ
@given(FAULTY)
def test_the_history_tells_the_truth_unless_the_label_says_otherwise(stream: Stream) -> None:
    assert stream.recoverable == (stream.history is not None)
    assert (stream.truth == (stream.outcome,)) == stream.recoverable


@pytest.mark.parametrize("label", FAULTS if DEEP else ("cut",))
def test_a_fault_shrinks_to_one_node_and_the_earliest_place(label: str) -> None:
    found = find(faulty_streams(labels=(label,)), lambda stream: True, settings=SEARCH)

    assert (len(found.graph), found.position, found.nodes) == (1, 0, {})
    assert len(repr(found)) < 250
