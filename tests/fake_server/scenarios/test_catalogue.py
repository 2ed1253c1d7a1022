"""The catalogue as a whole: complete, described, playable, reproducible."""

from __future__ import annotations

import re

import pytest

from comfyrec.check.invariants import INVARIANTS
from comfyrec.check.play import IMAGES
from comfyrec.errors import ScenarioError
from fake_server.options import ServerOptions
from fake_server.scenario_source import scenario_source, transport_of
from fake_server.scenarios import (
    Stage,
    catalogue,
    choose,
    find,
)
from fake_server.scenarios.kit import PLAIN
from fake_server.scenarios.kit.dry_run import DryRunLine, dry_run
from tests.support.paths import SHARED

SCENARIOS = {scenario.name: scenario for scenario in catalogue()}


def lines_of(text: str, seed: int = 0) -> list[DryRunLine]:
    choice = choose(text)
    source = scenario_source([choice], ServerOptions(seed=seed))
    workflow = choice.scenario.workflow or PLAIN
    return list(dry_run(source, workflow, prefix=transport_of([choice]).prefix))


def test_all_rows_are_there() -> None:
    assert {s.row for s in SCENARIOS.values()} - {""} == {f"A{n:02}" for n in range(1, 108)}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder with the requirements is not here")
def test_all_107_names_of_the_requirement_are_there() -> None:
    wanted = {
        (row, name)
        for row, cell in required()
        for name in re.findall(r"`([a-z][a-z0-9-]+)(?::<version>)?`", re.sub(r"\(.*?\)", "", cell))
    }

    assert {row for row, _ in wanted} == {f"A{number:02}" for number in range(1, 108)}
    assert wanted <= {(scenario.row, scenario.name) for scenario in SCENARIOS.values()}
    assert all(find(name).row == row for row, name in wanted)


def required() -> list[tuple[str, str]]:
    """The rows of the requirement: number, and the cell with names and parameters."""
    text = (SHARED / "SCENARIOS.md").read_text(encoding="utf-8").replace("\\|", "/")
    return re.findall(r"^\| (A\d+) \| (.*?) \| ", text, re.M)


ONLY_WORDS = {"http=ok", "ws=A", "http=B", "max=0", "format=0/3", "short", "null", "array", "node"}
"""In parentheses too, but they say what happens; they are not for setting."""
STANDS_FOR = {"after=n": "after=3", "code=none": "code=0"}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder with the requirements is not here")
def test_all_parameters_of_the_requirement_can_be_set() -> None:
    pairs = {
        (row, f"{key}={value}" if value else key)
        for row, cell in required()
        for group in re.findall(r"\((.*?)\)", cell)
        for token in re.findall(r"`([a-z_]+(?:=[\w./-]+)?)`", group)
        if token not in ONLY_WORDS
        for key, _, values in [token.partition("=")]
        for value in values.split("/")
    }

    refused = [(row, pair) for row, pair in sorted(pairs) if not settable(row, pair)]

    assert len(pairs) > 60
    assert refused == []


def settable(row: str, pair: str) -> bool:
    """One of the scenarios of that row has this parameter, and takes this value."""
    key, _, value = STANDS_FOR.get(pair, pair).partition("=")
    ours = [one for one in SCENARIOS.values() if one.row == row]
    having = [one for one in ours if key in one.settings.__struct_fields__]
    return bool(having) and all(
        choose(f"{one.name}:{key}={value}" if value else one.name) for one in having
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_what_it_is(name: str) -> None:
    scenario = SCENARIOS[name]

    assert scenario.summary.endswith((".", ":"))
    assert scenario.correct
    assert scenario.truth
    assert set(scenario.keeps) <= set(INVARIANTS)
    assert scenario.settings.__doc__
    assert not any(re.match(r"(CU|FE|CLI|MCP|PNL|KR|OW)#", one) for one in scenario.evidence)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_the_same_byte_for_byte_from_its_name_and_seed(name: str) -> None:
    assert lines_of(name, seed=3) == lines_of(name, seed=3)


def test_another_seed_gives_other_ids() -> None:
    assert lines_of("stale-burst", seed=3) != lines_of("stale-burst", seed=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n, s in SCENARIOS.items() if set(s.truth) == {"success"} and n != "profile"]
)
def test_where_success_is_the_only_truth_the_history_says_so(name: str) -> None:
    choice = choose(name)
    source = scenario_source([choice])
    stage = source if isinstance(source, Stage) else Stage(lambda: source)

    workflow = choice.scenario.workflow or PLAIN
    list(dry_run(stage, workflow, prefix=transport_of([choice]).prefix, images=IMAGES))

    assert [prompt.ending for prompt in stage.observer.mine()] == ["success"]


@pytest.mark.parametrize("version", ["2024-07", "0.3.10", "0.3.64", "0.8.2", "0.27.0", "0.38.0"])
def test_a_profile_speaks_as_its_version(version: str) -> None:
    texts = [line.text for line in lines_of(f"profile:{version}")]

    assert any(text.startswith("executing node=null") for text in texts)
    assert ("execution_success" in texts) is (version != "2024-07")


def test_a_profile_with_a_fact_switched_has_all_others_of_its_version() -> None:
    whole = lines_of("profile:version=0.27.0")
    without = lines_of("profile:version=0.27.0,fact=progress_state=off")

    assert any(line.text.startswith("progress_state") for line in whole)
    left = [line.text for line in whole if not line.text.startswith("progress_state")]
    assert [line.text for line in without] == left


@pytest.mark.parametrize("text", ["nope=off", "jobs=perhaps"])
def test_a_fact_that_cannot_be_switched_is_said(text: str) -> None:
    with pytest.raises(ScenarioError, match=f"fact '{text}'"):
        lines_of(f"profile:fact={text}")


VARIANTS = [
    "success-before-history:kind=no-outputs",
    "all-cached:executed_for_outputs=false,progress_state=false",
    "ws-silent:after=3",
    "abrupt-close:code=1011,after=execution_start",
    "binary-previews:kinds=1|3|other",
    "execution-error:shape=dict,tips=true",
    "server-restart:keep_history=true",
    "history-evicted:cap=1",
    "reconnect-storm:refuse=close,count=3",
    "nan-in-json:where=object_info",
    "origin-403:http=false",
    "auth-required:how=302,ws_only=true",
    "rate-limit:status=402",
    "queue-shapes:number=neg,items=5",
    "lying-docs:execution_complete=false",
    "preview-metadata:flags=late",
    "poll-failures:kind=bad-json,n=3",
]


@pytest.mark.parametrize("text", VARIANTS)
def test_parameters_can_be_typed_and_the_title_says_them_again(text: str) -> None:
    choice = choose(text)

    assert choose(choice.title) == choice
    assert lines_of(text)


GOES_ELSEWHERE = "sid-changes"
"""Its own id is not taken there, so a client that keeps to it does not hear of its prompt."""
WAITS_FOR_ITS_ID = {"late-connect", "slow-start"}
"""The polite client has to have its id before it submits, and so does that later."""
RESPONSE = re.compile(r"\d{3}(:| to)")
BY_CHANCE = re.compile(r"ComfyUI_temp_\w+|[\da-f]{8}-[\da-f-]*|\d+ bytes|sid.*")


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in SCENARIOS if n not in WAITS_FOR_ITS_ID])
def test_a_client_hears_the_same_under_an_id_that_the_server_gave_it(name: str) -> None:
    own, given = heard(name, own_id=True), heard(name, own_id=False)

    assert (own == given) is (name != GOES_ELSEWHERE)
    assert len(given) >= len(own)


@pytest.mark.parametrize("name", sorted(WAITS_FOR_ITS_ID))
def test_a_client_that_waits_for_its_id_hears_the_end_of_its_prompt(name: str) -> None:
    assert "execution_success" in [text for _, text in heard(name, own_id=False)]


def heard(name: str, *, own_id: bool) -> list[tuple[int, str]]:
    """The frames that a polite client is sent, but for what chance decides."""
    choice = choose(name)
    source = scenario_source([choice], ServerOptions(seed=3))
    workflow, prefix = choice.scenario.workflow or PLAIN, transport_of([choice]).prefix
    lines = dry_run(source, workflow, prefix=prefix, images=IMAGES, own_id=own_id)
    return [
        (line.t, BY_CHANCE.sub("", line.text))
        for line in lines
        if line.to_client and not RESPONSE.match(line.text)
    ]
