"""What is learned is what was recorded, and a twin of a fleet behaves as the fleet did."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from comfyrec.tables.learn_timing import Posted, Recorded, Run, learn
from comfyrec.tables.rows import rows_of
from tests.support.engine_bench import Rig, node
from tests.support.paths import ROOT

SECOND = 1_000_000
NEAR = 0.15


def sampled(rng: random.Random, steps: int, size: float, *, cold: bool) -> Run:
    took = steps * size * 50_000 * rng.lognormvariate(0, 0.1) + (8 * SECOND if cold else 0)
    return Run("KSampler", round(took), steps, size, cold)


def test_a_sampler_is_measured_by_steps_and_size() -> None:
    rng = random.Random(1)
    runs = tuple(
        sampled(rng, rng.choice((10, 20, 50)), rng.choice((0.25, 1.0, 4.0)), cold=i % 20 == 0)
        for i in range(400)
    )

    timing = learn([Recorded((), runs)], rng.random).timing.classes["KSampler"]

    assert timing.by == "step and megapixel"
    assert timing.warm.unit_us == pytest.approx(50_000, rel=0.05)
    assert timing.cold is not None
    assert timing.cold.runs == 20
    cold = timing.draw(steps=20, megapixels=1, cold=True, chance=0.5)
    assert cold > timing.draw(steps=20, megapixels=1, cold=False, chance=0.5)


def test_a_class_that_always_takes_the_same_is_measured_by_nothing() -> None:
    runs = tuple(Run("Save", 1000, steps, None, False) for steps in range(2, 40))

    timing = learn([Recorded((), runs)], random.Random(1).random).timing.classes["Save"]

    assert timing.by == "run"
    assert timing.draw(steps=9, megapixels=None, cold=False, chance=0.3) == 1000
    assert timing.spread == 1.0


def test_rows_give_the_runs_of_prompts_that_succeeded() -> None:
    data = (ROOT / "cassettes" / "partly-cached.jsonl").read_bytes()
    tables = rows_of(data).tables

    recorded = Recorded.of_rows(tables["prompts"], tables["node_runs"])

    assert len(recorded.prompts) == len(tables["prompts"]) == 6
    assert len(recorded.runs) == sum(not row["cached"] for row in tables["node_runs"])
    assert sum(len(prompt.runs) for prompt in recorded.prompts) == len(recorded.runs)


def test_one_recording_is_too_few_to_hold_one_out() -> None:
    run = Run("A", 5, None, None, False)

    learned = learn([Recorded((), (run,))], random.Random(1).random)

    assert (learned.held_out, learned.fits) == (0, ())


def test_runs_that_take_no_time_make_no_absurd_figures() -> None:
    runs = tuple(Run("Quick", us, None, None, False) for us in (0, 0, 0, 3, 40, 900) * 10)
    posted = tuple(Posted(at, 0, 0, at, (run,)) for at, run in enumerate(runs))

    learned = learn([Recorded(posted, runs)] * 5, random.Random(1).random)

    assert learned.timing.classes["Quick"].spread == 1.0
    assert learned.fits
    assert max(fit.off for fit in learned.fits) <= 1.0


class Fleet:
    """A fleet as nobody modelled it: two classes, random arrivals, one queue for each worker."""

    def __init__(self, workers: int, seed: int) -> None:
        self.rng, self.workers = random.Random(seed), workers
        self.posts: list[list[int]] = [[] for _ in range(workers)]
        t = 0.0
        for _ in range(300 * workers):
            t += self.rng.expovariate(workers / 5.0)
            self.posts[self.rng.randrange(workers)].append(round(t * SECOND))

    def recorded(self) -> list[Recorded]:
        return [self._one(posts) for posts in self.posts]

    def _one(self, posts: Sequence[int]) -> Recorded:
        free, prompts = 0, []
        for number, posted in enumerate(posts):
            cold = number == 0
            make = round(2.5 * SECOND * self.rng.lognormvariate(0, 0.3)) + cold * 6 * SECOND
            sink = round(0.4 * SECOND * self.rng.lognormvariate(0, 0.8))
            runs = (
                Run("Make", make, None, None, cold),
                Run("Sink", sink, None, None, cold),
            )
            start = max(posted + 2000, free)
            free = start + make + sink
            prompts.append(Posted(posted, start - posted, make + sink, free, runs))
        return Recorded(tuple(prompts), tuple(run for p in prompts for run in p.runs))


def quantiles(values: Sequence[float]) -> tuple[float, float]:
    ordered = sorted(values)
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 4, 16])
def test_a_twin_waits_and_runs_as_the_held_out_fleet_did(workers: int) -> None:
    """The twin is the simulated server itself, fed what was held out, in virtual time."""
    timing = learn(Fleet(16, seed=1).recorded(), random.Random(1).random).timing
    held_out = Fleet(workers, seed=2)
    days = 16 // workers  # each with the same posts, and other times of the nodes
    recordings = [recording for _ in range(days) for recording in held_out.recorded()]
    real = [prompt for recording in recordings for prompt in recording.prompts]

    took, waited = [], []
    for draw in range(days):
        for number, posts in enumerate(held_out.posts):
            rig = Rig(
                seed=100 * draw + number,
                cache="none",
                timing=timing,
                worker_delay_us=timing.idle_wait_us,
            )
            ids = []
            for color, posted in enumerate(posts):
                rig.until(posted)
                graph = {"1": node("Make", color=color), "2": node("Sink", image=["1", 0])}
                ids.append((posted, rig.queue(graph)))
            rig.finish()
            for posted, prompt_id in ids:
                said = dict(rig.history(prompt_id)["status"]["messages"])
                start, end = (
                    said[kind]["timestamp"] * 1000 - rig.engine.options.epoch_us
                    for kind in ("execution_start", "execution_success")
                )
                took.append(end - start)
                waited.append(start - posted)

    assert quantiles(took) == pytest.approx(quantiles([p.run_us for p in real]), rel=NEAR)
    recorded_waits = quantiles([p.wait_us or 0 for p in real])
    assert quantiles(waited) == pytest.approx(recorded_waits, rel=NEAR)


@pytest.mark.slow
def test_what_is_foretold_of_held_out_recordings_fits() -> None:
    learned = learn(Fleet(20, seed=3).recorded(), random.Random(1).random)

    assert learned.held_out == 4
    assert [fit.what for fit in learned.fits] == [
        "run time of prompts", "queue wait", "Make", "Sink",
    ]  # fmt: skip
    assert max(fit.off for fit in learned.fits) < NEAR
