"""An upload whose file name contains a path is refused."""

from __future__ import annotations

import re

from fake_server.scenarios.kit import (
    WITH_UPLOAD,
    Directions,
    Observer,
    Parameters,
    Scenario,
    respond,
    route,
    threads,
)
from fake_server.source import Request, Response

_PATH = re.compile(rb'filename="[^"]*[/\\]')


def direct(settings: Parameters) -> Directions:
    def has_path(request: Request, observer: Observer) -> bool:
        return _PATH.search(request.body) is not None

    refused = respond(route("POST /upload/{}"), "a path in a name", Response(400), when=has_path)
    return Directions(operators=(refused,))


SCENARIO = Scenario(
    name="upload-path-in-name",
    row="A87",
    category="outputs",
    summary=__doc__,
    correct="puts the folder into the field `subfolder`",
    keeps=("K1",),
    evidence=threads("MCP#985"),
    direct=direct,
    workflow=WITH_UPLOAD,
)
