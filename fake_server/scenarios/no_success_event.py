"""Only the null `executing` ends the run: servers before July 2024 send no `execution_success`."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Parameters, Scenario, drop, event, threads


class NoSuccessEventParameters(Parameters, frozen=True, kw_only=True):
    """``profile``: also speak as a server of that version in all other respects."""

    profile: str = ""


def direct(settings: NoSuccessEventParameters) -> Directions:
    engine = {"comfyui_version": settings.profile} if settings.profile else {}
    missing = drop(event("execution_success"), "execution_success", needed=not settings.profile)
    return Directions(operators=(missing,), engine=engine)


SCENARIO = Scenario(
    name="no-success-event",
    row="A02",
    category="completion",
    summary=__doc__,
    correct="takes either signal as the end, and confirms it with the history",
    keeps=("K1", "K2"),
    evidence=threads("the server's git log: execution_success came on 2024-07-21"),
    settings=NoSuccessEventParameters,
    direct=direct,
)
