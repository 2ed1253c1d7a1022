"""Names: of the catalogue, everyday ones, registered ones, and globs."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from comfyrec.errors import ScenarioError
from fake_server.scenarios import (
    ALIASES,
    Choice,
    Directions,
    Scenario,
    catalogue,
    choice_of,
    choose,
    find,
    names,
    register,
    select,
    unregister,
)

EVERYDAY = {
    "success", "error", "oom", "hang", "validation_error", "history_fallback", "output_missing",
    "interrupted", "retry",
}  # fmt: skip


def test_everyday_names_lead_to_scenarios() -> None:
    assert {*ALIASES, *names()} >= EVERYDAY
    for oom in (choose("oom"), choice_of("oom", {})):
        assert oom.title == "execution-error:exception_type=torch.OutOfMemoryError,tips=true"
    assert choose("oom:tips=false").title.endswith("exception_type=torch.OutOfMemoryError")


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
    yield register(own())
    unregister("my-own")


def test_others_register_their_own(registered: Scenario) -> None:
    assert find("my-own") is registered
    assert registered in catalogue()
    assert Choice(registered, registered.settings()) in select("drift")


def test_a_taken_name_cannot_be_registered_again(registered: Scenario) -> None:
    taken = msgspec.structs.replace(own(), name="ws-silent")

    with pytest.raises(ValueError, match="ws-silent"):
        register(taken)
    with pytest.raises(ValueError, match="my-own"):
        register(msgspec.structs.replace(own(), summary="Another."))


WRONG = {
    "ws-silen": "there is no scenario 'ws-silen'; did you mean 'ws-silent'?",
    "ws_silent": "there is no scenario 'ws_silent'; did you mean 'ws-silent'?",
    "qqqq": "there is no scenario 'qqqq'; 'comfyrec scenarios' lists them",
    "interrupt:delay=3": "scenario 'interrupt' has no parameter 'delay'; did you mean 'delay_ms'?",
    "fragmented:parts=1": "scenario 'fragmented': parameter 'parts' is 1: expected a whole",
    "fragmented:parts=x": "scenario 'fragmented': parameter 'parts' is 'x': expected a whole",
    "half-open:x=1": "scenario 'half-open' has no parameters, so 'x' cannot be set",
    "interrupt:3": "scenario 'interrupt': '3' is not a parameter; write interrupt:NAME=VALUE,",
    "kit": "there is no scenario 'kit'; ",
}


@pytest.mark.parametrize("text, sentence", WRONG.items(), ids=WRONG)
def test_a_wrong_name_or_parameter_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ScenarioError) as error:
        choose(text)

    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_a_choice_names_only_what_is_not_the_default() -> None:
    assert Choice(find("fragmented"), find("fragmented").settings()).title == "fragmented"


def test_what_was_registered_can_be_taken_back() -> None:
    register(own())

    unregister("my-own")

    with pytest.raises(ScenarioError, match="my-own"):
        find("my-own")
    with pytest.raises(ValueError, match="no scenario 'my-own' was registered"):
        unregister("my-own")
