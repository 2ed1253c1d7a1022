"""The quota is used up: 429, or 402 when waiting will not help."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    json_response,
    posts,
    respond,
    threads,
)


class RateLimitParameters(Parameters, frozen=True, kw_only=True):
    """The status, and how often it is given."""

    status: Literal[429, 402] = 429
    times: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000


def direct(settings: RateLimitParameters) -> Directions:
    words = {429: "Too many requests", 402: "Insufficient credits"}[settings.status]
    reply = json_response({"error": {"message": words, "type": "quota"}}, settings.status)
    if settings.status == 429:
        headers = (*reply.headers, ("Retry-After", "1"))
        reply = msgspec.structs.replace(reply, headers=headers)
    limited = respond(posts, "POST /prompt", reply, times=settings.times, needed=True)
    return Directions(operators=(limited,))


SCENARIO = Scenario(
    name="rate-limit",
    row="A94",
    category="proxies",
    summary=__doc__,
    correct="says which limit it met; does not hammer the server",
    keeps=("K1", "K8", "K9"),
    evidence=threads("Comfy Cloud's documentation"),
    truth=("rejected",),
    reason=("429", "402", "Too many requests", "Insufficient credits", "quota"),
    settings=RateLimitParameters,
    direct=direct,
    shows_on=("cloud",),
)
