"""Core nodes for text: plain values in, a plain value out, whatever they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.nodes import text
from fake_server.nodes.call import results
from fake_server.nodes.catalogue import Catalogue
from fake_server.nodes.values import Value

Compute = Callable[[Mapping[str, Any]], Any]

TEXTS: list[tuple[Compute, dict[str, Any], Any]] = [
    (text.cased, {"string": "aB c", "mode": "UPPERCASE"}, "AB C"),
    (text.cased, {"string": "aB c", "mode": "Title Case"}, "Ab C"),
    (text.trimmed, {"string": " a ", "mode": "Left"}, "a "),
    (text.trimmed, {"string": " a ", "mode": "no such"}, " a "),
    (text.cut, {"string": "abcd", "start": 1, "end": -1}, "bc"),
    (text.replaced, {"string": "aba", "find": "a", "replace": "c"}, "cbc"),
    (text.contains, {"string": "ABC", "substring": "b", "case_sensitive": False}, True),
    (text.contains, {"string": "ABC", "substring": "b", "case_sensitive": True}, False),
    (text.compared, {"string_a": "ab", "string_b": "a", "mode": "Starts With"}, True),
    (text.compared, {"string_a": "ab", "string_b": "a", "mode": "Equal"}, False),
    (text.joined, {"string_a": "a", "string_b": "b", "delimiter": "-"}, "a-b"),
    (text.length, {"string": "abc"}, 3),
    (text.length, {}, None),
]


@pytest.mark.parametrize("compute, inputs, wanted", TEXTS)
def test_text_nodes_compute(compute: Compute, inputs: dict[str, Any], wanted: Any) -> None:
    assert compute(inputs) == wanted


def test_no_chain_of_texts_fills_the_memory() -> None:
    half: Any = "x" * (text.LENGTH_MAX // 2)

    doubled = text.joined({"string_a": half, "string_b": half})
    more = text.joined({"string_a": doubled, "string_b": half})
    spread = text.replaced({"string": half, "find": "", "replace": "xx"})

    assert doubled is not None
    assert (len(doubled), more, spread) == (text.LENGTH_MAX, None, None)


@pytest.mark.parametrize("name, wanted", [("StringLength", 3), ("RegexMatch", False)])
def test_what_is_worked_out_stands_on_the_output_and_what_is_not_is_empty(
    name: str, wanted: Any
) -> None:
    kind = Catalogue.core().get(name)
    assert kind is not None
    inputs = {"string": Value(literal="abc", known=True)}

    assert results(kind, inputs, None)[0].literal == wanted


@pytest.mark.slow
@given(
    st.sampled_from(sorted({row[0] for row in TEXTS}, key=lambda one: one.__name__)),
    st.dictionaries(
        st.sampled_from(sorted({key for row in TEXTS for key in row[1]})),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=4)
        | st.lists(st.none()),
    ),
)
def test_text_nodes_take_anything(compute: Compute, inputs: dict[str, Any]) -> None:
    assert isinstance(compute(inputs), str | bool | int | None)
