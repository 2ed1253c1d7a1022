"""A recorded session, replayed to the same client with every value drawn anew."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_server.replay import Player
from fake_server.simulated_server import SimulatedServer
from tests.support.lanes import examples
from tests.support.recorded_sessions import (
    Job,
    RecordingRig,
    outcome_of,
    sessions,
    submit,
    with_other_values,
)
from tests.support.replay_rig import LiveSocket, SourceRig

pytestmark = pytest.mark.long


class Ran:
    """What a client saw of its jobs, by kind and place."""

    def __init__(self, rig: SourceRig, jobs: list[Job], order: list[int], client_id: str) -> None:
        self.rig = rig
        self.socket = rig.connect(client_id)
        rig.run()
        self.ids = {number: submit(rig, jobs[number], client_id) for number in order}

    def outcome(self, number: int) -> str:
        prompt_id = self.ids[number]
        if prompt_id is None:
            return "refused"
        return outcome_of(self.rig.get(f"/history/{prompt_id}"))

    def frames(self, number: int) -> list[tuple[Any, ...]]:
        prompt_id = self.ids[number]
        return frames_of(self.socket, prompt_id) if prompt_id is not None else []


def frames_of(socket: LiveSocket, prompt_id: str) -> list[tuple[Any, ...]]:
    """Types and nodes of the frames about one prompt, and how many files they name."""
    found = []
    for message in socket.texts:
        data = message["data"]
        if data.get("prompt_id") == prompt_id:
            output = data.get("output") or {}
            found.append((message["type"], data.get("node"), len(output.get("images", ()))))
    return found


def recorded(jobs: list[Job]) -> tuple[RecordingRig, Ran]:
    rig = RecordingRig(SimulatedServer())
    return rig, Ran(rig, jobs, list(range(len(jobs))), "recorded-client")


CHANGED = st.shared(sessions(), key="jobs").flatmap(with_other_values)


@settings(
    max_examples=examples(60, 2_000),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.shared(sessions(), key="jobs"), CHANGED)
def test_the_same_client_with_other_values_sees_the_same(jobs: list[Job], live: list[Job]) -> None:
    recording, before = recorded(jobs)
    rig = SourceRig(Player(recording.timeline()))

    after = Ran(rig, live, list(range(len(live))), "live-client")

    numbers = range(len(jobs))
    assert [after.outcome(n) for n in numbers] == [before.outcome(n) for n in numbers]
    assert [after.frames(n) for n in numbers] == [before.frames(n) for n in numbers]


@settings(
    max_examples=examples(60, 2_000),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.shared(sessions(), key="jobs"), CHANGED, st.randoms(use_true_random=False))
def test_the_order_of_independent_prompts_does_not_matter(
    jobs: list[Job], live: list[Job], chance: Any
) -> None:
    recording, before = recorded(jobs)
    rig = SourceRig(Player(recording.timeline()))
    order = list(range(len(live)))
    chance.shuffle(order)

    after = Ran(rig, live, order, "live-client")

    kinds = {job.kind for job in jobs}
    assert {k: _outcomes(after, live, k) for k in kinds} == {
        k: _outcomes(before, jobs, k) for k in kinds
    }


def _outcomes(ran: Ran, jobs: list[Job], kind: str) -> list[str]:
    return sorted(ran.outcome(n) for n, job in enumerate(jobs) if job.kind == kind)
