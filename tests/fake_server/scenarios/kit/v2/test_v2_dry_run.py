"""A polite client in each scenario of v2: what it meets differs from a normal run, repeatably."""

from __future__ import annotations

import pytest

from comfyrec.check.play import IMAGES
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.scenario_source import scenario_source, transport_of
from fake_server.scenarios import catalogue, choose
from fake_server.scenarios.kit import PLAIN
from fake_server.scenarios.kit.v2.dry_run import dry_run_v2

SCENARIOS = {scenario.name: scenario for scenario in catalogue("v2")}
ON_V2 = ServerOptions(surfaces=(SurfaceChoice("v2"),))
UNSEEN = {
    "v2-output-late": "it goes by the job",
    "v2-links-with-prefix": "it joins links as they are",
    "v2-blob-not-found": "it always uploads",
}
"""Scenarios whose trap this client does not come near, and why."""


def lines_of(name: str) -> list[str]:
    choice = choose(name)
    workflow = choice.scenario.workflow or PLAIN
    lines = dry_run_v2(
        scenario_source([choice], ON_V2),
        workflow,
        prefix=transport_of([choice]).prefix,
        images=IMAGES,
        token=getattr(choice.settings, "token", ""),
    )
    return [line.text for line in lines]


def test_a_normal_run_goes_from_submission_to_download() -> None:
    assert lines_of("success") == [
        "POST /api/v2/jobs",
        "201 to POST /api/v2/jobs: queued",
        "GET /api/v2/jobs/{id}/events",
        "event status status='succeeded'",
        "event progress value=1.0",
        "the stream ends",
        "GET /api/v2/jobs/{id}",
        "200 to GET /api/v2/jobs/{id}: succeeded",
        "GET /api/v2/assets/{asset 1}/content",
        "200 to GET /api/v2/assets/{asset 1}/content (731 bytes)",
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_the_same_each_time_and_not_a_normal_run(name: str) -> None:
    lines = lines_of(name)

    assert lines == lines_of(name)
    assert name in UNSEEN or lines != lines_of("success")


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_what_it_is(name: str) -> None:
    scenario = SCENARIOS[name]

    assert scenario.row.startswith("V")
    assert (scenario.category, scenario.surface) == ("v2", "v2")
    assert scenario.summary.endswith(".")
    assert scenario.evidence
    assert scenario.settings.__doc__


def test_each_has_a_row_of_its_own() -> None:
    assert {one.row for one in SCENARIOS.values()} == {
        f"V{number:02}" for number in range(1, len(SCENARIOS) + 1)
    }
