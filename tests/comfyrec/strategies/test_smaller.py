"""Smaller runs, and what is left of one when only what is needed stays."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from comfyrec.strategies import Fault, Stream, faulty_streams, played
from comfyrec.strategies.smaller import PLAINEST, frame_at_fault, frames_of, name_of, smaller
from comfyrec.strategies.smaller_graphs import ONE_NODE
from tests.support.fuzz_settings import FUZZ
from tests.support.large_stream import GRAPH, MUCH, SOMEBODY


def least(stream: Stream, needs: Callable[[Stream], bool]) -> Stream:
    found: Stream | None = played(stream)
    while found is not None:
        best, found = (
            found,
            next((one for one in smaller(found, misses_frames=False) if needs(one)), None),
        )
    return best


@pytest.mark.slow
@settings(FUZZ, max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(faulty_streams())
def test_what_fails_whatever_happens_comes_down_to_the_plainest_run(stream: Stream) -> None:
    found = least(stream, lambda one: True)

    assert name_of(msgspec.structs.replace(found, keeps=())) == name_of(PLAINEST)


def test_a_fault_that_does_not_matter_goes_first() -> None:
    first = next(one for one in smaller(MUCH, misses_frames=False) if one.graph == GRAPH)

    assert first.fault is None
    assert first.nodes == MUCH.nodes


NULL_AT = frames_of(Stream(graph=GRAPH)).index("executing null")
LEFT: dict[str, tuple[Stream, Callable[[Stream], bool], Stream]] = {
    "a fault": (MUCH, lambda one: one.label == "foreign", Stream(
        graph=ONE_NODE, fault=Fault(label="foreign", position=0, extra=(SOMEBODY,)))),
    "a deed of a node": (MUCH, lambda one: "steps" in repr(one.nodes), Stream(
        graph=ONE_NODE, nodes={"1": {"steps": 1}})),
    "an old version": (MUCH, lambda one: one.version == "0.3.40", Stream(
        graph=ONE_NODE, version="0.3.40")),
    "a node that fails": (
        Stream(graph=GRAPH, nodes={"4": {"raise": {"type": "E", "message": "no"}}},
               fault=Fault(label="cut", position=2, code=1001)),
        lambda one: one.outcome == "error",
        Stream(graph=ONE_NODE, nodes={"1": {"raise": {"type": "E", "message": "no"}}}),
    ),
    "somebody who interrupts": (
        Stream(graph=GRAPH, nodes={"6": {"seconds": 600}}, interrupted_at="6",
               fault=Fault(label="silence", position=1)),
        lambda one: one.outcome == "interrupted",
        Stream(graph=ONE_NODE, nodes={"1": {"seconds": 600}}, interrupted_at="1"),
    ),
    "a cut before the null": (
        Stream(graph=GRAPH, fault=Fault(label="cut", position=NULL_AT, code=1012)),
        lambda one: one.label == "cut" and frame_at_fault(one) == "executing null",
        Stream(graph=ONE_NODE, fault=Fault(
            label="cut", position=frames_of(PLAINEST).index("executing null"))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("stream, needs, left", LEFT.values(), ids=LEFT)
def test_only_what_is_needed_stays(
    stream: Stream, needs: Callable[[Stream], bool], left: Stream
) -> None:
    assert needs(played(stream))

    found = least(stream, needs)

    assert name_of(msgspec.structs.replace(found, keeps=())) == name_of(left)


def test_what_the_fault_was_judged_by_counts_without_it() -> None:
    torn = Stream(graph=ONE_NODE, fault=Fault(label="malformed", position=0, extra=("{",)))

    first = next(smaller(torn, misses_frames=False))

    assert (first.fault, first.keeps) == (None, ("K6",))


@pytest.mark.slow
def test_that_a_prompt_waits_is_left_where_a_client_misses_frames() -> None:
    runs = [one for one in smaller(MUCH, misses_frames=True) if one.fault is None]

    assert {one.waits for one in runs[:2]} == {False, True}
    assert not any(one.waits for one in smaller(MUCH, misses_frames=False))


def test_a_message_that_may_say_anything_says_less() -> None:
    message = '{"type": "x", "data": {"a": "bb", "c": 1}}'
    stream = Stream(graph=ONE_NODE, fault=Fault(label="unknown", position=0, extra=(message,)))

    found = least(stream, lambda one: one.fault is not None and '"a"' in str(one.fault.extra))

    assert found.fault is not None
    assert found.fault.extra == ('{"type": "x", "data": {"a": "b"}}',)


def test_what_follows_from_a_run_is_not_in_its_name() -> None:
    assert name_of(played(MUCH)) == name_of(MUCH)
    assert name_of(msgspec.structs.replace(MUCH, flags=True)) != name_of(MUCH)
