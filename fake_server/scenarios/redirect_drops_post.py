"""A redirect turns the POST into a GET: the response has no prompt_id."""

from __future__ import annotations

from typing import Literal

from fake_server.scenarios.kit import (
    Directions,
    Observer,
    Parameters,
    Scenario,
    posts,
    respond,
    threads,
)
from fake_server.source import Request, Response


class RedirectDropsPostParameters(Parameters, frozen=True, kw_only=True):
    """With which status; 307 keeps the method."""

    status: Literal[301, 302, 307] = 302


def direct(settings: RedirectDropsPostParameters) -> Directions:
    def elsewhere(request: Request, observer: Observer) -> Response:
        return Response(settings.status, (("Location", f"{request.path}?moved=1"),))

    def still_here(request: Request, observer: Observer) -> bool:
        return "moved" not in request.query

    moved = respond(posts, "POST /prompt", elsewhere, when=still_here, needed=True)
    return Directions(operators=(moved,))


SCENARIO = Scenario(
    name="redirect-drops-post",
    row="A61",
    category="errors",
    summary=__doc__,
    correct="follows no redirect of a POST (or, on 307, repeats it as a POST)",
    keeps=("K1",),
    evidence=threads("StableCanvas/comfyui-client#3"),
    truth=("rejected", "success"),
    settings=RedirectDropsPostParameters,
    direct=direct,
)
