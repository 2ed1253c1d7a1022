"""Named departures from normal, one small file each. ``kit`` is what they are made of. Those of
another surface than ComfyUI's own are in a folder with its name: ``v2-queue-full`` is
``v2/queue_full.py``.

``find("ws-silent")`` gives one, ``choose("ws-silent:after=start")`` one with its settings,
``select("A0?")`` several; ``register`` adds your own, ``unregister`` takes it away. ``Stage`` plays
one over any source.
"""

from fake_server.scenarios.kit.operator import Complaint, Operator
from fake_server.scenarios.kit.registry import (
    ALIASES,
    Choice,
    catalogue,
    choice_of,
    choose,
    find,
    names,
    register,
    scenario_surfaces,
    select,
    unregister,
)
from fake_server.scenarios.kit.scenario import Directions, Scenario, Transport, settings_from
from fake_server.scenarios.kit.stage import Stage

__all__ = [
    "ALIASES",
    "Choice",
    "Complaint",
    "Directions",
    "Operator",
    "Scenario",
    "Stage",
    "Transport",
    "catalogue",
    "choice_of",
    "choose",
    "find",
    "names",
    "register",
    "scenario_surfaces",
    "select",
    "settings_from",
    "unregister",
]
