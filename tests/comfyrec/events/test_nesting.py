"""How deeply JSON nests, found without reading it."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.events import decode_text, encode
from comfyrec.events.nesting import nests_deeper

JSON = st.recursive(
    st.none() | st.integers() | st.text('"\\[]{}:, \n\udc00é', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('[]{}"\\'), inner),
    max_leaves=40,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@pytest.mark.slow
@given(JSON, st.integers(0, 8), st.booleans())
def test_it_agrees_with_a_walk_through_the_value(value: Any, most: int, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)

    assert nests_deeper(text, most) is (depth_of(value) > most)
    assert nests_deeper(text.encode("utf-8", "surrogatepass"), most) is (depth_of(value) > most)


@pytest.mark.parametrize("pairs", ["[]", "{}", "[]{}", "[]{}{}", "[][]{}"])
def test_each_bracket_is_one_level_whatever_it_lies_in(pairs: str) -> None:
    kinds = [pairs[at : at + 2] for at in range(0, len(pairs), 2)]
    text = "1"
    for depth in range(1, 25):
        opening, closing = kinds[depth % len(kinds)]
        key = '"a": ' if opening == "{" else ""
        text = f"{opening}{key}{text}{closing}"

        found = [most for most in range(25) if nests_deeper(text, most)]

        assert found == list(range(depth))


@pytest.mark.parametrize("text, most, deeper", [
    ("", 0, False),
    ("[" * 101 + "]" * 101, 100, True),
    ("[" * 100 + "]" * 100, 100, False),
    ("[" * 1_000_000, 100, True),
    ('{"a":' * 101 + "1" + "}" * 101, 100, True),
    (json.dumps(["[{" * 500]), 100, False),
    (json.dumps([[{}] * 2_000] * 40), 100, False),
    (json.dumps(["]" * 500, [[["[" * 500]]]]), 4, False),
    (json.dumps(["]" * 500, [[["[" * 500]]]]), 3, True),
    ('"' * 100_001 + "[" * 101, 100, True),
])  # fmt: skip
def test_brackets_in_strings_do_not_count(text: str, most: int, deeper: bool) -> None:
    assert nests_deeper(text, most) is deeper


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="code in C has a stack of its own there")
def test_an_event_that_is_nested_too_deeply_for_the_stack_is_refused_in_one_sentence() -> None:
    deep = decode_text('{"type":"x","data":' + "[" * 900 + "]" * 900 + "}")

    def further(down: int) -> None:
        encode(deep) if not down else further(down - 1)

    with pytest.raises(ValueError, match="nested too deeply to be written"):
        further(700)
