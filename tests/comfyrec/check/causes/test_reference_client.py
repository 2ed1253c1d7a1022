"""Our own client as the judge of a recording: it passes where a correct client can."""

from __future__ import annotations

import pytest

from comfyrec.check.causes.reference_client import reference_result
from comfyrec.check.recorded import recorded_scenario, scenario_of
from comfyrec.timeline import Timeline
from fake_server.scenarios import Choice, choose
from tests.support.shrink_session import session


@pytest.mark.parametrize("name", ["all-cached", "execution-error", "interrupted-by-id"])
def test_it_passes_on_recordings_of_real_servers(name: str) -> None:
    scenario = recorded_scenario(name)

    assert reference_result(Choice(scenario, scenario.settings())).status == "pass"


@pytest.mark.slow
def test_it_passes_without_any_message() -> None:
    quiet = [one for one in session() if type(one).__name__ != "WsFrame"]
    scenario = scenario_of(Timeline.build(quiet), name="quiet")

    result = reference_result(Choice(scenario, scenario.settings()))

    assert (result.status, result.outcome) == ("pass", "success")


@pytest.mark.slow
def test_it_waits_for_nothing_in_a_scenario_about_silence() -> None:
    assert reference_result(choose("ws-silent")).outcome == "success"


def test_what_no_client_can_do_it_fails() -> None:
    scenario = scenario_of(Timeline.build(session()), name="wrong", truth=("error",))

    assert reference_result(Choice(scenario, scenario.settings())).status == "fail"
