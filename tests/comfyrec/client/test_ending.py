"""The outcome, by the history entry and by what messages announced."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.client.ending import Announced, Ending, by_history, by_messages, failure_of
from comfyrec.client.result import Failure, Outcome

ERROR = {"exception_message": "no memory", "exception_type": "OOM", "node_id": "3"}
FAILURE = Failure("no memory", "OOM", "3")
STOPPED = {"node_id": "4", "node_type": "KSampler"}


def entry(status: Any) -> dict[str, Any]:
    return {"outputs": {}, "status": status}


def status(word: str, *messages: Any) -> dict[str, Any]:
    return {"status_str": word, "completed": word == "success", "messages": list(messages)}


BY_HISTORY = {
    "a success": (entry(status("success")), Announced(), Ending(Outcome.SUCCESS)),
    "an error": (
        entry(status("error", ["execution_error", ERROR])),
        Announced(),
        Ending(Outcome.ERROR, "node 3 (): OOM: no memory", FAILURE),
    ),
    "an error without its message": (
        entry(status("error")),
        Announced(failure=FAILURE),
        Ending(Outcome.ERROR, "node 3 (): OOM: no memory", FAILURE),
    ),
    "an error that nobody explained": (
        entry(status("error")),
        Announced(),
        Ending(Outcome.ERROR, "no reason given", Failure("")),
    ),
    "an interrupt": (
        entry(status("error", ["execution_interrupted", STOPPED])),
        Announced(),
        Ending(Outcome.INTERRUPTED, "interrupted at node 4 (KSampler)"),
    ),
    "success in the history, and an error in the messages": (
        entry(status("success")),
        Announced(end="error", failure=FAILURE),
        Ending(Outcome.ERROR, "node 3 (): OOM: no memory", FAILURE),
    ),
    "no status, as old servers write it": ({"outputs": {}}, Announced(), Ending(Outcome.SUCCESS)),
    "no status, and an interrupt in the messages": (
        {"outputs": {}},
        Announced(end="interrupted"),
        Ending(Outcome.INTERRUPTED, "interrupted"),
    ),
    "a status that is not an object": (entry("?"), Announced(), Ending(Outcome.SUCCESS)),
    "messages that are not rows": (
        entry({"status_str": "success", "messages": [None, ["x"], 3]}),
        Announced(),
        Ending(Outcome.SUCCESS),
    ),
}


@pytest.mark.parametrize("found, announced, ending", BY_HISTORY.values(), ids=BY_HISTORY)
def test_the_history_and_the_messages_give_the_outcome(
    found: dict[str, Any], announced: Announced, ending: Ending
) -> None:
    assert by_history(found, announced) == ending


BY_MESSAGES = {
    "a success": (Announced(end="success"), Ending(Outcome.SUCCESS)),
    "an error": (
        Announced(end="error", failure=FAILURE),
        Ending(Outcome.ERROR, str(FAILURE), FAILURE),
    ),
    "an interrupt": (Announced(end="interrupted"), Ending(Outcome.INTERRUPTED, "interrupted")),
    "nothing": (Announced(), Ending(Outcome.LOST, "lost")),
}


@pytest.mark.parametrize("announced, ending", BY_MESSAGES.values(), ids=BY_MESSAGES)
def test_without_a_history_the_messages_count(announced: Announced, ending: Ending) -> None:
    assert by_messages(announced) == ending


def test_a_blocked_output_is_not_the_end() -> None:
    announced = Announced()

    assert not announced.failed(Failure("blocked", "ExecutionBlocked"))
    assert announced.failed(FAILURE)

    assert (announced.failure, len(announced.blocked)) == (FAILURE, 1)


def test_a_failure_is_read_from_whatever_fields_there_are() -> None:
    assert failure_of(object()) == Failure("")


def test_a_reason_that_came_only_in_a_frame_is_kept() -> None:
    silent = {"status": {"status_str": "error", "completed": False, "messages": []}}
    empty = {"status": {"status_str": "error", "messages": [["execution_error", {}]]}}
    announced = Announced(end="error", failure=FAILURE)

    assert by_history(silent, announced) == Ending(Outcome.ERROR, str(FAILURE), FAILURE)
    assert by_history(empty, announced) == Ending(Outcome.ERROR, str(FAILURE), FAILURE)
