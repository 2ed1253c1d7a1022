"""Clients that listen on no socket: what they are told is so as of the point of the time line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec
import pytest

from comfyrec.timeline import Timeline
from fake_server.replay import Player, replay_differences
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choice_of
from tests.support.recorded_sessions import RecordingRig
from tests.support.replay_rig import SourceRig

EVERY = 500_000
"""Microseconds between two questions of the recorded client."""
PROMPTS = 2
TIME_MAX = 30_000_000


def graph(seed: int) -> dict[str, Any]:
    """About two seconds of sampling in a lifelike run."""
    inputs = {
        "seed": seed, "steps": 20, "cfg": 8, "denoise": 1, "sampler_name": "euler",
        "scheduler": "normal", "model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0],
        "latent_image": ["5", 0],
    }  # fmt: skip
    checkpoint = {"ckpt_name": "v1-5-pruned-emaonly-fp16.safetensors"}
    return {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": checkpoint},
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 512, "height": 512, "batch_size": 1},
        },
        "6": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["4", 1], "text": "a dog"}},
        "3": {"class_type": "KSampler", "inputs": inputs},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {
            "class_type": "SaveImage",
            "inputs": {"images": ["8", 0], "filename_prefix": f"tag{seed}"},
        },
    }


# --- ways to ask: rig, prompt ids -> how many prompts are over ------------------------------------


def by_history(rig: SourceRig, ids: list[str]) -> int:
    return sum(bool(rig.get(f"/history/{i}")) for i in ids)


def by_whole_history(rig: SourceRig, ids: list[str]) -> int:
    return len(rig.get("/history").keys() & set(ids))


def by_queue(rig: SourceRig, ids: list[str]) -> int:
    queue = rig.get("/queue")
    waiting = [item[1] for item in queue["queue_running"] + queue["queue_pending"]]
    assert waiting == ids[len(ids) - len(waiting) :]
    return len(ids) - len(waiting)


def by_job(rig: SourceRig, ids: list[str]) -> int:
    return sum(rig.get(f"/api/jobs/{i}")["status"] == "completed" for i in ids)


def by_jobs(rig: SourceRig, ids: list[str]) -> int:
    jobs = rig.get("/api/jobs")["jobs"]
    return sum(job["id"] in ids and job["status"] == "completed" for job in jobs)


def by_count(rig: SourceRig, ids: list[str]) -> int:
    remaining: int = rig.get("/prompt")["exec_info"]["queue_remaining"]
    return len(ids) - remaining


Ask = Callable[[SourceRig, list[str]], int]
WAYS: dict[str, Ask] = {
    "/history/ID": by_history,
    "/history": by_whole_history,
    "/queue": by_queue,
    "/api/jobs/ID": by_job,
    "/api/jobs": by_jobs,
    "/prompt": by_count,
}


class Told(msgspec.Struct, frozen=True):
    """What one client was told."""

    steps: tuple[tuple[int, int], ...]
    """(microseconds since it began, prompts that were over)."""

    def last_before(self, over: int) -> int:
        """When fewer were over for the last time."""
        return max(t for t, n in self.steps if n < over)

    def first(self, over: int) -> int:
        """When so many were over for the first time."""
        return min(t for t, n in self.steps if n >= over)


def told(rig: SourceRig, ask: Ask, seed: int, times: Iterator[int]) -> Told:
    """Submit, and ask at these times until all is over."""
    ids = [rig.submit(graph(seed + number)) for number in range(PROMPTS)]
    began, steps = rig.now, [(0, 0)]
    while steps[-1][1] < PROMPTS:
        at = next(times)
        assert at < TIME_MAX, f"it never ends: {steps}"
        rig.run(began + at, patience=False)
        steps.append((at, ask(rig, ids)))
    return Told(tuple(steps))


def every(pause: int, early: int = 0) -> Iterator[int]:
    return iter(range(pause - early, 2 * TIME_MAX, pause))


@cache
def recorded(way: str) -> tuple[Timeline, Told]:
    rig = RecordingRig(scenario_source([choice_of("lifelike", {})]))
    heard = told(rig, WAYS[way], 100, every(EVERY))
    return rig.timeline(), heard


@pytest.mark.parametrize("way", WAYS)
def test_a_recording_of_a_client_that_only_asks_replays_itself(way: str) -> None:
    timeline, _ = recorded(way)

    assert replay_differences(timeline) == []


@pytest.mark.parametrize("pause", [EVERY // 4, EVERY // 2, EVERY, 2 * EVERY])
@pytest.mark.parametrize("way", WAYS)
def test_who_asks_more_or_less_often_hears_of_an_end_at_its_time(way: str, pause: int) -> None:
    timeline, before = recorded(way)

    live = told(SourceRig(Player(timeline)), WAYS[way], 700, every(pause))

    for over in range(1, PROMPTS + 1):
        assert before.last_before(over) <= live.first(over) <= before.first(over) + pause
        assert live.last_before(over) <= before.first(over)


@pytest.mark.parametrize("early", [-EVERY // 4, -EVERY // 20, EVERY // 20, EVERY // 4])
@pytest.mark.parametrize("way", WAYS)
def test_who_asks_a_little_earlier_or_later_hears_the_same_each_time(way: str, early: int) -> None:
    timeline, before = recorded(way)

    live = told(SourceRig(Player(timeline)), WAYS[way], 700, every(EVERY, early))

    assert [over for _, over in live.steps] == [over for _, over in before.steps]
