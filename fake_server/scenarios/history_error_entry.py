"""Only the history shows the failure: `completed` is false, `status_str` is `error`."""

from __future__ import annotations

from typing import Any, Literal

from fake_server.scenarios.kit import (
    TWO_OUTPUTS,
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    anything,
    drop,
    event,
    patch_history,
    planned,
    threads,
)


class HistoryErrorEntryParameters(Parameters, frozen=True, kw_only=True):
    """Whether what finished before the failure is in its outputs."""

    outputs: Literal["partial", "none"] = "partial"


MESSAGE = "the picture is upside down"


def direct(settings: HistoryErrorEntryParameters) -> Directions:
    def entry(entry: dict[str, Any], prompt: ObservedPrompt) -> dict[str, Any]:
        return entry if settings.outputs == "partial" else {**entry, "outputs": {}}

    return Directions(
        operators=(
            drop(anything, "everything", after=event("execution_start")),
            patch_history("no outputs", entry),
        ),
        plan=planned(raises={"type": "ValueError", "message": MESSAGE}),
    )


SCENARIO = Scenario(
    name="history-error-entry",
    row="A73",
    category="history",
    summary=__doc__,
    correct="takes the entry as the end, and reports the error in it",
    keeps=("K1", "K9"),
    evidence=threads("measured: comfyui-autoflow never ends on it"),
    truth=("error",),
    reason=(MESSAGE,),
    settings=HistoryErrorEntryParameters,
    direct=direct,
    workflow=TWO_OUTPUTS,
)
