"""The account has no credits left (402), or no subscription (429)."""

from __future__ import annotations

from typing import Literal

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    json_response,
    posts,
    respond,
)

MESSAGES = {402: "Insufficient credits", 429: "Subscription inactive"}


class CreditsParameters(Parameters, frozen=True, kw_only=True):
    """The status."""

    status: Literal[402, 429] = 402


def direct(settings: CreditsParameters) -> Directions:
    error = {"type": "payment_required", "message": MESSAGES[settings.status], "details": ""}
    refusal = json_response({"error": error, "node_errors": {}}, settings.status)
    return Directions(operators=(respond(posts, "POST /api/prompt", refusal, needed=True),))


SCENARIO = Scenario(
    name="cloud-insufficient-credits",
    row="C08",
    category="cloud",
    summary=__doc__,
    correct="reports that it was rejected, with the server's own reason",
    keeps=("K1", "K8", "K9"),
    evidence=("Comfy Cloud's documentation: HTTP errors",),
    truth=("rejected",),
    reason=("Insufficient credits", "Subscription inactive", "402", "429"),
    settings=CreditsParameters,
    direct=direct,
    surface="cloud",
)
