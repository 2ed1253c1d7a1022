"""All that follow prompts agree on what ends one: here is what they ask."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.events.endings import BLOCKED, history_ending, prompt_ending


@pytest.mark.parametrize(
    ("kind", "data", "ending"),
    [
        ("execution_success", {}, "success"),
        ("execution_interrupted", {}, "interrupted"),
        ("execution_error", {"exception_type": "ValueError"}, "error"),
        ("execution_error", {"exception_type": BLOCKED}, None),
        ("execution_error", None, "error"),
        ("executed", {"exception_type": "ValueError"}, None),
        (None, {}, None),
        (["execution_error"], {}, None),
    ],
)
def test_a_prompt_ends_with_one_of_three_and_not_where_an_output_is_blocked(
    kind: object, data: Any, ending: str | None
) -> None:
    assert prompt_ending(kind, lambda: data) == ending


def test_the_data_of_other_frames_is_not_read() -> None:
    assert prompt_ending("execution_success", lambda: pytest.fail("it was read")) == "success"


@pytest.mark.parametrize(
    ("entry", "ending"),
    [
        ({"status": {"status_str": "success", "completed": True, "messages": []}}, "success"),
        ({"status": {"completed": True}}, "success"),
        ({"status": {"status_str": "error", "messages": [["execution_error", {}]]}}, "error"),
        ({"status": {"completed": False}}, "error"),
        (
            {"status": {"status_str": "error", "messages": [["execution_interrupted", {}]]}},
            "interrupted",
        ),
        ({"status": {"messages": "none", "status_str": "error"}}, "error"),
        ({"status": {"messages": 3, "status_str": "error"}}, "error"),
        ({"status": {}}, None),
        ({"status": None}, None),
        ({"outputs": {}}, None),
    ],
)
def test_a_history_entry_tells_the_end_or_only_that_there_was_one(
    entry: dict[str, Any], ending: str | None
) -> None:
    assert history_ending(entry) == ending
