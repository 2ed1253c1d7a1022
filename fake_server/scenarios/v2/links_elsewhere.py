"""The links of a job lead to another host."""

from __future__ import annotations

import msgspec

from fake_server.scenarios.kit import (
    EVENTS,
    JOB,
    SDK_STUBS,
    SUBMIT,
    Directions,
    Observer,
    Parameters,
    Scenario,
    change_request,
    change_response,
    read_json,
    v2_route,
    write_json,
)
from fake_server.source import Request, Response


class LinksElsewhereParameters(Parameters, frozen=True, kw_only=True):
    """The key that the API asks for; another host must not get it."""

    token: str = "comfyui-fake-token"


def direct(settings: LinksElsewhereParameters) -> Directions:
    def moved(response: Response, request: Request, observer: Observer) -> Response:
        value = read_json(response.body)
        urls = value.get("urls") if isinstance(value, dict) else None
        if not isinstance(urls, dict):
            return response
        value["urls"] = {name: _elsewhere(str(url)) for name, url in urls.items()}
        return msgspec.structs.replace(response, body=write_json(value))

    def without_key(request: Request, observer: Observer) -> bool:
        host = request.header("Host").partition(":")[0]
        return host == "localhost" and not request.header("Authorization")

    def let_in(request: Request, observer: Observer) -> Request:
        if not without_key(request, observer):
            return request
        key = ("Authorization", f"Bearer {settings.token}")
        return msgspec.structs.replace(request, headers=(*request.headers, key))

    return Directions(
        operators=(
            change_response(SUBMIT, "the links of a job", moved, needed=True),
            change_response(JOB, "the links of a job", moved),
            *(change_request(one, "links elsewhere", let_in, needed=False) for one in _FOLLOWED),
        ),
        surface={"token": settings.token},
    )


_FOLLOWED = (JOB, EVENTS, v2_route("POST /jobs/{}/cancel"))


def _elsewhere(url: str) -> str:
    return url.replace("//127.0.0.1", "//localhost", 1)


SCENARIO = Scenario(
    name="v2-links-elsewhere",
    row="V18",
    category="v2",
    summary=__doc__,
    correct="follows them without its key",
    keeps=("K1", "K3", "K9"),
    evidence=(*SDK_STUBS,),
    settings=LinksElsewhereParameters,
    direct=direct,
    surface="v2",
)
