"""Clients that listen on no socket: what they are told is so as of the point of the time line.

At ComfyUI's own routes that follows from the lives of the prompts; at those of other APIs from the
times at which the recorded client was told.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec
import pytest

from comfyrec.timeline import Timeline
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.replay import Player, replay_differences
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choice_of
from fake_server.surfaces.cloud import CloudSettings
from fake_server.surfaces.v2.settings import V2Settings
from tests.support.recorded_sessions import RecordingRig
from tests.support.replay_rig import SourceRig
from tests.support.timeline_samples import Recording

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


# --- other APIs -----------------------------------------------------------------------------------

KEY = (("Host", "127.0.0.1:8188"), ("X-API-Key", "k-1"), ("Authorization", "Bearer k-1"))


def by_cloud_status(rig: SourceRig, ids: list[str]) -> int:
    told = [rig.get(f"/api/job/{i}/status", headers=KEY)["status"] for i in ids]
    return told.count("success")


def by_v2_job(rig: SourceRig, ids: list[str]) -> int:
    told = [rig.get(f"/api/v2/jobs/{i}", headers=KEY)["status"] for i in ids]
    return told.count("succeeded")


def by_v2_jobs(rig: SourceRig, ids: list[str]) -> int:
    jobs = rig.get("/api/v2/jobs", headers=KEY)["jobs"]
    return sum(job["id"] in ids and job["status"] == "succeeded" for job in jobs)


OTHER_WAYS: dict[str, Ask] = {
    "/api/job/ID/status": by_cloud_status,
    "/api/v2/jobs/ID": by_v2_job,
    "/api/v2/jobs": by_v2_jobs,
}
SURFACES = {by_cloud_status: "cloud", by_v2_job: "v2", by_v2_jobs: "v2"}
WAYS |= OTHER_WAYS


def submitted(rig: SourceRig, ask: Ask, seed: int) -> str:
    match SURFACES.get(ask):
        case None:
            return rig.submit(graph(seed))
        case "cloud":
            answer = rig.ask("POST", "/api/prompt", {"prompt": graph(seed)}, headers=KEY)
            told: str = json.loads(answer.body)["prompt_id"]
        case _:
            headers = (*KEY, ("Idempotency-Key", f"key-{seed:012d}"))
            answer = rig.ask("POST", "/api/v2/jobs", {"workflow": graph(seed)}, headers=headers)
            told = json.loads(answer.body)["id"]
    return told


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
    ids = [submitted(rig, ask, seed + number) for number in range(PROMPTS)]
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
    surface = SURFACES.get(WAYS[way])
    settings = {"cloud": CloudSettings(), "v2": V2Settings()}
    surfaces = () if surface is None else (SurfaceChoice(surface, settings[surface]),)
    options = ServerOptions(surfaces=surfaces)
    rig = RecordingRig(scenario_source([choice_of("lifelike", {})], options))
    heard = told(rig, WAYS[way], 100, every(EVERY))
    return rig.timeline(), heard


@pytest.mark.parametrize("way", WAYS)
def test_a_recording_of_a_client_that_only_asks_replays_itself(way: str) -> None:
    timeline, _ = recorded(way)

    assert replay_differences(timeline) == []


@pytest.mark.slow
@pytest.mark.parametrize("pause", [EVERY // 4, EVERY // 2, EVERY, 2 * EVERY])
@pytest.mark.parametrize("way", WAYS)
def test_who_asks_more_or_less_often_hears_of_an_end_at_its_time(way: str, pause: int) -> None:
    timeline, before = recorded(way)

    live = told(SourceRig(Player(timeline)), WAYS[way], 700, every(pause))

    for over in range(1, PROMPTS + 1):
        assert before.last_before(over) <= live.first(over) <= before.first(over) + pause
        assert live.last_before(over) <= before.first(over)


@pytest.mark.slow
@pytest.mark.parametrize("early", [-EVERY // 4, -EVERY // 20, EVERY // 20, EVERY // 4])
@pytest.mark.parametrize("way", WAYS)
def test_who_asks_a_little_earlier_or_later_hears_the_same_each_time(way: str, early: int) -> None:
    timeline, before = recorded(way)

    live = told(SourceRig(Player(timeline)), WAYS[way], 700, every(EVERY, early))

    assert [over for _, over in live.steps] == [over for _, over in before.steps]


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_at_the_greatest_speed_each_question_gets_the_next_answer(way: str) -> None:
    timeline, before = recorded(way)
    rig = SourceRig(Player(timeline))
    ids = [submitted(rig, WAYS[way], 700 + number) for number in range(PROMPTS)]
    heard = [0]

    while heard[-1] < PROMPTS:
        rig.run()
        heard.append(WAYS[way](rig, ids))

    assert heard == [over for _, over in before.steps]


# --- questions by POST ----------------------------------------------------------------------------

STATUSES = ("waiting", "running", "running", "finished")


def tasks() -> Timeline:
    """Two tasks, one after the other, of which a client asks each second."""
    recording, conns = Recording(), itertools.count(1)
    for task in ("task-0001", "task-0002"):
        answer = {"task_id": task}
        recording.asked(next(conns), "POST", "/task_create", {"job": task}, answer=answer)
        for status in STATUSES:
            recording.wait(1_000_000)
            asked = {"task_id": task, "api_key": "REDACTED"}
            answer = {"status": status}
            recording.asked(next(conns), "POST", "/task_result_query", asked, answer=answer)
    return Timeline.build(recording.end())


def queried(rig: SourceRig, task: str) -> str:
    asked = {"task_id": task, "api_key": "mine"}
    told: str = json.loads(rig.ask("POST", "/task_result_query", asked).body)["status"]
    return told


def made(rig: SourceRig) -> str:
    told: str = json.loads(rig.ask("POST", "/task_create", {"job": "x"}).body)["task_id"]
    return told


def test_a_task_that_is_asked_for_twice_as_often_takes_its_time() -> None:
    rig = SourceRig(Player(tasks()))
    heard = []
    for _ in range(2):
        task = made(rig)
        for _ in range(2 * len(STATUSES)):
            rig.run(rig.now + 500_000, patience=False)
            heard.append(queried(rig, task))

    first, second = heard[: len(heard) // 2], heard[len(heard) // 2 :]
    assert first == second
    assert first.index("finished") in (6, 7)


def test_a_task_that_is_asked_for_half_as_often_takes_no_longer() -> None:
    rig = SourceRig(Player(tasks()))
    task = made(rig)
    heard = []
    for _ in range(2):
        rig.run(rig.now + 2_100_000, patience=False)
        heard.append(queried(rig, task))

    assert heard == ["running", "finished"]


def test_questions_by_post_replay_themselves() -> None:
    assert replay_differences(tasks()) == []


def test_only_what_is_done_to_a_task_itself_holds_its_answers_up() -> None:
    recording, conns = Recording(), itertools.count(1)

    def asked(path: str, body: Any, answer: Any) -> None:
        recording.asked(next(conns), "POST", path, body, answer=answer)
        recording.wait(1_000_000)

    asked("/task_create", {"job": "a"}, {"task_id": "task-0001"})
    asked("/task_result_query", {"task_id": "task-0001"}, {"status": "running"})
    asked("/task_create", {"job": "b"}, {"task_id": "task-0002"})
    asked("/task_result_query", {"task_id": "task-0001"}, {"status": "finished"})
    rig = SourceRig(Player(Timeline.build(recording.end())))
    task = made(rig)
    heard = []

    for _ in range(2):
        rig.run(rig.now + 3_100_000, patience=False)
        heard.append(queried(rig, task))

    assert heard == ["finished", "finished"]
