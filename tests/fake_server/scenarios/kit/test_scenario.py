"""A scenario's parameters: as JSON has them, and as they are typed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from comfyrec.errors import ScenarioError
from fake_server.scenarios import Directions, Scenario
from fake_server.scenarios.kit.scenario import (
    Parameters,
    one_of,
    params_from_text,
    settings_from,
    threads,
)


class Sample(Parameters, frozen=True, kw_only=True):
    """One of each kind."""

    n: Annotated[int, msgspec.Meta(ge=1)] = 1
    text: str = ""
    flag: bool = False
    kinds: tuple[Literal["a", "b", "null"], ...] = ("a",)
    texts: tuple[Annotated[str, one_of({"x": 1, "3": 2})], ...] = ()


SAMPLE = Scenario(
    name="sample",
    category="drift",
    summary="A sample.",
    correct="does something",
    settings=Sample,
    direct=lambda settings: Directions(),
)

TYPED = {
    "a number": ("n", "3", {"n": 3}),
    "a text": ("text", "hello", {"text": "hello"}),
    "a text that looks like a number": ("text", "3", {"text": "3"}),
    "a flag": ("flag", "true", {"flag": True}),
    "a list": ("kinds", "a|b", {"kinds": ["a", "b"]}),
    "a list with a word that JSON knows": ("kinds", "a|null", {"kinds": ["a", "null"]}),
    "a list with a text that looks like a number": ("texts", "x|3", {"texts": ["x", "3"]}),
    "an empty list": ("kinds", "", {"kinds": []}),
    "an unknown name": ("other", "3", {"other": 3}),
}


@pytest.mark.parametrize("name, text, params", TYPED.values(), ids=TYPED)
def test_a_typed_parameter_is_read_by_its_kind(
    name: str, text: str, params: dict[str, Any]
) -> None:
    assert params_from_text(SAMPLE, [(name, text)]) == params


def test_parameters_make_settings() -> None:
    assert settings_from(SAMPLE, {"n": 2, "kinds": ["b"]}) == Sample(n=2, kinds=("b",))


WRONG = {
    "unknown": ({"nn": 1}, "scenario 'sample' has no parameter 'nn'; did you mean 'n'?"),
    "range": ({"n": 0}, "scenario 'sample': parameter 'n' is 0: expected a whole number >= 1"),
    "type": (
        {"flag": 3},
        "scenario 'sample': parameter 'flag' is 3: expected true or false",
    ),
    "choice": (
        {"kinds": ["c"]},
        "scenario 'sample': parameter 'kinds' is ['c']: expected one of 'a', ",
    ),
    "choice from a table": (
        {"texts": ["y"]},
        "scenario 'sample': parameter 'texts' is ['y']: expected one of 'x', '3'",
    ),
}


@pytest.mark.parametrize("params, sentence", WRONG.values(), ids=WRONG)
def test_a_wrong_parameter_is_one_sentence(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ScenarioError) as error:
        settings_from(SAMPLE, params)

    assert str(error.value).startswith(sentence)
    assert "\n" not in str(error.value)


def test_threads_are_written_out_and_words_stay() -> None:
    assert threads("CU#1", "who/what#2", "measured") == (
        "Comfy-Org/ComfyUI#1",
        "who/what#2",
        "measured",
    )
