"""An uploaded file is stored under another name than it came with."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from fake_server.scenarios.kit import (
    WITH_UPLOAD,
    Directions,
    Observer,
    Parameters,
    Scenario,
    change_request,
    json_response,
    patch_json,
    posts,
    respond,
    route,
    threads,
)
from fake_server.source import Request


def direct(settings: Parameters) -> Directions:
    stored: dict[str, str] = {}

    def renamed(value: Any, request: Request, observer: Observer) -> Any:
        stem, dot, end = value["name"].rpartition(".")
        shown = f"{stem} (1){dot}{end}"
        stored[shown] = value["name"]
        return {**value, "name": shown}

    def by_new_name(request: Request, observer: Observer) -> Request:
        text = request.body.decode("utf-8", "replace")
        for shown, name in stored.items():
            text = text.replace(json.dumps(shown)[1:-1], json.dumps(name)[1:-1])
        return msgspec.structs.replace(request, body=text.encode()) if stored else request

    def old_name(request: Request, observer: Observer) -> bool:
        text = request.body.decode("utf-8", "replace")
        return any(f'"{name}"' in text for name in stored.values())

    error = {
        "type": "prompt_outputs_failed_validation",
        "message": "Prompt outputs failed validation",
        "details": "Invalid image file",
        "extra_info": {},
    }
    unknown = json_response({"error": error, "node_errors": {}}, 400)
    return Directions(
        operators=(
            patch_json(route("POST /upload/image"), "the answer to an upload", renamed),
            respond(posts, "a prompt with the old name", unknown, when=old_name),
            change_request(posts, "the new name", by_new_name, needed=False),
        )
    )


SCENARIO = Scenario(
    name="upload-renamed",
    row="A85",
    category="outputs",
    summary=__doc__,
    correct="uses the name (and the subfolder) in the response",
    keeps=("K1",),
    evidence=threads("FE#10220", "MCP#1693", "legal-hkr/comfychair#40", "CU#644"),
    direct=direct,
    workflow=WITH_UPLOAD,
)
