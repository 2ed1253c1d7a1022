"""`execution_error` has a prompt_id and a message, and nothing of what a local server adds."""

from __future__ import annotations

from typing import Literal

from fake_server.scenarios.kit import Directions, Parameters, Scenario, planned, threads

MESSAGE = "the sampler ran out of luck"


class ErrorFieldsParameters(Parameters, frozen=True, kw_only=True):
    """``least``: what the schema demands; ``few``: with the category."""

    fields: Literal["least", "few", "all"] = "least"
    exception_type: str = "RuntimeError"


def direct(settings: ErrorFieldsParameters) -> Directions:
    failure = {"type": settings.exception_type, "message": MESSAGE}
    return Directions(surface={"errors": settings.fields}, plan=planned(raises=failure))


SCENARIO = Scenario(
    name="cloud-error-fields",
    row="C04",
    category="cloud",
    summary=__doc__,
    correct="reports an error, with the server's message",
    keeps=("K1", "K3", "K6", "K9"),
    evidence=threads("CLI#683", "openapi-cloud.yaml: WebSocketExecutionErrorMessage"),
    truth=("error",),
    reason=("ran out of luck",),
    settings=ErrorFieldsParameters,
    direct=direct,
    surface="cloud",
)
