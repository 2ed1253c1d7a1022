"""One list of rules: what wakes a closer look follows from it, and misses nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comfyrec.cassette.redact.form import FormWalk
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.cassette.redact.rules import (
    MARKS,
    NAMES,
    STARTS,
    STEMS,
    NameRule,
    Need,
    Place,
    may_hold_secret,
    need_of,
)
from comfyrec.cassette.redact.search.literal_search import Spots
from comfyrec.cassette.redact.shapes import SHAPES, Shape
from comfyrec.cassette.redact.text import TextWalk
from tests.support.field_samples import FIELD_HARMLESS, FIELD_PLANTS
from tests.support.redaction_samples import HARMLESS, PLANTS
from tests.support.tool_samples import TOOL_HARMLESS, TOOL_PLANTS

DIGITS = b"0123456789"
ROWS = [*PLANTS, *HARMLESS, *FIELD_PLANTS, *FIELD_HARMLESS, *TOOL_PLANTS, *TOOL_HARMLESS]
BODIES = sorted({data for row in ROWS for _, data in row.said if len(data) < 900})


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Traffic of the tables, with a few bytes of it cut out, doubled, changed or put in."""
    data = draw(st.sampled_from(BODIES))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 6))
        new = draw(
            st.just(b"")
            | st.binary(max_size=3)
            | st.sampled_from([b"%74", b"\\u0074", b"TOKEN", b"&#116;", b'"', b"=", b"_", b"9"])
        )
        data = data[:at] + new + data[at + size :]
    return data


def wakes(data: bytes) -> bool:
    return may_hold_secret(data.translate(None, DIGITS))


@pytest.mark.parametrize("before", [b"", b" ", b"\0", b'"', b"\xff", b"a", b"=", b"\\"])
@pytest.mark.parametrize("behind", [b"", b" ", b"\xff", b'": "', b"=Zk83mQ2LxV7tR9pW4bN6"])
def test_wherever_a_spot_stands_the_walk_gets_past_it(before: bytes, behind: bytes) -> None:
    for spot in (*STEMS, *STARTS, *MARKS):
        text = before + spot + behind
        TextWalk().feed(text)
        TextWalk().feed(text.upper() + b" " + spot + text)


@given(mutated())
@example(b"?%74oken=Zk83mQ2LxV7tR9pW4bN6")
@example(b'{"\\u0074oken": "Zk83mQ2LxV7tR9pW4bN6"}')
def test_what_a_rule_finds_in_a_text_wakes_the_quick_look(data: bytes) -> None:
    assert not TextWalk().feed(data) or wakes(data)


@pytest.mark.slow
@given(mutated())
@example(b"sig=Zk83mQ2LxV7tR9pW4bN6")
@example(b"Policy=Zk83mQ2LxV7tR9pW4bN6&X-Goog-A=Zk83mQ2LxV7tR9pW4bN6")
def test_what_a_rule_finds_in_a_form_wakes_the_quick_look(data: bytes) -> None:
    assert not FormWalk().feed(data) or wakes(data)


@given(mutated())
def test_a_text_that_is_called_clean_holds_nothing(data: bytes) -> None:
    redactor = Redactor()

    assert not redactor.is_clean_text(data) or not TextWalk().feed(data)


RUNS = [(rule, run) for rule in NAMES for run in rule.words]


@pytest.mark.parametrize("rule, run", RUNS, ids=[f"{run} {rule.need.name}" for rule, run in RUNS])
def test_each_name_of_the_list_is_found_however_it_is_spelt(rule: NameRule, run: str) -> None:
    words = run.split(" ")
    spellings = ["_".join(words), "-".join(words), "".join(w.title() for w in words)]
    spellings += ["_".join(words).upper(), words[0] + "".join(w.title() for w in words[1:])]

    needs = [need_of(name, place) for name in spellings for place in rule.places]

    assert None not in needs


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.starts[0].decode() for shape in SHAPES])
def test_the_start_of_each_shape_wakes_the_quick_look(shape: Shape) -> None:
    if shape.before is None:
        assert all(wakes(start) for start in shape.starts)


NO_NAMES = """
    bos_token_id max_tokens tokenizer token_count civitai_model_id hotkey keyboard monkey author
    bypass compass secretary next_page_token pad_token password_label sort_key cache_key
"""


@pytest.mark.parametrize("name", NO_NAMES.split())
def test_names_of_other_things_are_told_apart(name: str) -> None:
    assert need_of(name, Place.MEMBER) is not Need.ANY_TEXT


LITERALS = [b"token", b"key", b"sk-", b"://", b"pass", b"keyed"]


@pytest.mark.slow
@given(st.lists(st.sampled_from([*LITERALS, b"x", b" ", b"to", b"ken"]), max_size=12))
def test_spots_are_those_of_plain_searches(pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    literals = [b"token", b"key", b"sk-", b"://", b"pass"]

    found = set(Spots(literals).all_in(text))

    assert found == {
        (at, word) for word in literals for at in range(len(text)) if text.startswith(word, at)
    }
