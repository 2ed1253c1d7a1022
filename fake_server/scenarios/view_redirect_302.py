"""`/view` redirects to a signed address on another host."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    VIEW,
    Directions,
    Observer,
    Parameters,
    Scenario,
    respond,
    threads,
)
from fake_server.source import Request, Response


def direct(settings: Parameters) -> Directions:
    def elsewhere(request: Request, observer: Observer) -> Response:
        host, _, port = request.header("Host", "127.0.0.1").rpartition(":")
        other = "localhost" if host == "127.0.0.1" else "127.0.0.1"
        target = f"{request.target}&signature=abc"
        return Response(302, (("Location", f"http://{other}:{port}{target}"),))

    def unsigned(request: Request, observer: Observer) -> bool:
        return "signature" not in request.query

    return Directions(operators=(respond(VIEW, "GET /view", elsewhere, when=unsigned),))


SCENARIO = Scenario(
    name="view-redirect-302",
    row="A83",
    category="outputs",
    summary=__doc__,
    correct="follows it, without sending its key to the other host",
    keeps=("K5", "K9"),
    evidence=threads("Comfy Cloud's documentation"),
    direct=direct,
)
