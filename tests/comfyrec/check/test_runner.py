"""A command in several scenarios: in order, the first one alone, with what its places say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from comfyrec.check.play import SECRET
from comfyrec.check.result import ScenarioResult
from comfyrec.check.runner import CheckOptions, check_all, check_one, filled_in, slow_first
from comfyrec.errors import UsageError
from fake_server.scenarios import choose, select

TINY = Path(__file__).parent / "specimens" / "tiny.py"


def options(*words: str, keep_going: bool = False) -> CheckOptions:
    return CheckOptions(argv=(sys.executable, "-S", *words), timeout_s=20, keep_going=keep_going)


def tiny(bug: str) -> CheckOptions:
    return options(str(TINY), bug, "{url}", "{workflow}")


def test_places_are_filled_in_and_other_braces_stay() -> None:
    places = {"url": "http://h:1", "out": "/o"}

    assert (
        filled_in("{url}/x {out}{{url}} {other}", places) == "http://h:1/x /o{http://h:1} {other}"
    )


@pytest.mark.parametrize("word, saves", [("{out}", True), ("--to={out}/x", True), ("out", False)])
def test_files_count_where_the_command_is_given_a_folder(word: str, saves: bool) -> None:
    assert options("client.py", word).saves is saves


def test_a_command_that_does_not_exist_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="does not exist"):
        check_all(select("success"), CheckOptions(argv=("/no/such/thing",)))


@pytest.mark.long
def test_results_come_in_the_order_of_the_scenarios_and_success_runs_first() -> None:
    told: list[ScenarioResult] = []
    choices = select("duplicate-status,all-cached,success")

    results = check_all(choices, tiny("right"), jobs=2, on_result=told.append)

    assert [one.name for one in results] == [choice.title for choice in choices]
    assert [one.status for one in results] == ["pass"] * 3
    assert told[0].name == "success"


@pytest.mark.long
@pytest.mark.parametrize("keep_going, count", [(False, 1), (True, 2)])
def test_a_client_that_never_comes_ends_the_check(keep_going: bool, count: int) -> None:
    never = options("-c", "pass", keep_going=keep_going)

    assert len(check_all(select("success,all-cached"), never)) == count


@pytest.mark.long
def test_the_command_finds_its_workflow_and_a_folder(tmp_path: Path) -> None:
    code = (
        "import json, os, sys; json.load(open(sys.argv[1])); assert os.listdir(sys.argv[2]) == []"
    )
    result = check_one(
        choose("success"), options("-c", code, "{workflow}", "{out}"), tmp_path / "run"
    )

    assert (result.crash, result.outcome) == ("", "success")
    assert (tmp_path / "run" / "check_input.png").exists()


@pytest.mark.long
@pytest.mark.parametrize("scenario, key", [("success", None), ("v2-redirect-signed", "its own")])
def test_the_key_of_a_surface_is_where_its_clients_look(
    scenario: str, key: str | None, tmp_path: Path
) -> None:
    chosen = choose(scenario)
    token = getattr(chosen.settings, "token", None)
    code = "import os, sys; sys.exit(os.environ.get('COMFY_API_KEY') != (sys.argv[1] or None))"
    known = options("-c", code, str(token or SECRET) if key else "")

    assert check_one(chosen, known, tmp_path / "run").outcome == "success"


LINES = [sys.executable, "-m", "tests.comfyrec.fuzz.specimen"]


def lines(specimen: str) -> CheckOptions:
    return CheckOptions(argv=(*LINES, specimen), timeout_s=20, lines=True)


@pytest.mark.long
def test_a_client_that_lives_on_is_judged_as_one_that_does_not() -> None:
    choices = select("success,lifelike,execution-error,upload-renamed")

    verdicts = {
        name: [(one.status, one.outcome) for one in check_all(choices, lines(name), jobs=2)]
        for name in ("right", "trusts_the_null")
    }

    assert [status for status, _ in verdicts["right"]] == ["pass"] * 4
    assert [outcome for _, outcome in verdicts["trusts_the_null"]] == ["success"] * 4
    assert [status for status, _ in verdicts["trusts_the_null"]].count("fail") == 1


@pytest.mark.long
def test_what_a_client_that_lives_on_saves_is_judged(tmp_path: Path) -> None:
    code = """
import sys
from tests.comfyrec.check.specimens.right import Client
from tests.comfyrec.fuzz.specimen import answer_lines, run

async def half(job):
    told = await run(job)
    for file in __import__("pathlib").Path(job["out"]).iterdir():
        file.write_bytes(file.read_bytes()[:10])
    return told

answer_lines(half, saves=True)
"""
    options = CheckOptions(argv=(sys.executable, "-c", code, "right"), timeout_s=20, lines=True)

    (result,) = check_all(select("success"), options)

    assert [verdict.invariant for verdict in result.failed] == ["K5"]


@pytest.mark.long
def test_a_client_that_takes_no_jobs_is_one_sentence() -> None:
    mute = CheckOptions(argv=(sys.executable, "-S", "-c", "pass"), lines=True)

    with pytest.raises(UsageError, match="does not speak the line protocol"):
        check_all(select("success"), mute)


def test_scenarios_that_may_take_long_come_before_the_others() -> None:
    choices = select("success,worker-dead,all-cached,long-quiet-node")
    names = [choice.title for choice in choices]

    order = [names[number] for number in slow_first(choices)]

    assert set(order[:2]) == {"worker-dead", "long-quiet-node"}
    assert sorted(order) == sorted(names)
