"""the history entry of a prompt, and what messages said about its end -> its outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from comfyrec.client.result import Failure, Outcome
from comfyrec.events.endings import BLOCKED, history_ending

__all__ = ["Announced", "Ending", "by_history", "by_messages", "failure_of"]

_OUTCOMES: Final = {
    "success": Outcome.SUCCESS,
    "error": Outcome.ERROR,
    "interrupted": Outcome.INTERRUPTED,
}


class Announced(msgspec.Struct):
    """What messages said about the end of a prompt, so far."""

    end: str = ""
    """``success``, ``error`` or ``interrupted``: what the last terminal message said."""
    at: int | None = None
    """When; None: no terminal message came."""
    null: bool = False
    """An ``executing`` without a node came."""
    failure: Failure | None = None
    blocked: list[Failure] = msgspec.field(default_factory=list)
    """Outputs that were blocked. That is not the end: the prompt goes on, and mostly succeeds."""
    outputs: dict[str, Any] = {}

    def ended(self, end: str, now: int) -> None:
        """A terminal message came."""
        self.end, self.at = end, now

    def failed(self, failure: Failure) -> bool:
        """An ``execution_error`` came; whether it is the end (W10)."""
        if failure.exception_type == BLOCKED:
            self.blocked.append(failure)
            return False
        self.failure = failure
        return True


class Ending(msgspec.Struct, frozen=True):
    """How a prompt ended."""

    outcome: Outcome
    reason: str = ""
    failure: Failure | None = None


def by_history(entry: Mapping[str, Any], announced: Announced) -> Ending:
    """History and messages together: an error in either of them is an error (K3)."""
    outcome, failure = _in_history(entry)
    if outcome is Outcome.INTERRUPTED:
        return Ending(outcome, _interrupted_where(entry))
    if outcome is Outcome.ERROR:
        # Comfy Cloud tells some reasons in a frame only (a job may fail before a node runs).
        told = [failure, announced.failure, *reversed(announced.blocked)]
        failure = next((one for one in told if one is not None and one.message), None)
        failure = failure or next((one for one in told if one is not None), Failure(""))
        return Ending(outcome, str(failure), failure)
    if announced.end == "error":
        # A dependency cycle at run time is terminal, yet the history says success.
        failure = announced.failure
        return Ending(Outcome.ERROR, str(failure) if failure else "", failure)
    outcome = _OUTCOMES.get(announced.end, Outcome.SUCCESS)
    interrupted = outcome is Outcome.INTERRUPTED
    return Ending(outcome, _interrupted_where(entry) if interrupted else "")


def by_messages(announced: Announced) -> Ending:
    """Without a history, what the messages said counts; nothing said is ``lost``."""
    outcome = _OUTCOMES.get(announced.end, Outcome.LOST)
    if outcome is Outcome.SUCCESS:
        return Ending(outcome)
    reason = str(announced.failure or outcome.value)
    return Ending(outcome, reason, announced.failure if outcome is Outcome.ERROR else None)


def failure_of(data: Any) -> Failure:
    """The failure in the data of a decoded ``execution_error``."""
    names = ("exception_message", "exception_type", "node_id", "node_type", "traceback")
    return _failure_in({name: getattr(data, name, None) for name in names})


def _in_history(entry: Mapping[str, Any]) -> tuple[Outcome | None, Failure | None]:
    """What an entry says of the end; None if it only proves that there was one (A75)."""
    status = entry.get("status")
    if not isinstance(status, dict):
        return None, None
    ending = history_ending(entry)
    if ending != "error":
        return _OUTCOMES[ending] if ending else None, None
    errors = [data for name, data in _messages(status) if name == "execution_error"]
    return Outcome.ERROR, _failure_in(errors[-1]) if errors else None


def _messages(status: object) -> list[tuple[str, dict[str, Any]]]:
    rows = status.get("messages") if isinstance(status, dict) else None
    return [
        (str(row[0]), row[1] if isinstance(row[1], dict) else {})
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, list) and len(row) > 1
    ]


def _interrupted_where(entry: Mapping[str, Any]) -> str:
    for name, data in reversed(_messages(entry.get("status"))):
        if name == "execution_interrupted" and data.get("node_id"):
            return f"interrupted at node {data['node_id']} ({data.get('node_type', '?')})"
    return "interrupted"


def _failure_in(data: Mapping[str, Any]) -> Failure:
    trace = data.get("traceback")
    return Failure(
        message=str(data.get("exception_message") or ""),
        exception_type=str(data.get("exception_type") or ""),
        node_id=str(data.get("node_id") or ""),
        node_type=str(data.get("node_type") or ""),
        traceback=tuple(map(str, trace)) if isinstance(trace, list | tuple) else (),
    )
