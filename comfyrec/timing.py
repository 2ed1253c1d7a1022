"""How long node classes take, as learned from recordings: what ``learn-timing`` writes and a fake
server draws from.

A run takes ``unit_us`` times what it is measured by (nothing, its steps, the megapixels of its
prompt, or both) times a ratio that is drawn from the recorded ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from comfyrec.errors import UsageError
from comfyrec.wording import kinds_in_words

__all__ = ["RATIOS", "TIMING_VERSION", "ClassTiming", "Measure", "Pool", "Timing", "megapixels"]

TIMING_VERSION: Final = 1
"""Moves when a field changes its meaning or goes."""
RATIOS: Final = 100
"""Groups of equally many runs, from the shortest to the longest, of which the mean is kept: so both
the mean and the quantiles of what is drawn are those of what was recorded."""
SIDE_MAX: Final = 1 << 24

Measure = Literal["run", "step", "megapixel", "step and megapixel"]


class Pool(msgspec.Struct, frozen=True):
    """The runs of a class that are alike: cold ones, or warm ones."""

    runs: int
    unit_us: float
    """Microseconds for one of what the class is measured by; the median."""
    ratios: tuple[float, ...]
    """What runs took for one unit, as multiples of ``unit_us``; each is as likely."""

    def draw(self, amount: float, chance: float) -> int:
        """Microseconds of one run.

        Args:
            amount: how many units it has.
            chance: from 0 up to 1.
        """
        ratio = self.ratios[min(int(chance * len(self.ratios)), len(self.ratios) - 1)]
        return round(self.unit_us * amount * ratio)


class ClassTiming(msgspec.Struct, frozen=True, kw_only=True):
    """One node class."""

    by: Measure
    warm: Pool
    cold: Pool | None = None
    """Its first run in a recording; None: too few were recorded, or they are like the others."""
    median_us: float
    spread: float
    """The ninth tenth of its runs over the first one: 1 means always the same. Less than a
    millisecond counts as one: it is not the node that it tells of."""
    per_step_us: float | None = None
    per_megapixel_us: float | None = None
    steps: float | None = None
    """Median of its steps; None: it reports none."""
    megapixels: float | None = None
    """Median of the megapixels of its prompts; None: their graphs name no size."""

    @property
    def usual_amount(self) -> float:
        """How many units most runs have."""
        return self._amount(None, None)

    def _amount(self, steps: float | None, megapixels: float | None) -> float:
        amount = 1.0
        if "step" in self.by:
            amount *= steps or self.steps or 1.0
        if "megapixel" in self.by:
            amount *= megapixels or self.megapixels or 1.0
        return amount

    def draw(
        self, *, steps: float | None, megapixels: float | None, cold: bool, chance: float
    ) -> int:
        """Microseconds of one run; what is not known of it is as in most recorded runs."""
        pool = self.cold if cold and self.cold is not None else self.warm
        return pool.draw(self._amount(steps, megapixels), chance)


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What a timing file holds."""

    timing_version: int = TIMING_VERSION
    recordings: int = 0
    node_runs: int = 0
    idle_wait_us: int = 0
    """From a POST to the start of its prompt when nothing else waits or runs; the median."""
    classes: Mapping[str, ClassTiming] = {}

    @classmethod
    def read(cls, data: bytes, name: str) -> Timing:
        """The content of a timing file, which errors call ``name``.

        Raises:
            UsageError: it is none, or one of another version.
        """
        try:
            version = msgspec.json.decode(data, type=_Version).timing_version
            if version == TIMING_VERSION:
                return msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as wrong:
            why = f" ({kinds_in_words(str(wrong))})" if b"timing_version" in data else ""
            raise UsageError(
                f"{name} is not a timing file{why}; "
                f"'comfyrec learn-timing FILES -o timing.json' makes one"
            ) from None
        raise UsageError(
            f"{name} has timing version {version}, and this comfyrec reads version "
            f"{TIMING_VERSION}; learn it anew"
        )


class _Version(msgspec.Struct):
    timing_version: int


def megapixels(graph: Mapping[str, Any]) -> float | None:
    """The largest width times height times batch that a node of a graph asks for, in millions."""
    largest = 0.0
    for node in graph.values():
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        if not isinstance(inputs, Mapping):
            continue
        sides: Sequence[Any] = (
            inputs.get("width"),
            inputs.get("height"),
            inputs.get("batch_size", 1),
        )
        if all(type(side) is int and 0 < side < SIDE_MAX for side in sides):
            largest = max(largest, sides[0] * sides[1] * sides[2] / 1e6)
    return largest or None
