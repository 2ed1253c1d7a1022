"""A job fails, and its status is not `error` but a word beside it."""

from __future__ import annotations

from typing import Literal

from fake_server.scenarios.kit import Directions, Parameters, Scenario, planned

MESSAGE = "the sampler ran out of luck"


class FailureWordsParameters(Parameters, frozen=True, kw_only=True):
    """The word; comfy-cli takes all of them for a failure."""

    word: Literal["non_retryable_error", "retryable_error", "error"] = "non_retryable_error"


def direct(settings: FailureWordsParameters) -> Directions:
    failure = {"type": "RuntimeError", "message": MESSAGE}
    return Directions(surface={"failed_as": settings.word}, plan=planned(raises=failure))


SCENARIO = Scenario(
    name="cloud-failure-words",
    row="C02",
    category="cloud",
    summary=__doc__,
    correct="reports an error, with the server's message",
    keeps=("K1", "K2", "K3", "K9"),
    evidence=("Comfy Cloud's documentation: the table of job status values", "comfy-cli 1.23"),
    truth=("error",),
    reason=("ran out of luck",),
    settings=FailureWordsParameters,
    direct=direct,
    surface="cloud",
)
