"""A proxy answers `POST /prompt` with a page of its own."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    html_page,
    posts,
    respond,
    threads,
)


class HtmlInsteadOfJsonParameters(Parameters, frozen=True, kw_only=True):
    """With which status."""

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 502


def direct(settings: HtmlInsteadOfJsonParameters) -> Directions:
    page = html_page(settings.status, f"{settings.status} Bad Gateway")
    return Directions(operators=(respond(posts, "POST /prompt", page, needed=True),))


SCENARIO = Scenario(
    name="html-instead-of-json",
    row="A60",
    category="errors",
    summary=__doc__,
    correct="reports that it was rejected, and what came in place of JSON",
    keeps=("K1", "K9"),
    evidence=threads("andreyryabtsev/comfyui-python-api#2", "MCP#1910"),
    truth=("rejected",),
    reason=("502", "Bad Gateway", "JSON", "HTML", "html", "json"),
    settings=HtmlInsteadOfJsonParameters,
    direct=direct,
)
