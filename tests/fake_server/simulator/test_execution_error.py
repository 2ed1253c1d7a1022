"""What execution_error says of a node that fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine_bench import Rig, lines, node

MAKE = node("Make", color=1)

SLOW = {"1": MAKE, "2": node("Pass", image=["1", 0]), "3": node("Sink", image=["2", 0])}


def connected(*args: Any, **kwargs: Any) -> Rig:
    rig = Rig(*args, **kwargs)
    rig.connect("A")
    rig.told("A")
    return rig


def test_a_failure_tells_what_the_node_was_given() -> None:
    rig = connected({"3": {"raise": {"type": "my.Error", "message": "why"}}})

    prompt_id = rig.queue(SLOW)

    error = rig.history(prompt_id)["status"]["messages"][-1][1]
    assert lines(rig.told())[-3:] == ["error 3", "status 0", "end"]
    assert error["exception_message"] == "why\n"
    assert list(error["current_inputs"]) == ["image"]
    assert error["current_outputs"] == ["1", "2", "3"]
    assert error["executed"] == ["1", "2"]
    assert rig.history(prompt_id)["status"]["completed"] is False


def failing(rig: Rig, prompt: Any) -> tuple[str, str]:
    error = rig.history(rig.queue(prompt))["status"]["messages"][-1]
    assert error[0] == "execution_error", error
    return error[1]["exception_type"], error[1]["exception_message"]


def test_a_text_where_a_picture_is_needed_is_accepted_and_fails() -> None:
    rig = connected()

    assert failing(rig, {"2": node("PreviewImage", images="text")}) == (
        "AttributeError",
        "'str' object has no attribute 'shape'\n",
    )


@pytest.mark.parametrize(
    "kind, tip",
    [("torch.OutOfMemoryError", "This error means you ran out of memory"), ("ValueError", "")],
)
def test_running_out_of_memory_comes_with_advice(kind: str, tip: str) -> None:
    rig = connected({"2": {"raise": {"type": kind, "message": "full"}}})

    assert failing(rig, SLOW)[1].startswith(f"full\n{tip}")
