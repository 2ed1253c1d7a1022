"""How long core nodes take in a lifelike run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from fake_server.nodes.values import Given, number

__all__ = ["Pace", "advanced_steps", "pace_by_outputs", "steps"]

STEPS_MAX: Final = 10_000


def steps(given: Given) -> int:
    """How many steps a sampler takes."""
    return max(1, min(int(number(given, "steps", 20)), STEPS_MAX))


def advanced_steps(given: Given) -> int:
    """How many steps a sampler takes that begins and ends somewhere in between."""
    wanted = int(number(given, "steps", 20))
    last = int(number(given, "end_at_step", wanted))
    return max(0, min(wanted, last) - int(number(given, "start_at_step", 0)))


class Pace(msgspec.Struct, frozen=True):
    """How long a class takes in a lifelike run."""

    seconds: float
    per_step: float = 0.0
    """For samplers: the time of each step, with a preview."""
    steps: Callable[[Given], int] = steps


_HEAVY: Final = Pace(0.1)
_LIGHT: Final = Pace(0.005)


def pace_by_outputs(output: Sequence[Any]) -> Pace:
    """A tenth of a second for what makes pictures, next to none for everything else."""
    return _HEAVY if any(kind in ("IMAGE", "LATENT", "MASK") for kind in output) else _LIGHT
