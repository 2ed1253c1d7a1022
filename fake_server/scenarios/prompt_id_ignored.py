"""The server gives the prompt another id than the client asked for."""

from __future__ import annotations

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Observer,
    Parameters,
    Scenario,
    change_request,
    posts,
    threads,
    write_json,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def unnamed(request: Request, observer: Observer) -> Request:
        body = request.json
        if not isinstance(body, dict) or "prompt_id" not in body:
            return request
        rest = {key: value for key, value in body.items() if key != "prompt_id"}
        return msgspec.structs.replace(request, body=write_json(rest))

    own = change_request(posts, "the prompt_id that was asked for", unnamed, needed=False)
    return Directions(operators=(own,))


SCENARIO = Scenario(
    name="prompt-id-ignored",
    row="A62",
    category="errors",
    summary=__doc__,
    correct="uses the id in the response",
    keeps=("K4",),
    evidence=threads("krita-ai-diffusion demands a server that keeps it", "measured"),
    direct=direct,
)
