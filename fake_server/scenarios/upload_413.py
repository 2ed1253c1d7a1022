"""An upload is too large for the server."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    WITH_UPLOAD,
    Directions,
    Parameters,
    Scenario,
    answer,
    route,
    text_answer,
    threads,
)

TEXT = "Maximum request body size 104857600 exceeded."


def direct(settings: Parameters) -> Directions:
    too_large = text_answer(TEXT, 413)
    return Directions(operators=(answer(route("POST /upload/{}"), "an upload", too_large),))


SCENARIO = Scenario(
    name="upload-413",
    row="A86",
    category="outputs",
    summary=__doc__,
    correct="says that the file is too large, with the limit",
    keeps=("K9",),
    evidence=threads("CU#14328", "MCP#1910"),
    reason=("413", "exceeded"),
    truth=("rejected", "error"),
    direct=direct,
    workflow=WITH_UPLOAD,
)
