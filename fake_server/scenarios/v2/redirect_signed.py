"""The bytes of an output lie behind a redirect to a signed URL on another host."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    SPEC,
    Directions,
    Parameters,
    Scenario,
)


class RedirectParameters(Parameters, frozen=True, kw_only=True):
    """The key that the API asks for; the storage must not get it."""

    token: str = "comfyui-fake-token"


def direct(settings: RedirectParameters) -> Directions:
    return Directions(surface={"content": "redirect", "token": settings.token})


SCENARIO = Scenario(
    name="v2-redirect-signed",
    row="V17",
    category="v2",
    summary=__doc__,
    correct="follows it without its key",
    keeps=("K1", "K5", "K9"),
    evidence=(SPEC, "Comfy-Org/docs#1406: X-API-Key went to Google storage"),
    settings=RedirectParameters,
    direct=direct,
    surface="v2",
)
