"""The prompt reaches the server without its `client_id`: few frames tell what becomes of it."""

from __future__ import annotations

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Observer,
    Parameters,
    Scenario,
    change_request,
    posts,
    slow,
    threads,
    write_json,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def anonymous(request: Request, observer: Observer) -> Request:
        body = request.json
        if not isinstance(body, dict) or "client_id" not in body:
            return request
        del body["client_id"]
        return msgspec.structs.replace(request, body=write_json(body))

    lost = change_request(posts, "the client_id of a prompt", anonymous, needed=False)
    return Directions(operators=(lost,), plan=slow(0.3, steps=3))


SCENARIO = Scenario(
    name="run-without-client-id",
    row="A09",
    category="completion",
    summary=__doc__,
    correct="asks the history when the socket says nothing",
    keeps=("K2", "K5"),
    evidence=threads("CU#14939", "measured"),
    direct=direct,
)
