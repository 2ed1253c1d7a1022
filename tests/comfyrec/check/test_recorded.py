"""A recording as a scenario: its prompt, its truth, and its names on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyrec.cassette.files import write_cassette
from comfyrec.check.recorded import choices_in, ending_recorded, recorded_scenario, scenario_of
from comfyrec.errors import ScenarioError, Unavailable
from comfyrec.timeline import Timeline
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import Choice
from tests.support.shrink_session import session


@pytest.mark.parametrize(
    "name, truth",
    [
        ("all-cached", "success"),
        ("execution-error", "error"),
        ("interrupted", "interrupted"),
        ("pending-deleted", "success"),
    ],
)
def test_the_truth_is_what_was_recorded(name: str, truth: str) -> None:
    scenario = recorded_scenario(name)

    assert scenario.truth == (truth,)
    assert scenario.name == name
    assert scenario.workflow


def test_a_recording_goes_with_scenarios_over_it() -> None:
    scenario = recorded_scenario("all-cached")
    over = choices_in("ws-silent")

    source = scenario_source([Choice(scenario, scenario.settings()), *over])

    assert source.timeline is not None
    assert "operators" in source.facts()


def test_names_and_files_go_together(tmp_path: Path) -> None:
    cassette, module = tmp_path / "found.jsonl", tmp_path / "mine.py"
    write_cassette(cassette, session())
    module.write_text(
        "from pathlib import Path\n"
        "from comfyrec.check.recorded import recorded_scenario\n"
        "FOUND = recorded_scenario(Path(__file__).with_name('found.jsonl'), name='mine')\n"
    )

    found = choices_in(f"success,{cassette},{module}")

    assert [one.title for one in found] == ["success", str(cassette), "mine"]


def test_a_file_is_what_its_scenarios_are_called_up_by(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    imported = "from fake_server.scenarios.success import SCENARIO as ONE\n"
    one.write_text(imported)
    two.write_text(f"{imported}from fake_server.scenarios.all_cached import SCENARIO as TWO\n")

    found = choices_in(f"success,{one},{two}")

    assert [choice.given for choice in found] == [
        "", str(one), f"{two}:success", f"{two}:all-cached",
    ]  # fmt: skip
    assert [choice.title for choice in choices_in(f"{two}:all-cached")] == ["all-cached"]
    with pytest.raises(ScenarioError, match="did you mean 'all-cached'"):
        choices_in(f"{two}:all-cahced")


BAD_MODULES = {
    "nothing = 1": "has no scenario",
    "raise ValueError('no')": "cannot be run: ValueError: no; mend it",
    "this is not: Python": "cannot be run: SyntaxError",
}


@pytest.mark.parametrize("code", BAD_MODULES)
def test_a_file_that_gives_no_scenario_is_one_sentence(code: str, tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text(code)

    with pytest.raises(ScenarioError) as caught:
        choices_in(str(module))

    assert BAD_MODULES[code] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said() -> None:
    with pytest.raises(ScenarioError, match=r"there is no file nothing\.py"):
        choices_in("nothing.py")
    with pytest.raises(Unavailable, match="there is no such file"):
        choices_in("nothing.jsonl")


def test_a_recording_without_a_prompt_is_said() -> None:
    with pytest.raises(ScenarioError, match="nobody submits a prompt in upload-and-view"):
        recorded_scenario("upload-and-view")


def test_a_recording_that_ends_too_early_is_said() -> None:
    begun = [one for one in session() if one.seq < 9]
    timeline = Timeline.build(begun)

    with pytest.raises(ScenarioError, match="does not say what became of its prompt"):
        scenario_of(timeline, name="cut")
    assert scenario_of(timeline, name="cut", truth=("lost",)).truth == ("lost",)


def test_a_refused_prompt_has_an_end_too() -> None:
    refused = [
        one
        for one in session()
        if getattr(one, "conn", 0) != 1 and b"/history" not in one_head(one)
    ]
    for number, one in enumerate(refused):
        if one_head(one).startswith(b"HTTP/1.1 200"):
            head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n"
            refused[number] = type(one)(**{**fields(one), "head": head, "body": b"{}"})

    assert ending_recorded(Timeline.build(refused)) == "rejected"


def one_head(record: object) -> bytes:
    return getattr(record, "head", b"")


def fields(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}  # type: ignore[attr-defined]
