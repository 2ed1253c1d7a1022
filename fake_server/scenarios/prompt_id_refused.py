"""A prompt that comes with an id of its own is refused."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Observer,
    Parameters,
    Scenario,
    json_response,
    posts,
    respond,
    threads,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    def has_id(request: Request, observer: Observer) -> bool:
        body = request.json
        return isinstance(body, dict) and body.get("prompt_id") is not None

    error = {
        "type": "invalid_prompt_id",
        "message": "prompt_id must be a valid UUID",
        "details": "prompt_id must be a valid UUID",
        "extra_info": {},
    }
    refusal = json_response({"error": error, "node_errors": {}}, 400)
    return Directions(operators=(respond(posts, "a prompt with an id", refusal, when=has_id),))


SCENARIO = Scenario(
    name="prompt-id-refused",
    row="A62",
    category="errors",
    summary=__doc__,
    correct="says so, or submits again without an id",
    keeps=("K1", "K9"),
    evidence=threads("measured: upper-case UUIDs are refused"),
    truth=("success", "rejected"),
    reason=("prompt_id",),
    direct=direct,
)
