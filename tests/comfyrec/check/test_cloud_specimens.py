"""The right client of Comfy Cloud fails nowhere, each wrong one where it should."""

from __future__ import annotations

import pytest

from comfyrec.check import ScenarioResult
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.scenarios import catalogue, choose, select
from tests.comfyrec.check.specimens.cloud import FAILS, TOKENS, WRONG_ANYWHERE, CloudClient
from tests.comfyrec.check.specimens.matrix import run
from tests.comfyrec.check.specimens.right import Client

ON_CLOUD = ServerOptions(surfaces=(SurfaceChoice("cloud"),))
SCENARIOS = [scenario.name for scenario in catalogue("cloud")]
PUT_THROUGH = [choice.scenario.name for choice in select("*", "cloud")]

pytestmark = pytest.mark.long


def result_of(client: type[Client], name: str) -> ScenarioResult:
    if name in TOKENS:
        client = type(client.__name__, (client,), {"key": TOKENS[name]})
    return run(client, choose(name), ON_CLOUD)


@pytest.mark.parametrize("name", PUT_THROUGH)
def test_the_right_client_passes(name: str) -> None:
    result = result_of(CloudClient, name)

    assert result.status == "pass", result


@pytest.mark.parametrize(
    ("client", "name"), [(client, name) for client, names in FAILS.items() for name in names]
)
def test_a_wrong_client_fails_in_its_scenario(client: type[Client], name: str) -> None:
    result = result_of(client, name)

    assert result.status == "fail", result


@pytest.mark.parametrize(
    "client", sorted(set(FAILS) - WRONG_ANYWHERE, key=lambda one: one.__name__)
)
def test_a_wrong_client_passes_a_normal_run(client: type[Client]) -> None:
    result = result_of(client, "success")

    assert result.status == "pass", result


def test_every_scenario_has_a_client_that_fails_it() -> None:
    assert {name for names in FAILS.values() for name in names} == set(SCENARIOS)
