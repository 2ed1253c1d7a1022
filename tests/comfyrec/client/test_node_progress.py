"""How far a prompt is, by what messages say of its nodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.client.node_progress import NodeProgress

NODES = ("1", "2", "3", "4")
NODE = st.sampled_from((*NODES, "not in the graph"))
NUMBER = st.floats() | st.integers() | st.none()
STEPS = st.one_of(
    st.tuples(st.just("cached"), st.lists(NODE, max_size=4)),
    st.tuples(st.just("runs"), NODE),
    st.tuples(st.just("ran"), NODE),
    st.tuples(st.just("last_one_ran")),
    st.tuples(st.just("step"), NUMBER, NUMBER),
    st.tuples(st.just("queued"), st.integers(0, 5) | st.none()),
)


@pytest.mark.slow
@given(st.lists(STEPS, max_size=30))
def test_progress_never_falls_and_never_leaves_its_bounds(steps: list[tuple[object, ...]]) -> None:
    progress = NodeProgress(NODES)
    seen = [progress.info.nodes_progress]

    for name, *arguments in steps:
        getattr(progress, str(name))(*arguments)
        seen.append(progress.info.nodes_progress)

    assert seen == sorted(seen)
    assert seen[0] >= 0.0
    assert seen[-1] <= 1.0
    assert len(progress.info.nodes_done) == len(set(progress.info.nodes_done)) <= len(NODES)


def test_a_node_that_is_cached_twice_counts_once() -> None:
    progress = NodeProgress(NODES)

    progress.cached(["1", "1"])

    assert progress.info.nodes_progress == 0.25


def test_a_node_is_done_when_the_next_one_runs() -> None:
    progress = NodeProgress(NODES)

    progress.cached(["1"])
    progress.runs("2")
    progress.step(1, 2)
    half = progress.info.nodes_progress
    progress.runs("3")

    assert half == 1.5 / 4
    assert progress.info.nodes_done == ("1", "2")
    assert progress.info.node_current == "3"
    assert progress.info.node_progress_value is None


def test_a_success_is_all_of_it() -> None:
    progress = NodeProgress(NODES)

    progress.succeeded()

    assert progress.info.nodes_progress == 1.0
