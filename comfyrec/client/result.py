"""How a prompt ended, and what is known of it then."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec

from comfyrec.client.outputs import OutputFile, OutputText, files, texts
from comfyrec.errors import RunFailed

__all__ = ["EXIT_STATUS", "Failure", "Outcome", "Result", "report"]


class Outcome(enum.StrEnum):
    """The one terminal outcome of a prompt (K1 in docs/catalogue.md)."""

    SUCCESS = "success"
    ERROR = "error"
    INTERRUPTED = "interrupted"
    """Stopped while it ran, by anybody."""
    CANCELLED = "cancelled"
    """Removed from the queue before it ran."""
    REJECTED = "rejected"
    """Never accepted."""
    LOST = "lost"
    """The server no longer knows it, or no longer answers."""
    TIMED_OUT = "timed-out"
    """The total limit was reached; the prompt may still run."""


EXIT_STATUS: dict[Outcome, int] = {
    Outcome.SUCCESS: 0,
    Outcome.ERROR: 1,
    Outcome.INTERRUPTED: 4,
    Outcome.LOST: 5,
    Outcome.TIMED_OUT: 6,
    Outcome.REJECTED: 7,
    Outcome.CANCELLED: 9,
}
"""Of ``comfyrec run``. 2 is wrong use, 8 no server, 10 outputs not saved, 130 Ctrl-C."""


class Failure(msgspec.Struct, frozen=True):
    """Why a prompt failed, in the server's words (``execution_error``)."""

    message: str
    exception_type: str = ""
    node_id: str = ""
    node_type: str = ""
    traceback: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"node {self.node_id} ({self.node_type}): " if self.node_id else ""
        kind = f"{self.exception_type}: " if self.exception_type else ""
        return f"{where}{kind}{self.message.strip() or 'no reason given'}"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt that is over."""

    prompt_id: str
    outcome: Outcome
    outputs: dict[str, Any] = {}
    """``{node_id: {kind: [items]}}``, as in the history (K5)."""
    detected_by: str = "frames"
    """``frames``, or ``history`` if no message announced the end."""
    reason: str = ""
    """One line; the server's own words where it gave any. ``""`` for success."""
    failure: Failure | None = None
    status: dict[str, Any] | None = None
    meta: dict[str, Any] | None = None
    prompt: list[Any] | None = None
    """``[number, prompt_id, graph, extra_data, outputs_to_execute]`` of the history."""
    node_errors: dict[str, Any] = {}
    """Outputs that were rejected although the prompt was accepted (A54)."""
    warnings: tuple[str, ...] = ()
    """What went wrong apart from the prompt: rejected outputs, a callback that raised, ..."""
    elapsed_s: float = 0.0
    """From the acceptance to the end."""

    @property
    def files(self) -> tuple[OutputFile, ...]:
        """Every file in the outputs."""
        return files(self.outputs)

    @property
    def texts(self) -> tuple[OutputText, ...]:
        """Every text in the outputs."""
        return texts(self.outputs)

    def output(self, node_id: str) -> dict[str, Any]:
        """The outputs of one node.

        Raises:
            KeyError: the node has none; the message lists the nodes that have (A10).
        """
        if node_id not in self.outputs:
            there = ", ".join(self.outputs) or "none"
            raise KeyError(f"node {node_id} has no output; nodes that have: {there}")
        return dict(self.outputs[node_id])

    def expect_success(self) -> Result:
        """This result, if it is a success.

        Raises:
            RunFailed: it is not.
        """
        if self.outcome is not Outcome.SUCCESS:
            raise RunFailed(self.prompt_id, self.outcome, self.reason)
        return self


def report(
    outcome: str, prompt_id: str | None, outputs: Mapping[str, Any], *, error: str = ""
) -> dict[str, Any]:
    """The object of the last line of ``comfyrec run --json``, which ``comfyrec check`` reads."""
    fields = {"outcome": outcome, "prompt_id": prompt_id, "outputs": dict(outputs)}
    return {"comfyrec": {**fields, "error": error} if error else fields}
