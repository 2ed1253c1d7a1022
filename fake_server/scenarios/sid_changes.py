"""The server ignores the client's id and gives each connection a new one."""

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
    correct="goes by the id it is given, or asks the history when its frames go elsewhere",
    keeps=("K2",),
    evidence=threads("CU#2258"),
    direct=direct,
)
