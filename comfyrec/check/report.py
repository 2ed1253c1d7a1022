"""what a command printed and how it ended -> what it reported.

A client may say it outright, in one line of its standard output that is a JSON object:

    {"comfyrec": {"outcome": "success", "prompt_id": "...", "outputs": {...}, "error": "..."}}

``outcome`` is one of success, error, interrupted, cancelled, rejected, lost, timed-out; the rest is
optional, ``outputs`` as in a history entry. Without such a line the exit status speaks: 0 is
success, 130 interrupted, everything else a failure of some kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from comfyrec.check.invariants import OUTCOMES, Outcome, Report

__all__ = ["Ran", "report_of", "said_in"]

INTERRUPTED: Final = 130

# The last line of a traceback: an exception's dotted name, a colon, its text.
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Closed\w*|Timeout\w*)\b.*")


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended."""

    status: int | None
    """Exit status; None: it was stopped because its time was over."""
    signal: str = ""
    """The signal that ended it, where it was not ours."""
    stdout: str = ""
    stderr: str = ""
    ended_s: float = 0.0
    """On the clock of the stage's watch."""
    took_s: float = 0.0
    memory: tuple[tuple[float, int], ...] = ()
    """Its peak so far, with its children: (seconds, bytes) whenever that rose."""


def report_of(ran: Ran, *, files: Sequence[bytes] | None = None) -> Report:
    """Put together what a command reported.

    Args:
        files: what it left in the folder it was given; None, where it was given none.
    """
    lines = list(said_in(ran.stdout))
    last: dict[str, Any] = lines[-1] if lines else {}
    told: list[Any] = [line.get("outcome") for line in lines]
    crash = _crash(ran, told)
    said: tuple[Outcome, ...] = tuple(word for word in told if word in OUTCOMES)
    outcomes = said if told else _by_status(ran)
    outputs = last.get("outputs")
    prompt_id = last.get("prompt_id")
    hung = ran.status is None and not ran.signal
    return Report(
        outcomes=outcomes,
        at_s=None if hung else ran.ended_s,
        prompt_id=prompt_id if isinstance(prompt_id, str) else None,
        outputs=outputs if isinstance(outputs, dict) else None,
        files=None if files is None else tuple(files),
        text=f"{ran.stdout}\n{ran.stderr}",
        crash=crash,
        memory=ran.memory,
    )


def said_in(stdout: str) -> Iterator[dict[str, Any]]:
    """The lines that are meant for us, in order."""
    for line in stdout.splitlines():
        if line.lstrip().startswith('{"comfyrec"'):
            try:
                value = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                continue
            if isinstance(value, dict) and isinstance(value.get("comfyrec"), dict):
                yield value["comfyrec"]


def _by_status(ran: Ran) -> tuple[Outcome, ...]:
    if ran.status is None:
        return ()
    if ran.status == 0:
        return ("success",)
    return ("interrupted",) if ran.status == INTERRUPTED else ("failed",)


def _crash(ran: Ran, told: Sequence[Any]) -> str:
    for word in told:
        if word not in OUTCOMES:
            return f"it printed the outcome {word!r}, which is none of {', '.join(OUTCOMES)}"
    if ran.signal:
        return f"ended by {ran.signal}"
    if ran.status in (0, None) or "Traceback (most recent call last)" not in ran.stderr:
        return ""
    errors = [line for line in ran.stderr.splitlines() if _EXCEPTION.match(line)]
    return errors[-1][:200] if errors else "an uncaught exception"
