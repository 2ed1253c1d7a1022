"""GET works, and POST and the socket are refused with 403, as for a foreign Origin."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, refuse, threads
from fake_server.source import Happened, Request, RequestReceived, UpgradeRequested


class Origin403Parameters(Parameters, frozen=True, kw_only=True):
    """What is refused; ``always`` false: only requests that carry an Origin."""

    http: bool = True
    ws: bool = True
    always: bool = True


def direct(settings: Origin403Parameters) -> Directions:
    def foreign(request: Request) -> bool:
        return settings.always or bool(request.header("Origin"))

    def fits(happened: Happened) -> bool:
        if isinstance(happened, UpgradeRequested):
            return settings.ws and foreign(happened.request)
        post = isinstance(happened, RequestReceived) and happened.request.method == "POST"
        return settings.http and post and foreign(happened.request)  # type: ignore[union-attr]  # an Asked

    needed = settings.always
    return Directions(
        operators=(refuse("for its origin", n=1_000_000, how=403, fits=fits, needed=needed),)
    )


SCENARIO = Scenario(
    name="origin-403",
    row="A88",
    category="proxies",
    summary=__doc__,
    correct="reports that it was rejected, with the 403",
    keeps=("K1", "K9"),
    evidence=threads(
        "CU#4854", "CU#11887", "Spadic21/ComfyInject#15", "Comfy-Org/ComfyUI-Manager#2453"
    ),
    truth=("rejected",),
    reason=("403",),
    settings=Origin403Parameters,
    direct=direct,
)
