"""A node raises an exception."""

from __future__ import annotations

from typing import Any, Literal

from fake_server.scenarios.kit import (
    Directions,
    ObservedPrompt,
    Parameters,
    Scenario,
    event,
    mutate,
    patch_history,
    planned,
    threads,
)


class ExecutionErrorParameters(Parameters, frozen=True, kw_only=True):
    """What is raised; ``tips``: with advice behind it; ``shape``: of `current_outputs`."""

    exception_type: str = "RuntimeError"
    message: str = "the node ran out of luck"
    tips: bool = False
    shape: Literal["list", "dict"] = "list"


TIP = '\nTIPS: If you have any "Load Checkpoint" nodes, use a smaller one.\n'


def direct(settings: ExecutionErrorParameters) -> Directions:
    def reshape(data: dict[str, Any]) -> dict[str, Any]:
        changed = {**data}
        if settings.tips:
            changed["exception_message"] = data["exception_message"].rstrip("\n") + TIP
        if settings.shape == "dict":
            changed["current_outputs"] = {node: [] for node in data["current_outputs"]}
        return changed

    def entry(entry: dict[str, Any], prompt: ObservedPrompt) -> dict[str, Any]:
        messages = [
            [kind, reshape(data) if kind == "execution_error" else data]
            for kind, data in entry["status"]["messages"]
        ]
        return {**entry, "status": {**entry["status"], "messages": messages}}

    failure = {"type": settings.exception_type, "message": settings.message}
    return Directions(
        operators=(
            mutate(event("execution_error"), "execution_error", reshape),
            patch_history("the same error", entry),
        ),
        plan=planned(raises=failure),
    )


SCENARIO = Scenario(
    name="execution-error",
    row="A57",
    category="errors",
    summary=__doc__,
    correct="reports an error, with the server's message",
    keeps=("K6", "K9"),
    evidence=threads("CU#5905", "measured"),
    truth=("error",),
    reason=("ran out of luck", "OutOfMemory"),
    settings=ExecutionErrorParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
