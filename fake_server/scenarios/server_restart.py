"""The server restarts in the middle of the run: queue and history are empty."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    crash,
    delay_history,
    slow,
    some_node,
    threads,
)


class ServerRestartParameters(Parameters, frozen=True, kw_only=True):
    """How long it is down, and whether it still knows what ended before."""

    down_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.2
    keep_history: bool = False


def direct(settings: ServerRestartParameters) -> Directions:
    back_ms = round(settings.down_s * 1000)
    gone = crash("in a node", at=some_node, back_ms=back_ms, forget=not settings.keep_history)
    forgotten = delay_history("the prompt", for_good=True) if settings.keep_history else []
    return Directions(operators=(gone, *forgotten), plan=slow(0.05))


SCENARIO = Scenario(
    name="server-restart",
    row="A37",
    category="reconnects",
    summary=__doc__,
    correct="finds that the server no longer knows the prompt, and reports it as lost",
    keeps=("K1", "K2"),
    evidence=threads("MCP#2934", "Comfy-Org/comfy-mcp#95", "PNL#1251"),
    truth=("lost",),
    settings=ServerRestartParameters,
    direct=direct,
    shows_on=("v2", "cloud"),
)
