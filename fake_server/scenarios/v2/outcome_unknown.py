"""The submission gets 500 `upstream_error`, and the job was made all the same."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    SPEC,
    SUBMIT,
    Directions,
    Observer,
    Parameters,
    Scenario,
    change_response,
    v2_error,
)
from fake_server.source import Request, Response


def direct(settings: Parameters) -> Directions:
    unknown = v2_error(500, "upstream_error", "an upstream service failed")
    told: list[bool] = []

    def failed(response: Response, request: Request, observer: Observer) -> Response:
        if told or response.status != 201:
            return response
        told.append(True)
        return unknown

    return Directions(
        operators=(change_response(SUBMIT, "the answer to POST /jobs", failed, needed=True),)
    )


SCENARIO = Scenario(
    name="v2-outcome-unknown",
    row="V08",
    category="v2",
    summary=__doc__,
    correct="looks for the job in the list instead of calling it failed",
    keeps=("K1", "K3"),
    evidence=(SPEC,),
    truth=("success", "lost"),
    direct=direct,
    surface="v2",
)
