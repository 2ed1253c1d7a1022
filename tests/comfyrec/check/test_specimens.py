"""Every specimen in every scenario: the wrong ones fail where they should, the right one not."""

from __future__ import annotations

import json
from functools import cache

import pytest

from comfyrec.check import ScenarioResult
from comfyrec.check.advice import fixes
from fake_server.scenarios import catalogue, choose, select
from tests.comfyrec.check.specimens.matrix import (
    SPECIMENS,
    TABLE,
    given_its_id,
    posting_first,
    run,
    run_all,
    table_of,
)
from tests.comfyrec.check.specimens.mutations import (
    FAILS,
    WRONG_ANYWHERE,
    HasAKey,
    PastesItsKeyIntoAddresses,
    SendsItsKeyAnywhere,
    ShowsMoreThanAll,
    WaitsForEveryAnswer,
)
from tests.comfyrec.check.specimens.right import Client

EXPECTED = json.loads(TABLE.read_text(encoding="utf-8"))
SCENARIOS = {scenario.name for scenario in catalogue()}
WITH_A_SOCKET_FIRST = [name for name in SPECIMENS if name != "late_socket"]
GOES_ELSEWHERE = "sid-changes"
"""Frames go to the id that the server gives, so a client that follows it is better off there."""

FIRST = {
    "late_socket": "It submits the prompt before its WebSocket is open",
    "trusts_the_null": "It takes what it hears for a success, and never asks the history",
    "no_prompt_id": "It takes messages about other prompts for its own",
    "small_frames": "the connection was closed with 1009",
    "gives_up": "It reports error; the prompt succeeded; it printed: no message within 0.5 s",
    "hangs_on_reconnect": "It waits for a WebSocket message that never comes",
    "first_executed": "It takes its outputs from messages, and never asks the history",
    "strict_parser": "It crashes: ValueError: a message that is not an event (strict_parser.py:",
    "polls_for_ever": "It asks the history, but never ends",
    "hoards": "of memory during the flood",
}
"""What is wrong with a specimen, in the words of the advice that comes first."""


pytestmark = pytest.mark.long


@cache
def results_of(name: str) -> list[ScenarioResult]:
    """A specimen in all scenarios."""
    return [result for _, result in run_all([name])]


@pytest.mark.parametrize("name", SPECIMENS)
def test_a_specimen_fails_just_where_the_table_says_and_is_told_why(name: str) -> None:
    results = results_of(name)
    found = table_of((name, result) for result in results)

    assert found[name] == EXPECTED[name]
    first = [fix.cause for fix in fixes(results)[:1]]
    assert [FIRST[name] in cause for cause in first] == [True] * (name != "right")


def test_the_right_client_fails_nowhere_and_every_wrong_one_fails_somewhere() -> None:
    assert EXPECTED["right"] == {}
    assert all(EXPECTED[name] and set(EXPECTED[name]) < SCENARIOS for name in SPECIMENS[1:])


def test_the_right_client_passes_with_an_id_that_the_server_gives_it() -> None:
    results = run_all(["right"], change=given_its_id)

    assert [(result.name, result.tail) for _, result in results if not result.fine] == []


@pytest.mark.parametrize("name", WITH_A_SOCKET_FIRST[1:])
def test_a_specimen_fails_alike_with_an_id_that_the_server_gives_it(name: str) -> None:
    found = table_of(run_all([name], change=given_its_id))

    expected = {key: how for key, how in EXPECTED[name].items() if key != GOES_ELSEWHERE}
    assert {key: how for key, how in found[name].items() if key != GOES_ELSEWHERE} == expected


@pytest.mark.parametrize("name", WITH_A_SOCKET_FIRST)
def test_submitting_before_the_socket_is_open_never_makes_a_report_better(name: str) -> None:
    late = {result.name for _, result in run_all([name], change=posting_first) if result.fine}

    assert sorted(set(EXPECTED[name]) & late) == []
    assert len(late) <= len(SCENARIOS) - len(EXPECTED[name])


# --- mutations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "client, name", [(client, name) for client, names in FAILS.items() for name in names]
)
def test_a_mutation_fails_in_its_scenario(client: type[Client], name: str) -> None:
    result = run(client, choose(name))

    assert result.status == "fail", result


@pytest.mark.parametrize(
    "client", sorted(set(FAILS) - WRONG_ANYWHERE, key=lambda one: one.__name__)
)
def test_a_mutation_passes_a_normal_run(client: type[Client]) -> None:
    result = run(client, choose("success"))

    assert result.status == "pass", result


ADVICE = {
    WaitsForEveryAnswer: "It waits without a limit for the answer to GET /prompt",
    SendsItsKeyAnywhere: "It gives a secret away: it sent X-API-Key to localhost",
}


@pytest.mark.parametrize("client", ADVICE)
def test_the_first_advice_names_what_is_wrong_with_a_mutation(client: type[Client]) -> None:
    first = fixes([run(client, choice) for choice in select("*")])[0]

    assert first.cause.startswith(ADVICE[client])


CONDUCT = {
    "it sends its key along": (SendsItsKeyAnywhere, "view-redirect-302", "K9"),
    "it pastes its key into an address": (PastesItsKeyIntoAddresses, "view-redirect-302", "K9"),
    "it shows more than all": (ShowsMoreThanAll, "progress-goes-back", "K6"),
    "it counts what is cached twice": (ShowsMoreThanAll, "partly-cached", "K6"),
}


@pytest.mark.parametrize("client, name, invariant", CONDUCT.values(), ids=CONDUCT)
def test_conduct_that_the_outcome_does_not_show_is_seen(
    client: type[Client], name: str, invariant: str
) -> None:
    result = run(client, choose(name))

    assert [verdict.invariant for verdict in result.failed] == [invariant]


def test_a_client_that_keeps_its_key_from_the_other_host_is_told_so() -> None:
    result = run(HasAKey, choose("view-redirect-302"))

    assert result.status == "pass"
    assert {verdict.invariant: verdict.passed for verdict in result.verdicts}["K9"] is True


def test_every_scenario_has_a_specimen_that_fails_it() -> None:
    failed = {name for row in EXPECTED.values() for name in row}
    failed |= {name for names in FAILS.values() for name in names}

    assert SCENARIOS - failed == set()
