"""The server is another version of ComfyUI: some fields and frames are missing, some are new."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import Directions, Parameters, Scenario, threads


class ProfileParameters(Parameters, frozen=True, kw_only=True):
    """Which version of ComfyUI, and what of it is otherwise."""

    version: str = "0.3.10"
    fact: tuple[str, ...] = ()
    """Facts of its table of versions that are switched, each as ``NAME=on`` or ``NAME=off``."""


def direct(settings: ProfileParameters) -> Directions:
    engine: dict[str, Any] = {"comfyui_version": settings.version, "facts": settings.fact}
    return Directions(engine=engine)


SCENARIO = Scenario(
    name="profile",
    row="A95",
    category="drift",
    summary=__doc__,
    correct="tolerates missing and additional fields",
    keeps=("K1", "K5", "K6"),
    evidence=threads("StableCanvas/comfyui-client#7", "SaladTechnologies/comfyui-api#106"),
    settings=ProfileParameters,
    direct=direct,
)
