"""Only `/api/...` can be reached, or, as on old servers, only the bare routes."""

from __future__ import annotations

from typing import Literal

from fake_server.scenarios.kit import Directions, Parameters, Scenario, deny, text_response, threads
from fake_server.source import Happened, RequestReceived, UpgradeRequested


class ApiPrefixOnlyParameters(Parameters, frozen=True, kw_only=True):
    """Which of the two."""

    only: Literal["api", "bare"] = "api"


def direct(settings: ApiPrefixOnlyParameters) -> Directions:
    def outside(happened: Happened) -> bool:
        if not isinstance(happened, RequestReceived | UpgradeRequested):
            return False
        return happened.request.target.startswith("/api/") != (settings.only == "api")

    refused = deny("outside", outside, text_response("404: Not Found", 404), needed=False)
    return Directions(operators=(refused,))


SCENARIO = Scenario(
    name="api-prefix-only",
    row="A92",
    category="proxies",
    summary=__doc__,
    correct="finds out which of the two there is, or says what was not found",
    keeps=("K1", "K9"),
    evidence=threads("the alias of 2024-06-19", "Comfy Cloud's documentation"),
    truth=("success", "rejected"),
    reason=("404",),
    settings=ApiPrefixOnlyParameters,
    direct=direct,
)
