"""The catalogue as a whole: complete, described, playable, reproducible; names and parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from comfyrec.check.invariants import INVARIANTS
from comfyrec.errors import ScenarioError
from fake_server.scenario_source import over, scenario_source, shell_of
from fake_server.scenarios import (
    ALIASES,
    Choice,
    Directions,
    Scenario,
    Stage,
    catalogue,
    choice_of,
    choose,
    find,
    register,
    select,
)
from fake_server.scenarios.kit import PLAIN
from fake_server.scenarios.kit.dry_run import DryRunLine, rehearse
from fake_server.scenarios.kit.registry import Choice as RegistryChoice
from tests.support.paths import SHARED

SCENARIOS = {scenario.name: scenario for scenario in catalogue()}
EVERYDAY = {
    "success", "error", "oom", "hang", "validation_error", "history_fallback", "output_missing",
    "interrupted", "retry",
}  # fmt: skip


def lines_of(text: str, seed: int = 0) -> list[DryRunLine]:
    from fake_server.simulated_server import ServerOptions

    choice = choose(text)
    source = scenario_source([choice], ServerOptions(seed=seed))
    workflow = choice.scenario.workflow or PLAIN
    return list(rehearse(source, workflow, prefix=shell_of([choice]).prefix))


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


def test_everyday_names_lead_to_scenarios() -> None:
    assert {*ALIASES, *SCENARIOS} >= EVERYDAY
    for oom in (choose("oom"), choice_of("oom", {})):
        assert oom.title == "execution-error:exception_type=torch.OutOfMemoryError,tips=true"
    assert choose("oom:tips=false").title.endswith("exception_type=torch.OutOfMemoryError")


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_says_what_it_is(name: str) -> None:
    scenario = SCENARIOS[name]

    assert scenario.summary.endswith((".", ":"))
    assert scenario.correct
    assert scenario.truth
    assert set(scenario.keeps) <= set(INVARIANTS)
    assert scenario.settings.__doc__
    assert not any(re.match(r"(CU|FE|CLI|MCP|PNL|KR|OW)#", one) for one in scenario.evidence)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_the_same_byte_for_byte_from_its_name_and_seed(name: str) -> None:
    assert lines_of(name, seed=3) == lines_of(name, seed=3)


def test_another_seed_gives_other_ids() -> None:
    assert lines_of("stale-burst", seed=3) != lines_of("stale-burst", seed=4)


@pytest.mark.parametrize(
    "name", [n for n, s in SCENARIOS.items() if set(s.truth) == {"success"} and n != "profile"]
)
def test_where_success_is_the_only_truth_the_history_says_so(name: str) -> None:
    choice = choose(name)
    source = scenario_source([choice])
    stage = source if isinstance(source, Stage) else Stage(lambda: source)

    workflow = choice.scenario.workflow or PLAIN
    list(rehearse(stage, workflow, prefix=shell_of([choice]).prefix))

    assert [prompt.ending for prompt in stage.scene.mine()] == ["success"]


@pytest.mark.parametrize("version", ["2024-07", "0.3.10", "0.3.64", "0.8.2", "0.27.0", "0.38.0"])
def test_a_profile_speaks_as_its_version(version: str) -> None:
    texts = [line.text for line in lines_of(f"profile:{version}")]

    assert any(text.startswith("executing node=null") for text in texts)
    assert ("execution_success" in texts) is (version != "2024-07")


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


WRONG = {
    "ws-silen": "there is no scenario 'ws-silen'; did you mean 'ws-silent'?",
    "ws_silent": "there is no scenario 'ws_silent'; did you mean 'ws-silent'?",
    "qqqq": "there is no scenario 'qqqq'; 'comfyrec scenarios' lists them",
    "interrupt:delay=3": "scenario 'interrupt' has no parameter 'delay'; did you mean 'delay_ms'?",
    "fragmented:parts=1": "scenario 'fragmented': parameter 'parts' is 1: expected `int` >= 2",
    "fragmented:parts=x": "scenario 'fragmented': parameter 'parts' is 'x': expected `int`, got",
    "half-open:x=1": "scenario 'half-open' has no parameters, so 'x' cannot be set",
    "interrupt:3": "scenario 'interrupt': '3' is no parameter; write interrupt:NAME=VALUE,",
    "kit": "there is no scenario 'kit'; ",
}


@pytest.mark.parametrize("text, sentence", WRONG.items(), ids=WRONG)
def test_a_wrong_name_or_parameter_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ScenarioError) as error:
        choose(text)

    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


SELECTIONS = {
    "A16": ["ws-silent"],
    "ws-silent": ["ws-silent"],
    "interrupt": ["interrupt"],
    "view-*": ["view-404", "view-slow", "view-truncated", "view-redirect-302", "view-headers"],
    "normal": ["lifelike", "success"],
    "ws-silent:after=2,half-open": ["ws-silent:after=2", "half-open"],
    "execution-error:shape=dict,tips=true,A16": [
        "execution-error:tips=true,shape=dict",
        "ws-silent",
    ],
}


@pytest.mark.parametrize("pattern, titles", SELECTIONS.items(), ids=SELECTIONS)
def test_scenarios_are_selected_by_name_row_category_and_glob(
    pattern: str, titles: list[str]
) -> None:
    assert [choice.title for choice in select(pattern)] == titles


def own() -> Scenario:
    return Scenario(
        name="my-own",
        category="drift",
        summary="Mine.",
        correct="does something",
        direct=lambda settings: Directions(),
    )


@pytest.fixture
def registered() -> Iterator[Scenario]:
    from fake_server.scenarios.kit import registry

    yield register(own())
    registry._registered.clear()


def test_others_register_their_own(registered: Scenario) -> None:
    assert find("my-own") is registered
    assert registered in catalogue()
    assert RegistryChoice(registered, registered.settings()) in select("drift")


def test_a_taken_name_cannot_be_registered_again(registered: Scenario) -> None:
    taken = msgspec.structs.replace(own(), name="ws-silent")

    with pytest.raises(ValueError, match="ws-silent"):
        register(taken)
    with pytest.raises(ValueError, match="my-own"):
        register(msgspec.structs.replace(own(), summary="Another."))


# --- the same on a recording -----------------------------------------------------------------

RECORDING = SHARED / "recordings" / "v0.27.0" / "image_only.jsonl"
ON_A_RECORDING = [
    "ws-silent", "reconnect-mid-run", "big-frame", "duplicate-status", "success-before-history",
    "server-restart", "stale-burst", "pending-deleted", "view-404", "reject-400", "output-kinds",
]  # fmt: skip


@pytest.mark.skipif(not RECORDING.is_file(), reason="the recordings are not here")
@pytest.mark.parametrize("name", ON_A_RECORDING)
def test_operators_work_alike_on_a_recording(name: str) -> None:
    from comfyrec.cassette.capture import records_of_capture
    from comfyrec.timeline import Timeline
    from fake_server.replay import Player

    with RECORDING.open("rb") as file:
        timeline = Timeline.build(records_of_capture(file))
    post = next(one for one in timeline.exchanges if one.method == "POST")
    graph: dict[str, Any] = json.loads(post.request.body)["prompt"]
    stage = over([choose(name)], lambda: Player(timeline))
    assert isinstance(stage, Stage)

    lines = list(rehearse(stage, graph))

    assert lines
    assert not [str(one) for one in stage.finish() if one.needed]


def test_scenarios_add_up() -> None:
    both = [choose("duplicate-status"), choose("ws-silent:after=start")]
    source = scenario_source(both)

    texts = [line.text for line in rehearse(source, PLAIN)]

    assert texts.count("status queue_remaining=1") == 6
    assert "executing node=null" not in texts


def test_a_choice_names_only_what_is_not_the_default() -> None:
    assert Choice(find("fragmented"), find("fragmented").settings()).title == "fragmented"
