"""The server does not take the client's id but gives out a new one with each connection."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    Observer,
    Parameters,
    Scenario,
    change_upgrade,
    threads,
)
from fake_server.source import UpgradeRequested


def direct(settings: Parameters) -> Directions:
    def nameless(knocked: UpgradeRequested, observer: Observer) -> UpgradeRequested:
        return UpgradeRequested(knocked.socket, knocked.request.with_query(clientId=None))

    return Directions(operators=(change_upgrade("the client id", nameless),))


SCENARIO = Scenario(
    name="sid-changes",
    row="A38",
    category="reconnects",
    summary=__doc__,
    correct="keeps an id of its own, and asks the history when its frames go elsewhere",
    keeps=("K2",),
    evidence=threads("CU#2258"),
    direct=direct,
)
