"""The prompt is refused with 400, and the response says why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
from fake_server.source import Request, Response


class Reject400Parameters(Parameters, frozen=True, kw_only=True):
    """The refusal's type, and whether single nodes are named."""

    type: str = "prompt_outputs_failed_validation"
    node_errors: bool = True


def direct(settings: Reject400Parameters) -> Directions:
    def refuse(request: Request, observer: Observer) -> Response:
        body = request.json
        graph = body.get("prompt", {}) if isinstance(body, dict) else {}
        errors = _errors(graph) if settings.node_errors else {}
        message = _MESSAGES.get(settings.type, settings.type)
        details = "Value not in list: ckpt_name: 'gone.safetensors' not in []" if errors else ""
        error = {"type": settings.type, "message": message, "details": details, "extra_info": {}}
        return json_response({"error": error, "node_errors": errors}, 400)

    return Directions(operators=(respond(posts, "POST /prompt", refuse, needed=True),))


_MESSAGES = {
    "prompt_outputs_failed_validation": "Prompt outputs failed validation",
    "prompt_no_outputs": "Prompt has no outputs",
    "no_prompt": "No prompt provided",
    "missing_node_type": "Node 'Gone' not found. The custom node may not be installed.",
    "invalid_prompt_id": "prompt_id must be a valid UUID",
}


def _errors(graph: Mapping[str, Any]) -> dict[str, Any]:
    node = next(iter(graph), "1")
    error = {
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": "ckpt_name: 'gone.safetensors' not in []",
        "extra_info": {
            "input_name": "ckpt_name",
            "input_config": [[], {}],
            "received_value": "gone.safetensors",
        },
    }
    kind = graph.get(node, {}).get("class_type", "")
    return {node: {"errors": [error], "dependent_outputs": list(graph)[-1:], "class_type": kind}}


SCENARIO = Scenario(
    name="reject-400",
    row="A53",
    category="errors",
    summary=__doc__,
    correct="reports that it was rejected, with the server's own reason",
    keeps=("K1", "K9"),
    evidence=threads("MCP#485", "nux1111/ComfyUI_NetDist_Plus#4"),
    truth=("rejected",),
    reason=("failed validation", "not in list", "prompt_outputs_failed_validation"),
    settings=Reject400Parameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
