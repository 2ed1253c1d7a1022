"""Prefixes and dynamic prompts, as the page writes them out."""

from __future__ import annotations

import pytest

from comfyrec.workflows.texts import fill_in, first_choices

CHOICES = {
    "no options": ("a cat", "a cat"),
    "options": ("a {red|blue} cat", "a red cat"),
    "options inside options": ("{a {b|c}|d} e", "a b e"),
    "escaped braces": (r"\{a\|b\}", "{a|b}"),
    "comments": ("a // b\nc /* d */ e", "a \nc  e"),
    "an open brace": ("a {b|c", "a b"),
    "a single option": ("{a}", "a"),
}


@pytest.mark.parametrize("text, sent", CHOICES.values(), ids=CHOICES)
def test_the_first_choice_is_taken(text: str, sent: str) -> None:
    assert first_choices(text) == sent


def test_a_node_is_found_by_its_name_and_then_by_its_title() -> None:
    nodes = [
        ("KSampler", "Other", lambda: {"seed": 5, "cfg": 2.0}),
        ("Wide", "KSampler", lambda: {"seed": 6}),
        ("x", "My title", lambda: {"text": "a/b:c"}),
    ]

    assert fill_in("%KSampler.seed%-%KSampler.cfg%", nodes, None) == "5-2"
    assert fill_in("%My title.text%", nodes, None) == "a_b_c"
    assert fill_in("%width%_%nobody.x%", nodes, None) == "%width%_%nobody.x%"
