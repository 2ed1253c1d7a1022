"""Several clients that do anything, recorded, and replayed to the same ones with other values."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_server.options import ServerOptions
from fake_server.replay import Player
from fake_server.simulated_server import SimulatedServer
from tests.support.lanes import examples
from tests.support.recorded_sessions import RecordingRig, jobs_of, sessions
from tests.support.replay_rig import SourceRig
from tests.support.restless_sessions import (
    Move,
    Moves,
    People,
    Seen,
    Values,
    moves,
    other_values,
    peaceful,
    reordered,
    values,
    values_of,
)

SLOW = {"ImageInvert": {"seconds": 1, "steps": 4}}


def recorded(made: Moves, before: Values) -> tuple[RecordingRig, Seen]:
    rig = RecordingRig(SimulatedServer(ServerOptions(class_plans=SLOW)))
    return rig, People(rig, before).make(made)


JOBS = st.shared(sessions(), key="jobs")
BEFORE = st.shared(JOBS.flatmap(values), key="before")
MOVES = JOBS.flatmap(moves)
AFTER = BEFORE.flatmap(other_values)
FUZZED = settings(
    max_examples=examples(40, 2_000),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.long
@FUZZED
@given(BEFORE, MOVES, AFTER)
def test_the_same_people_with_other_values_see_the_same(
    before: Values, made: Moves, after: Values
) -> None:
    recording, seen = recorded(made, before)

    again = People(SourceRig(Player(recording.timeline())), after).make(made)

    assert again.outcomes == seen.outcomes
    assert again.sockets == seen.sockets
    assert again.answers == seen.answers


@pytest.mark.long
@FUZZED
@given(BEFORE, MOVES.map(peaceful), AFTER, st.integers(0, 99).map(Random))
def test_the_order_of_submissions_at_one_moment_does_not_matter(
    before: Values, made: Moves, after: Values, chance: Random
) -> None:
    recording, seen = recorded(made, before)
    others, order = reordered(made, before.jobs, chance)

    again = People(SourceRig(Player(recording.timeline())), after).make(others, order)

    assert again.outcomes == seen.outcomes
    for job in range(len(before.jobs)):
        assert again.about(job) == seen.about(job)


# What random sessions have found, by what the replay had not understood.
FOUND: dict[str, tuple[list[str], Moves]] = {
    "a history that was cleared before anybody looked": (
        ["image0"],
        [Move("submit"), Move("forget all"), Move("look", what="/queue")],
    ),
    "a client that never listened, and one without a name": (
        ["image0", "image0"],
        [Move("connect"), Move("submit", client=1), Move("submit", named=False)],
    ),
    "a job that only its own answer tells of": (
        ["image0"],
        [Move("submit"), Move("look", what="/api/jobs/{}"), Move("forget")],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("kinds", "made"), FOUND.values(), ids=FOUND)
def test_what_was_found_stays_found(kinds: list[str], made: Moves) -> None:
    recording, seen = recorded(made, values_of(jobs_of(kinds, 1), "before"))
    after = values_of(jobs_of(kinds, 20), "after")

    again = People(SourceRig(Player(recording.timeline())), after).make(made)

    assert again == seen
