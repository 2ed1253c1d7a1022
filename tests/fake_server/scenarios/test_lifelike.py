"""A lifelike run is late where a real server is late."""

from __future__ import annotations

from typing import Any

from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from fake_server.simulated_server import SimulatedServer
from tests.support.replay_rig import SourceRig

GRAPH = {"1": {"class_type": "PreviewAny", "inputs": {"source": "a"}}}


def lifelike() -> SourceRig:

    return SourceRig(scenario_source([choose("lifelike")]))


def histories_at_the_end(rig: SourceRig, prompts: int) -> list[Any]:
    """What a client gets that asks for the history as soon as it hears of the end."""
    socket = rig.connect("mine")
    found = []
    for number in range(prompts):
        prompt_id = rig.submit(GRAPH, "mine")
        rig.run_to(socket, "execution_success", number + 1)
        found.append(rig.get(f"/history/{prompt_id}"))
        rig.run()
    return found


def test_one_of_five_histories_is_empty_when_the_end_has_come() -> None:
    found = histories_at_the_end(lifelike(), 10)

    assert [bool(history) for history in found] == [True] * 4 + [False] + [True] * 4 + [False]


def test_a_plain_run_is_never_late() -> None:
    found = histories_at_the_end(SourceRig(SimulatedServer()), 10)

    assert all(found)


def test_a_client_that_listens_right_after_its_submission_misses_nothing() -> None:
    rig = lifelike()
    rig.submit(GRAPH, "mine")

    socket = rig.connect("mine")
    rig.run()

    assert "execution_start" in socket.types
