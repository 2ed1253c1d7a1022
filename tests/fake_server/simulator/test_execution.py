"""One prompt from start to end: which frames are sent, in which order, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine_bench import Rig, lines, node

MAKE = node("Make", color=1)

SAVE = {"1": MAKE, "2": node("SaveImage", images=["1", 0], filename_prefix="a")}

SHOWN = {"1": MAKE, "2": node("Sink", image=["1", 0])}

SLOW = {"1": MAKE, "2": node("Pass", image=["1", 0]), "3": node("Sink", image=["2", 0])}

AFTER = ["success", "status 0", "end"]

BEFORE = ["status 1", "status 1", "start", "cached"]


def connected(*args: Any, **kwargs: Any) -> Rig:
    rig = Rig(*args, **kwargs)
    rig.connect("A")
    rig.told("A")
    return rig


def test_a_fresh_prompt_goes_from_status_to_the_null_executing() -> None:
    rig = connected()

    rig.queue(SAVE)

    assert rig.told() == [
        *BEFORE,
        "state 1:0.0/1.0",
        "run 1",
        "state 1:1.0/1.0!",
        "state 1:1.0/1.0! 2:0.0/1.0",
        "run 2",
        "executed 2",
        "state 1:1.0/1.0! 2:1.0/1.0!",
        *AFTER,
    ]


def test_all_cached_still_shows_its_outputs_as_finished_ones_with_whole_numbers() -> None:
    rig = connected()
    rig.queue(SAVE)
    rig.told()

    rig.queue(SAVE)

    assert rig.told() == [
        "status 1",
        "status 1",
        "start",
        "cached 1 2",
        "executed 2",
        "state 2:1/1!",
        *AFTER,
    ]


def test_a_cached_output_without_ui_says_executed_with_null() -> None:
    rig = connected()
    rig.queue(SHOWN)
    rig.told()

    rig.queue(SHOWN)

    executed = [f for f in rig.frames["A"] if isinstance(f, dict) and f["type"] == "executed"]
    assert [frame["data"]["output"] for frame in executed] == [None]


def test_without_client_id_only_progress_goes_to_everybody() -> None:
    rig = connected({"2": {"seconds": 1, "steps": 1}})
    rig.connect("B")
    rig.told("B")

    rig.queue(SLOW, client=None)
    rig.finish()

    told = lines(rig.told("A"))
    assert told == ["status 1", "status 1", "progress 2 1/1", "status 0"]
    assert lines(rig.told("B")) == told


def test_a_client_that_is_not_connected_is_told_nothing_but_history_knows() -> None:
    rig = connected()

    prompt_id = rig.queue(SAVE, client="nobody")

    assert rig.told() == ["status 1", "status 1", "status 0"]
    assert rig.history(prompt_id)["status"]["status_str"] == "success"


def test_events_of_an_extension_go_where_the_node_sends_them() -> None:
    rig = connected({"2": {"events": [["my.event", {"a": 1}]]}})

    rig.queue(SLOW)

    assert {"type": "my.event", "data": {"a": 1}} in rig.frames["A"]


def test_an_intermediate_output_is_shown_fresh_and_before_success_when_cached() -> None:
    prompt = {
        "1": node("EmptyImage", width=32, height=32, batch_size=1, color=3),
        "2": node(
            "ImageCropV2", image=["1", 0], crop_region={"x": 0, "y": 0, "width": 16, "height": 8}
        ),
        "3": node("PreviewImage", images=["2", 0]),
    }
    rig = connected()
    rig.queue(prompt)
    fresh = lines(rig.told())

    rig.queue(prompt)

    assert fresh[4:9] == ["run 1", "run 2", "executed 2", "run 3", "executed 3"]
    assert lines(rig.told())[3:7] == ["cached 1 2 3", "executed 3", "executed 2", "success"]


def test_what_ran_before_a_failure_is_cached_and_the_failing_node_is_not() -> None:
    rig = connected({"3": {"raise": "no"}})
    rig.queue(SLOW)
    rig.told()

    rig.queue(SLOW)

    assert lines(rig.told())[3:5] == ["cached 1 2", "run 3"]


def test_an_interrupt_ends_a_listening_node_at_once() -> None:
    rig = connected({"2": {"seconds": 3}})
    prompt_id = rig.queue(SLOW)
    rig.until(1_000_000)

    rig.ask("POST", "/interrupt")

    assert lines(rig.told())[-3:] == ["interrupted 2", "status 0", "end"]
    assert rig.history(prompt_id)["status"]["messages"][-1][0] == "execution_interrupted"
    assert rig.get("/jobs/{job_id}", job_id=prompt_id)["status"] == "cancelled"


def test_a_deaf_node_runs_to_its_end_and_the_next_one_is_named() -> None:
    rig = connected({"2": {"seconds": 3, "deaf": True}})
    rig.queue(SLOW)
    rig.until(1_000_000)

    rig.ask("POST", "/interrupt")
    at_once = rig.told()
    rig.finish()

    assert "interrupted 2" not in at_once
    assert lines(rig.told()) == ["run 3", "interrupted 3", "status 0", "end"]


def test_a_deaf_node_that_is_the_last_one_ends_in_success() -> None:
    rig = connected({"2": {"seconds": 3, "deaf": True}})
    rig.queue(SHOWN)
    rig.until(1_000_000)

    rig.ask("POST", "/interrupt")
    rig.finish()

    assert lines(rig.told())[-3:] == AFTER


def test_a_deaf_node_hears_at_its_progress() -> None:
    rig = connected({"2": {"seconds": 3, "steps": 3, "deaf": True}})
    rig.queue(SLOW)
    rig.until(1_500_000)

    rig.ask("POST", "/interrupt")
    rig.finish()

    told = lines(rig.told())
    assert told[-5:] == ["run 2", "progress 2 1/3", "interrupted 2", "status 0", "end"]
    assert rig.now == 2_000_000


def test_an_interrupt_of_a_prompt_without_client_reaches_everybody() -> None:
    rig = connected({"2": {"seconds": 3}})
    rig.queue(SLOW, client=None)

    rig.ask("POST", "/interrupt")

    assert lines(rig.told())[-2:] == ["interrupted 2", "status 0"]


def test_mid_2024_ends_with_status_and_null_and_knows_no_display_node() -> None:
    rig = connected(version="2024-07")

    prompt_id = rig.queue(SAVE)

    frames = [f for f in rig.frames["A"] if type(f) is dict]
    assert rig.told() == [*BEFORE, "run 1", "run 2", "executed 2", "status 0", "end"]
    assert not any("display_node" in f["data"] or "timestamp" in f["data"] for f in frames)
    assert "meta" not in rig.history(prompt_id)


def test_mid_2024_says_nothing_of_cached_outputs() -> None:
    rig = connected(version="2024-07")
    rig.queue(SAVE)
    rig.told()

    prompt_id = rig.queue(SAVE)

    assert rig.told() == ["status 1", "status 1", "start", "cached 1 2", "status 0", "end"]
    assert list(rig.history(prompt_id)["outputs"]) == ["2"]


@pytest.mark.parametrize(
    "version, filled", [("0.3.64", True), ("0.8.2", False), ("0.27.0", False), ("0.38.0", True)]
)
def test_history_of_a_cached_prompt_without_client_depends_on_the_version(
    version: str, filled: bool
) -> None:
    rig = Rig(version=version)
    rig.queue(SAVE, client=None)

    again = rig.history(rig.queue(SAVE, client=None))

    assert (again["outputs"] != {}) is filled


def test_since_assets_are_on_files_carry_an_id_that_is_new_for_every_prompt() -> None:
    rig = connected(version="0.41.0")

    entries = [rig.history(rig.queue(SAVE))["outputs"]["2"]["images"][0] for _ in range(2)]

    assert entries[0]["filename"] == entries[1]["filename"]
    assert len({entry["id"] for entry in entries}) == 2
    assert rig.engine.features()["assets"] is True
