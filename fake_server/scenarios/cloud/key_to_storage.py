"""`/api/view` redirects to the storage, which is another host and must not get the key."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, threads


class KeyToStorageParameters(Parameters, frozen=True, kw_only=True):
    """The key that the API asks for."""

    token: str = "comfyui-fake-key"


def direct(settings: KeyToStorageParameters) -> Directions:
    return Directions(surface={"key": settings.token})


SCENARIO = Scenario(
    name="cloud-key-to-storage",
    row="C03",
    category="cloud",
    summary=__doc__,
    correct="follows it, without sending its key to the other host",
    keeps=("K5", "K9"),
    evidence=threads(
        "Comfy-Org/docs#1406", "the official quick start: requests and curl -L sent X-API-Key"
    ),
    settings=KeyToStorageParameters,
    direct=direct,
    surface="cloud",
)
