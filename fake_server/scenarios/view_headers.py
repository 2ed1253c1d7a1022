"""`/view` answers with sparse headers: a name without a disposition, and no useful type."""

from __future__ import annotations

import msgspec

from fake_server.scenarios.kit import (
    VIEW,
    Directions,
    Observer,
    Parameters,
    Scenario,
    change_response,
    threads,
)
from fake_server.source import Request, Response


def direct(settings: Parameters) -> Directions:
    def sparse(reply: Response, request: Request, observer: Observer) -> Response:
        kept = [pair for pair in reply.headers if pair[0].lower() == "etag"]
        name = request.first("filename") or ""
        own = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Disposition", f'filename="{name}"'),
        ]
        return msgspec.structs.replace(reply, headers=(*own, *kept))

    return Directions(operators=(change_response(VIEW, "GET /view", sparse),))


SCENARIO = Scenario(
    name="view-headers",
    row="A84",
    category="outputs",
    summary=__doc__,
    correct="goes by the file name of the history, not by headers",
    keeps=("K5",),
    evidence=threads("the server's code: octet-stream for SVG and HTML"),
    direct=direct,
)
