"""Rows of ``prompts`` and ``node_runs`` -> how long node classes take, and how well that fits.

How well: it is learned without every fifth recording, and these are then foretold, each node run
with its own steps and size, each prompt with the time at which it was posted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any, Final

import msgspec

from comfyrec.timing import RATIOS, ClassTiming, Measure, Pool, Timing

__all__ = ["Fit", "Learned", "Recorded", "learn"]

HELD_OUT_EVERY: Final = 5
DRAWS: Final = 20
"""Times that each recording that was held out is foretold, with other chances."""
RUNS_MIN: Final = 5
"""So few warm runs are taken together with the cold ones; so few are not compared."""
COLD_MIN: Final = 3
CLEARER: Final = 0.9
"""A measure has to narrow the spread by so much to be better than none."""
NOISE_US: Final = 1_000.0
"""Shorter times tell of the network and the clock, not of a node: they are not divided by."""
_UNIT_MIN: Final = 0.5


class Run(msgspec.Struct, frozen=True, gc=False):
    """One node run that was not cached."""

    class_type: str
    run_us: int
    steps: float | None
    megapixels: float | None
    cold: bool


class Posted(msgspec.Struct, frozen=True):
    """One prompt that ran to its end."""

    submitted_us: int | None
    wait_us: int | None
    run_us: int
    ended_us: int
    runs: tuple[Run, ...]


class Recorded(msgspec.Struct, frozen=True):
    """What one recording tells of times."""

    prompts: tuple[Posted, ...]
    runs: tuple[Run, ...]

    @classmethod
    def of_rows(
        cls, prompts: Iterable[Mapping[str, Any]], node_runs: Iterable[Mapping[str, Any]]
    ) -> Recorded:
        """Take what is needed of the rows of one recording."""
        of_prompt: dict[int, list[Run]] = {}
        for row in node_runs:
            if not row["cached"] and row["run_us"] is not None and row["run_us"] >= 0:
                run = Run(
                    row["class_type"],
                    row["run_us"],
                    row["steps"],
                    row["megapixels"],
                    row["run_of_class"] == 1,
                )
                of_prompt.setdefault(row["prompt"], []).append(run)
        posted = tuple(
            Posted(
                row["submitted_at_us"],
                row["queue_wait_us"],
                row["run_us"],
                row["ended_at_us"],
                tuple(of_prompt.get(row["prompt"], ())),
            )
            for row in prompts
            if row["outcome"] == "success" and row["run_us"] is not None
        )
        return cls(posted, tuple(run for runs in of_prompt.values() for run in runs))


class Fit(msgspec.Struct, frozen=True):
    """How something was recorded in what was held out, and how it was foretold; microseconds."""

    what: str
    count: int
    median: float
    p95: float
    foretold_median: float
    foretold_p95: float

    @property
    def off(self) -> float:
        """The larger of both errors, as a share of what was recorded; noise at the least."""
        pairs = ((self.median, self.foretold_median), (self.p95, self.foretold_p95))
        return max(abs(foretold - real) / max(real, NOISE_US) for real, foretold in pairs)


class Learned(msgspec.Struct, frozen=True):
    """The timing of all recordings, and how one of most of them fits the rest."""

    timing: Timing
    fits: tuple[Fit, ...] = ()
    """Of prompts first, then of classes, those that take most time first."""
    held_out: int = 0
    """Recordings; 0: there were too few to hold any out."""


def learn(recordings: Sequence[Recorded], chance: Callable[[], float]) -> Learned:
    """Learn from recordings.

    Args:
        recordings: in any order that stays the same.
        chance: gives numbers from 0 up to 1, for what is foretold.
    """
    timing = _timing(recordings)
    held = [r for i, r in enumerate(recordings) if i % HELD_OUT_EVERY == HELD_OUT_EVERY - 1]
    if len(recordings) < HELD_OUT_EVERY:
        held = list(recordings[1:][-1:])
    if not held:
        return Learned(timing)
    others = [r for r in recordings if not any(r is one for one in held)]
    return Learned(timing, tuple(_fits(_timing(others), held, chance)), len(held))


# --- learning ------------------------------------------------------------------------------------


def _timing(recordings: Sequence[Recorded]) -> Timing:
    by_class: dict[str, list[Run]] = {}
    for recording in recordings:
        for run in recording.runs:
            by_class.setdefault(run.class_type, []).append(run)
    by_class.pop("", None)
    waits = [wait for recording in recordings for wait in _idle_waits(recording)]
    return Timing(
        recordings=len(recordings),
        node_runs=sum(map(len, by_class.values())),
        idle_wait_us=round(_quantile(sorted(waits), 0.5)) if waits else 0,
        classes={name: _of_class(runs) for name, runs in sorted(by_class.items())},
    )


def _idle_waits(recording: Recorded) -> Iterable[int]:
    free = 0
    for prompt in recording.prompts:
        if prompt.submitted_us is None or prompt.wait_us is None:
            continue
        if prompt.submitted_us >= free:
            yield prompt.wait_us
        free = max(free, prompt.ended_us)


def _of_class(runs: Sequence[Run]) -> ClassTiming:
    warm = [run for run in runs if not run.cold]
    cold = [run for run in runs if run.cold]
    if len(warm) < RUNS_MIN:
        warm, cold = list(runs), []
    by = _measure(warm)
    times = sorted(float(run.run_us) for run in runs)
    stepped = sorted(run.run_us / run.steps for run in warm if run.steps)
    sized = sorted(run.run_us / run.megapixels for run in warm if run.megapixels)
    return ClassTiming(
        by=by,
        warm=_pool(warm, by),
        cold=_pool(cold, by) if len(cold) >= COLD_MIN else None,
        median_us=_quantile(times, 0.5),
        spread=max(_quantile(times, 0.9), NOISE_US) / max(_quantile(times, 0.1), NOISE_US),
        per_step_us=_quantile(stepped, 0.5) if stepped else None,
        per_megapixel_us=_quantile(sized, 0.5) if sized else None,
        steps=_middle(run.steps for run in runs),
        megapixels=_middle(run.megapixels for run in runs),
    )


def _middle(values: Iterable[float | None]) -> float | None:
    known = sorted(value for value in values if value is not None)
    return _quantile(known, 0.5) if known else None


def _amount(run: Run, by: Measure) -> float | None:
    """What a run is measured by; None: it does not say."""
    amount = 1.0
    for word, value in (("step", run.steps), ("megapixel", run.megapixels)):
        if word in by:
            if not value:
                return None
            amount *= value
    return amount


def _measure(runs: Sequence[Run]) -> Measure:
    """What tells best how long a run takes."""
    best: Measure = "run"
    narrowest = _width(runs, "run") * CLEARER
    measures: tuple[Measure, ...] = ("step", "megapixel", "step and megapixel")
    for by in measures:
        amounts = {_amount(run, by) for run in runs}
        if None not in amounts and len(amounts) > 1 and (width := _width(runs, by)) < narrowest:
            best, narrowest = by, width
    return best


def _width(runs: Sequence[Run], by: Measure) -> float:
    """How far what runs take for one unit lies apart, on a scale of ratios."""
    logs = sorted(math.log(max(run.run_us, 1) / (_amount(run, by) or 1.0)) for run in runs)
    return _quantile(logs, 0.9) - _quantile(logs, 0.1)


def _pool(runs: Sequence[Run], by: Measure) -> Pool:
    known = [(run.run_us, amount) for run in runs if (amount := _amount(run, by))]
    units = sorted(run_us / amount for run_us, amount in known) or [0.0]
    unit = max(_quantile(units, 0.5), _UNIT_MIN)
    groups = min(RATIOS, len(units))
    edges = [len(units) * i // groups for i in range(groups + 1)]
    means = (fmean(units[low:high]) for low, high in pairwise(edges))
    return Pool(len(known), unit, tuple(round(mean / unit, 6) for mean in means))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Of numbers in order, between the two nearest."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


# --- how well it fits ------------------------------------------------------------------------


def _fits(timing: Timing, held: Sequence[Recorded], chance: Callable[[], float]) -> Iterable[Fit]:
    yield from _of_prompts(timing, held, chance)
    by_class: dict[str, list[Run]] = {}
    for recording in held:
        for run in recording.runs:
            by_class.setdefault(run.class_type, []).append(run)
    longest = sorted(by_class.items(), key=lambda both: -sum(run.run_us for run in both[1]))
    for name, runs in longest:
        if name in timing.classes and len(runs) >= RUNS_MIN:
            drawn = [_drawn(timing, run, chance) for run in runs for _ in range(DRAWS)]
            yield _fit(name, [run.run_us for run in runs], drawn)


def _of_prompts(
    timing: Timing, held: Sequence[Recorded], chance: Callable[[], float]
) -> Iterable[Fit]:
    took, waited = [], []
    foretold_took: list[float] = []
    foretold_waits: list[float] = []
    for recording in held:
        took += [prompt.run_us for prompt in recording.prompts]
        waited += [prompt.wait_us for prompt in recording.prompts if prompt.wait_us is not None]
        for _ in range(DRAWS):
            free = 0.0
            for prompt in sorted(recording.prompts, key=lambda one: one.submitted_us or 0):
                drawn = float(sum(_drawn(timing, run, chance) for run in prompt.runs))
                foretold_took.append(drawn)
                if prompt.submitted_us is not None:
                    start = max(prompt.submitted_us + timing.idle_wait_us, free)
                    if prompt.wait_us is not None:
                        foretold_waits.append(start - prompt.submitted_us)
                    free = start + drawn
    if took:
        yield _fit("run time of prompts", took, foretold_took)
    if waited:
        yield _fit("queue wait", waited, foretold_waits)


def _drawn(timing: Timing, run: Run, chance: Callable[[], float]) -> int:
    known = timing.classes.get(run.class_type)
    if known is None:
        return 0
    return known.draw(steps=run.steps, megapixels=run.megapixels, cold=run.cold, chance=chance())


def _fit(what: str, real: Sequence[float], foretold: Sequence[float]) -> Fit:
    one, other = sorted(real), sorted(foretold)
    return Fit(
        what,
        len(one),
        _quantile(one, 0.5),
        _quantile(one, 0.95),
        _quantile(other, 0.5),
        _quantile(other, 0.95),
    )
