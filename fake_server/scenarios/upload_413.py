"""An upload is too large for the server."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    WITH_UPLOAD,
    Directions,
    Parameters,
    Scenario,
    respond,
    route,
    text_response,
    threads,
)

TEXT = "Maximum request body size 104857600 exceeded."


def direct(settings: Parameters) -> Directions:
    too_large = text_response(TEXT, 413)
    return Directions(operators=(respond(route("POST /upload/{}"), "an upload", too_large),))


SCENARIO = Scenario(
    name="upload-413",
    row="A86",
    category="outputs",
    summary=__doc__,
    correct="says that the file is too large",
    keeps=("K9",),
    evidence=threads("CU#14328", "MCP#1910"),
    reason=("413", "exceeded"),
    truth=("rejected", "error"),
    direct=direct,
    workflow=WITH_UPLOAD,
)
