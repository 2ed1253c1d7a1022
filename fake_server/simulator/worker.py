"""What the prompts of one server share while they run, and nothing of the queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from comfyrec.versions import Era
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.seeded import SeededRandom
from fake_server.simulator.cache import OutputCache
from fake_server.simulator.clients import Clients
from fake_server.simulator.node_files import NodeFiles
from fake_server.simulator.node_plan import PlanFor
from fake_server.simulator.server_time import ServerTime
from fake_server.storage.assets import Assets

__all__ = ["Worker"]


def _nobody(_: Any) -> None:
    """Nobody reads along."""


class Worker(msgspec.Struct, eq=False, kw_only=True):
    """The state of the one thread that runs prompts."""

    era: Era
    options: ServerOptions
    catalogue: Catalogue
    plan_for: PlanFor
    time: ServerTime
    random: SeededRandom
    clients: Clients
    files: NodeFiles
    assets: Assets
    cache: OutputCache
    warm: set[str] = msgspec.field(default_factory=set)
    """Classes that have run already: what they load is loaded."""
    interrupted: bool = False
    """The interrupt flag."""
    success: bool = True
    """What the last node that ran came to; the server never clears it in between."""
    on_failed: Callable[[Mapping[str, Any]], None] = _nobody
    """Called with the data of an ``execution_error`` before it is said."""
