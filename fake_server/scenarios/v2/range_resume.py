"""A download is cut off in the middle."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    CONTENT,
    SPEC,
    Directions,
    Observer,
    Parameters,
    Scenario,
    change_response,
)
from fake_server.source import Request, Response


class RangeResumeParameters(Parameters, frozen=True, kw_only=True):
    """After how many bytes, and how often."""

    first: Annotated[int, msgspec.Meta(ge=1)] = 20
    times: Annotated[int, msgspec.Meta(ge=1)] = 1


def direct(settings: RangeResumeParameters) -> Directions:
    cut: list[int] = []

    def shorten(response: Response, request: Request, observer: Observer) -> Response:
        whole = response.in_memory()
        if len(cut) >= settings.times or whole.status not in (200, 206):
            return response
        if len(whole.body) <= settings.first:
            return response
        cut.append(1)
        length = ("Content-Length", str(len(whole.body)))
        fields = [field for field in whole.headers if field[0].lower() != "content-length"]
        return msgspec.structs.replace(
            whole, headers=(*fields, length), body=whole.body[: settings.first], close=True
        )

    return Directions(operators=(change_response(CONTENT, "a download", shorten),))


SCENARIO = Scenario(
    name="v2-range-resume",
    row="V23",
    category="v2",
    summary=__doc__,
    correct="asks for the rest, and keeps no half a file",
    keeps=("K1", "K5"),
    evidence=(SPEC,),
    settings=RangeResumeParameters,
    direct=direct,
    surface="v2",
)
