"""The right client of Comfy API v2 fails nowhere, each wrong one where it should."""

from __future__ import annotations

import pytest

from comfyrec.check import ScenarioResult
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.scenarios import catalogue, choose, select
from tests.comfyrec.check.specimens.matrix import run
from tests.comfyrec.check.specimens.v2 import (
    FAILS,
    NEEDS_A_KEY,
    WRONG_ANYWHERE,
    HasAKey,
    V2Client,
)

ON_V2 = ServerOptions(surfaces=(SurfaceChoice("v2"),))
SCENARIOS = [scenario.name for scenario in catalogue("v2")]
PUT_THROUGH = [choice.scenario.name for choice in select("*", "v2")]

pytestmark = pytest.mark.long


def result_of(client: type[V2Client], name: str) -> ScenarioResult:
    return run(client, choose(name), ON_V2)  # type: ignore[type-var, arg-type]  # as a specimen


@pytest.mark.parametrize("name", PUT_THROUGH)
def test_the_right_client_passes(name: str) -> None:
    result = result_of(HasAKey if name in NEEDS_A_KEY else V2Client, name)

    assert result.status == "pass", result


@pytest.mark.parametrize(
    ("client", "name"), [(client, name) for client, names in FAILS.items() for name in names]
)
def test_a_wrong_client_fails_in_its_scenario(client: type[V2Client], name: str) -> None:
    result = result_of(client, name)

    assert result.status == "fail", result


@pytest.mark.parametrize(
    "client", sorted(set(FAILS) - WRONG_ANYWHERE, key=lambda one: one.__name__)
)
def test_a_wrong_client_passes_a_normal_run(client: type[V2Client]) -> None:
    result = result_of(client, "success")

    assert result.status == "pass", result


def test_every_scenario_has_a_client_that_fails_it() -> None:
    assert {name for names in FAILS.values() for name in names} == set(SCENARIOS)


def test_a_client_is_put_through_its_own_scenarios_and_native_ones_that_show() -> None:
    assert set(SCENARIOS) < set(PUT_THROUGH)
    assert "success" in PUT_THROUGH
    assert not set(SCENARIOS) & {choice.scenario.name for choice in select("*")}
