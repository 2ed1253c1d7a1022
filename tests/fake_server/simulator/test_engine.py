"""The queue of the engine, its flags and facts, and what it forgets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine_bench import Rig, lines, node

FLAGS = {
    "0.3.64": ["supports_preview_metadata", "max_upload_size"],
    "0.8.2": ["supports_preview_metadata", "max_upload_size", "extension"],
    "0.27.0": [
        "supports_preview_metadata",
        "supports_model_type_tags",
        "max_upload_size",
        "extension",
        "node_replacements",
        "assets",
    ],
}


@pytest.mark.parametrize("version", FLAGS)
def test_the_servers_flags_grow_with_its_version(version: str) -> None:
    assert list(Rig(version=version).engine.features()) == FLAGS[version]


MAKE = node("Make", color=1)


SAVE = {"1": MAKE, "2": node("SaveImage", images=["1", 0], filename_prefix="a")}


SLOW = {"1": MAKE, "2": node("Pass", image=["1", 0]), "3": node("Sink", image=["2", 0])}


AFTER = ["success", "status 0", "end"]


def connected(*args: Any, **kwargs: Any) -> Rig:
    rig = Rig(*args, **kwargs)
    rig.connect("A")
    rig.told("A")
    return rig


def test_an_idle_interrupt_does_not_hit_the_next_prompt() -> None:
    rig = connected()

    rig.ask("POST", "/interrupt")
    rig.queue(SLOW)

    assert lines(rig.told())[-3:] == AFTER


TARGETS = {
    "the running one": ("running", True),
    "another": ("11111111-1111-4111-8111-111111111111", False),
    "nothing": ("", True),
}


@pytest.mark.parametrize("target, stopped", TARGETS.values(), ids=TARGETS)
def test_an_interrupt_may_name_its_prompt(target: str, stopped: bool) -> None:
    rig = connected({"2": {"seconds": 3}})
    prompt_id = rig.queue(SLOW)

    rig.ask("POST", "/interrupt", {"prompt_id": prompt_id if target == "running" else target})

    assert ("interrupted 2" in rig.told()) is stopped


def test_older_servers_interrupt_whatever_runs() -> None:
    rig = connected({"2": {"seconds": 3}}, version="0.3.10")
    rig.queue(SLOW)

    rig.ask("POST", "/interrupt", {"prompt_id": "11111111-1111-4111-8111-111111111111"})

    assert "interrupted 2" in rig.told()


def test_the_same_seed_says_the_same_to_the_last_letter() -> None:
    def run(seed: int) -> list[Any]:
        rig = connected({"2": {"steps": 2, "previews": {"size": [8, 8]}}}, seed=seed)
        rig.queue(SLOW)
        rig.queue({"1": MAKE, "2": node("PreviewImage", images=["1", 0])})
        return rig.frames["A"]

    assert run(7) == run(7)
    assert run(7) != run(8)


def test_stepwise_the_state_is_never_ahead_of_the_frames() -> None:
    rig = connected()
    rig.engine.stepwise = True
    rig.queue(SAVE)
    seen: list[tuple[str, bool]] = []

    while rig.wakes:
        rig.wake()
        seen += [(one, bool(rig.engine.history)) for one in rig.told()]

    written = dict(seen)
    assert written["success"] is False
    assert written["status 0"] is True
    assert [one for one, _ in seen][-3:] == AFTER


def test_history_may_lag_behind_success() -> None:
    rig = connected(history_delay_us=50_000)
    prompt_id = rig.queue(SAVE)

    before = rig.get("/history/{prompt_id}", prompt_id=prompt_id)
    told = rig.told()
    rig.finish()

    assert before == {}
    assert told[-1] == "success"
    assert rig.told() == ["status 0", "end"]


def test_many_waiting_prompts_do_not_hold_up_everybody() -> None:
    rig = connected({"9": {"seconds": 1}})
    rig.queue({"1": MAKE, "9": node("Sink", image=["1", 0])})
    for color in range(300):
        rig.queue({"1": node("Make", color=color), "2": node("Sink", image=["1", 0])})
    rig.told()

    rig.until(1_000_000 - 1)
    rig.wake()
    at_once = len(rig.frames["A"])
    rig.finish()

    assert at_once <= 1_000
    assert rig.engine.remaining == 0
