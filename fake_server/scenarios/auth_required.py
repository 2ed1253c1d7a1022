"""A proxy requires a token: without it 401, 403, or a redirect to a login page."""

from __future__ import annotations

from typing import Literal

import msgspec

from fake_server.scenarios.kit import Directions, Parameters, Scenario, deny, text_response, threads
from fake_server.source import Happened, Request, RequestReceived, Response, UpgradeRequested


class AuthRequiredParameters(Parameters, frozen=True, kw_only=True):
    """How it refuses, whether only sockets, and the token it would take."""

    how: Literal["401", "403", "302"] = "401"
    ws_only: bool = False
    token: str = "open-sesame"


def direct(settings: AuthRequiredParameters) -> Directions:
    def refused(happened: Happened) -> bool:
        if isinstance(happened, RequestReceived) and settings.ws_only:
            return False
        return isinstance(happened, RequestReceived | UpgradeRequested) and not _admitted(
            happened.request, settings
        )

    return Directions(operators=(deny("without a token", refused, _refusal(settings.how)),))


def _admitted(request: Request, settings: AuthRequiredParameters) -> bool:
    given = (request.header("Authorization"), request.header("X-API-Key"))
    return any(settings.token in text for text in given) or settings.token in request.target


def _refusal(how: str) -> Response:
    if how == "302":
        return Response(302, (("Location", "/login"),))
    status = int(how)
    reply = text_response(f"{status}: a token is needed", status)
    if status == 401:
        headers = (*reply.headers, ("WWW-Authenticate", 'Bearer realm="ComfyUI"'))
        reply = msgspec.structs.replace(reply, headers=headers)
    return reply


SCENARIO = Scenario(
    name="auth-required",
    row="A89",
    category="proxies",
    summary=__doc__,
    correct="sends its token with requests and sockets, or says that one is needed",
    keeps=("K1", "K9"),
    evidence=threads("OW#4928", "ai-dock/comfyui#110", "comfy-addons/comfyui-sdk#21"),
    truth=("rejected", "success"),
    reason=("401", "403", "302", "token", "login", "auth"),
    settings=AuthRequiredParameters,
    direct=direct,
)
