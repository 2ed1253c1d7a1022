"""What a prompt's owner is sent, mechanism by mechanism."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fake_server.storage.pictures import measure
from tests.support.engine_bench import Rig, lines, node

MAKE = node("Make", color=1)
SAVE = {"1": MAKE, "2": node("SaveImage", images=["1", 0], filename_prefix="a")}
SINK = {"1": MAKE, "2": node("Sink", image=["1", 0])}
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
    rig.queue(SINK)
    rig.told()

    rig.queue(SINK)

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


# --- progress ------------------------------------------------------------------------------------


def test_progress_comes_as_a_pair_and_the_node_finishes_at_its_maximum() -> None:
    rig = connected({"2": {"seconds": 0.4, "steps": 2}})

    rig.queue(SLOW)
    rig.finish()

    told = rig.told()
    start = told.index("run 2")
    assert told[start + 1 : start + 6] == [
        "state 1:1.0/1.0! 2:1/2",
        "progress 2 1/2",
        "state 1:1.0/1.0! 2:2/2",
        "progress 2 2/2",
        "state 1:1.0/1.0! 2:2/2!",
    ]


THROTTLED = {
    # W17 of the field notes: 10 steps in 0.3 s gave 1, 5, 9 and 10.
    "ten steps in 0.3 s": ({"seconds": 0.3, "steps": 10}, [1, 5, 9, 10]),
    "one step": ({"seconds": 0.0, "steps": 1}, [1]),
    "all at once": ({"seconds": 0.0, "steps": 5}, [1, 5]),
    "slow ones all pass": ({"seconds": 1.0, "steps": 4}, [1, 2, 3, 4]),
    "half a percent": ({"seconds": 100.0, "steps": 1000}, [1, *range(6, 1000, 5), 1000]),
    "previews are never held back": (
        {"seconds": 0.1, "steps": 4, "previews": {"size": [8, 8]}},
        [1, 2, 3, 4],
    ),
}


@pytest.mark.parametrize("plan, seen", THROTTLED.values(), ids=THROTTLED)
def test_progress_is_throttled_as_the_real_bar_is(plan: Any, seen: list[int]) -> None:
    rig = connected({"2": plan})

    rig.queue(SLOW)
    rig.finish()

    values = [
        f["data"]["value"] for f in rig.frames["A"] if type(f) is dict and f["type"] == "progress"
    ]
    assert values == seen


def test_older_servers_throttle_nothing() -> None:
    rig = connected({"2": {"seconds": 0.1, "steps": 9}}, version="0.8.2")

    rig.queue(SLOW)
    rig.finish()

    assert sum(one.startswith("progress ") for one in rig.told()) == 9


def preview_frames(rig: Rig) -> list[bytes]:
    return [frame for frame in rig.frames["A"] if isinstance(frame, bytes)]


@pytest.mark.parametrize("kind, number", [("jpeg", 1), ("png", 2)])
def test_a_preview_of_type_1_follows_its_progress(kind: str, number: int) -> None:
    rig = connected({"2": {"steps": 1, "previews": {"format": kind, "size": [12, 8]}}})

    rig.queue(SLOW)

    [frame] = preview_frames(rig)
    assert frame[:8] == bytes([0, 0, 0, 1, 0, 0, 0, number])
    size = measure(frame[8:])
    assert size is not None and size[:2] == (12, 8)
    told = rig.told()
    assert told[told.index("binary 1") - 1] == "progress 2 1/1"


def test_who_negotiated_metadata_gets_type_4_between_the_pair() -> None:
    rig = connected({"2": {"steps": 1, "previews": {"size": [12, 8]}}})
    rig.say("A", {"type": "feature_flags", "data": {"supports_preview_metadata": True}})

    prompt_id = rig.queue(SLOW)

    [frame] = preview_frames(rig)
    length = int.from_bytes(frame[4:8], "big")
    assert json.loads(frame[8 : 8 + length]) == {
        "node_id": "2",
        "prompt_id": prompt_id,
        "display_node_id": "2",
        "parent_node_id": None,
        "real_node_id": "2",
        "image_type": "image/jpeg",
    }
    told = rig.told()
    assert told[told.index("binary 4") + 1] == "progress 2 1/1"


NOT_QUITE_TRUE = {"one": 1, "text": "true", "absent": None}


@pytest.mark.parametrize("flag", NOT_QUITE_TRUE.values(), ids=NOT_QUITE_TRUE)
def test_only_true_itself_is_support_for_metadata(flag: Any) -> None:
    rig = connected({"2": {"steps": 1, "previews": {}}})
    rig.say("A", {"type": "feature_flags", "data": {"supports_preview_metadata": flag}})

    rig.queue(SLOW)

    assert preview_frames(rig)[0][:4] == b"\0\0\0\1"


def test_flags_that_are_null_break_the_node_that_shows_a_preview() -> None:
    rig = connected({"2": {"steps": 1, "previews": {}}})
    rig.say("A", {"type": "feature_flags", "data": None})

    prompt_id = rig.queue(SLOW)

    error = rig.history(prompt_id)["status"]["messages"][-1]
    assert error[0] == "execution_error"
    assert error[1]["exception_type"] == "AttributeError"


def test_previews_of_a_prompt_without_client_id_are_broadcast() -> None:
    rig = connected({"2": {"steps": 1, "previews": {}}})

    rig.queue(SLOW, client=None)

    assert "binary 1" in rig.told()


def test_text_on_a_node_goes_to_every_socket() -> None:
    rig = connected({"2": {"text": "grüß 😀"}})
    rig.connect("B")

    rig.queue(SLOW, client="nobody")

    frames = [frame for frame in rig.frames["B"] if isinstance(frame, bytes)]
    assert frames == [b"\0\0\0\3\0\0\0\x012" + "grüß 😀".encode()]


def test_get_image_size_says_what_it_saw() -> None:
    rig = connected()

    rig.queue(
        {
            "1": node("EmptyImage", width=17, height=23, batch_size=2, color=1),
            "2": node("GetImageSize", image=["1", 0]),
            "3": node("PreviewAny", source=["2", 0]),
        }
    )

    [frame] = preview_frames(rig)
    assert frame[9:] == b"width: 17, height: 23\n batch size: 2"


def test_a_websocket_save_sends_pictures_and_counts_from_zero() -> None:
    rig = connected()
    prompt = {
        "1": node("EmptyImage", width=16, height=8, batch_size=2, color=1),
        "2": node("SaveImageWebsocket", images=["1", 0]),
    }

    rig.queue(prompt)
    first = lines(rig.told())
    rig.queue(prompt)

    assert first[6:10] == ["progress 2 0/2", "binary 1", "progress 2 1/2", "binary 1"]
    assert "run 2" in rig.told(), "it is never cached"


def test_events_of_an_extension_go_where_the_node_sends_them() -> None:
    rig = connected({"2": {"events": [["my.event", {"a": 1}]]}})

    rig.queue(SLOW)

    assert {"type": "my.event", "data": {"a": 1}} in rig.frames["A"]


# --- lists, lazy, blocked ------------------------------------------------------------------------


def test_a_node_runs_once_for_each_item_and_reports_once() -> None:
    rig = connected({"3": {"steps": 1}})

    prompt_id = rig.queue(
        {
            "1": MAKE,
            "2": node("Fan", image=["1", 0], count=3),
            "3": node("Pass", image=["2", 0]),
            "4": node("SaveImage", images=["3", 0], filename_prefix="fan"),
        }
    )

    told = lines(rig.told())
    assert told.count("progress 3 1/1") == 3
    assert told.count("executed 4") == 1
    files = [one["filename"] for one in rig.history(prompt_id)["outputs"]["4"]["images"]]
    assert files == ["fan_00001_.png", "fan_00002_.png", "fan_00003_.png"]


def test_a_node_that_takes_lists_runs_once() -> None:
    rig = connected({"3": {"steps": 1}})

    rig.queue(
        {
            "1": MAKE,
            "2": node("Fan", image=["1", 0], count=3),
            "3": node("Gather", image=["2", 0]),
            "4": node("Sink", image=["3", 0]),
        }
    )

    assert lines(rig.told()).count("progress 3 1/1") == 1


def test_a_batch_is_split_anew_into_a_list() -> None:
    rig = connected()

    prompt_id = rig.queue(
        {
            "1": node("EmptyImage", width=8, height=8, batch_size=5, color=0),
            "2": node("RebatchImages", images=["1", 0], batch_size=2),
            "3": node("SaveImage", images=["2", 0], filename_prefix="part"),
        }
    )

    assert len(rig.history(prompt_id)["outputs"]["3"]["images"]) == 5


LAZY = {
    "1": node("Make", color=1),
    "2": node("Make", color=2),
    "3": node("Mask", value=0.5),
    "4": node("Mix", image1=["1", 0], image2=["2", 0], mask=["3", 0]),
    "5": node("Sink", image=["4", 0]),
}
NEEDS = {
    "one": ({"needs": ["image2"]}, ["run 3", "run 4", "run 2", "run 4", "run 5"]),
    "none": ({"needs": []}, ["run 3", "run 4", "run 5"]),
    "both": (
        {"needs": ["image1", "image2"]},
        ["run 3", "run 4", "run 1", "run 2", "run 4", "run 5"],
    ),
    "all, if nothing is said": ({}, ["run 3", "run 4", "run 1", "run 2", "run 4", "run 5"]),
}


@pytest.mark.parametrize("plan, order", NEEDS.values(), ids=NEEDS)
def test_a_lazy_node_asks_and_comes_back(plan: Any, order: list[str]) -> None:
    rig = connected({"4": plan})

    rig.queue(LAZY)

    assert [one for one in rig.told() if one.startswith("run")] == order


def test_a_lazy_node_that_needs_what_it_does_not_have_fails() -> None:
    rig = connected({"4": {"needs": ["image9"]}})

    prompt_id = rig.queue(LAZY)

    error = rig.history(prompt_id)["status"]["messages"][-1][1]
    assert error["exception_type"] == "comfy_execution.graph.NodeInputError"
    assert error["exception_message"].startswith("Node 4 says it needs input image9")


@pytest.mark.parametrize("switch, ran", [(True, "2"), (False, "1")])
def test_a_switch_runs_only_the_side_it_takes(switch: bool, ran: str) -> None:
    rig = connected()

    rig.queue(
        {
            "1": node("Make", color=1),
            "2": node("Make", color=2),
            "3": node("ComfySwitchNode", switch=switch, on_false=["1", 0], on_true=["2", 0]),
            "4": node("Sink", image=["3", 0]),
        }
    )

    runs = [one for one in rig.told() if one.startswith("run")]
    assert runs == ["run 3", f"run {ran}", "run 3", "run 4"]


def test_a_silent_block_leaves_the_output_without_a_word() -> None:
    rig = connected({"1": {"block": None}})

    prompt_id = rig.queue(SAVE)

    assert lines(rig.told()) == [*BEFORE, "run 1", "run 2", *AFTER]
    assert rig.history(prompt_id)["outputs"] == {}


def test_a_block_with_a_message_is_an_error_that_ends_nothing() -> None:
    rig = connected({"1": {"block": "not today"}})

    prompt_id = rig.queue(SAVE)

    errors = [f for f in rig.frames["A"] if type(f) is dict and f["type"] == "execution_error"]
    assert lines(rig.told()) == [*BEFORE, "run 1", "run 2", "error 2", *AFTER]
    assert [e["data"] for e in errors] == [
        {
            "prompt_id": prompt_id,
            "node_id": "2",
            "node_type": "SaveImage",
            "executed": ["1"],
            "exception_message": "Execution Blocked: not today",
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        }
    ]
    kinds = [kind for kind, _ in rig.history(prompt_id)["status"]["messages"]]
    assert kinds == ["execution_start", "execution_cached", "execution_success"]


def test_a_block_is_reported_once_and_travels_on_silently() -> None:
    rig = connected({"1": {"block": "no"}})

    rig.queue(SLOW)

    assert [one for one in rig.told() if one.startswith("error")] == ["error 2"]


# --- expansion, async ----------------------------------------------------------------------------

EXPANDING = {
    "graph": {
        "1": node("Make", color=9),
        "2": node("Pass", image=["1", 0]),
        "3": node("PreviewImage", images=["2", 0]),
    },
    "result": [["2", 0]],
}


def test_an_expanding_node_stays_running_while_its_nodes_run() -> None:
    rig = connected({"2": {"expand": EXPANDING}})

    prompt_id = rig.queue(SLOW)

    assert lines(rig.frames["A"] and rig.told()) == [
        *BEFORE,
        "run 1",
        "run 2",
        "run 2.0.0.1",
        "run 2.0.0.2",
        "run 2.0.0.3",
        "executed 2.0.0.3",
        "run 3",
        *AFTER,
    ]
    assert rig.history(prompt_id)["meta"]["2.0.0.3"] == {
        "node_id": "2.0.0.3",
        "display_node": "2",
        "parent_node": "2",
        "real_node_id": "2",
    }


def test_ids_of_an_expansion_may_be_written_in_full() -> None:
    graph = {"2.0.0.1": node("Make", color=9), "2.0.0.2": node("Pass", image=["2.0.0.1", 0])}
    rig = connected({"2": {"expand": {"graph": graph, "result": [["2.0.0.2", 0]]}}})

    rig.queue(SLOW)

    assert [one for one in rig.told() if one.startswith("run")] == [
        "run 1",
        "run 2",
        "run 2.0.0.1",
        "run 2.0.0.2",
        "run 3",
    ]


def test_an_expansion_may_point_to_outer_nodes_and_is_cached_as_one() -> None:
    graph = {"1": node("Pass", image=["1x", 0])}
    prompt = {"1x": MAKE, "2": node("Pass", image=["1x", 0]), "3": node("Sink", image=["2", 0])}
    rig = connected({"2": {"expand": {"graph": graph, "result": [["1", 0]]}}})
    rig.queue(prompt)
    rig.told()

    rig.queue(prompt)

    assert lines(rig.told())[3:5] == ["cached 1x 2 3", "executed 3"]


def test_a_failure_inside_an_expansion_is_blamed_on_the_outer_node() -> None:
    rig = connected({"2": {"expand": EXPANDING}, "2.0.0.2": {"raise": {"message": "inside"}}})

    prompt_id = rig.queue(SLOW)

    error = rig.history(prompt_id)["status"]["messages"][-1][1]
    assert (error["node_id"], error["node_type"]) == ("2", "Pass")
    assert error["executed"] == ["1", "2.0.0.1"]


def test_nodes_that_come_to_wait_for_each_other_end_in_a_success_of_sorts() -> None:
    graph = {
        "1": node("Both", image1=["2", 0], image2=["1x", 0]),
        "2": node("Pass", image=["1", 0]),
    }
    prompt = {"1x": MAKE, "2": node("Pass", image=["1x", 0]), "3": node("Sink", image=["2", 0])}
    rig = connected({"2": {"expand": {"graph": graph, "result": [["2", 0]]}}})

    prompt_id = rig.queue(prompt)

    told = lines(rig.told())
    status = rig.history(prompt_id)["status"]
    error = status["messages"][-1][1]
    assert told[-3:] == ["error 2", "status 0", "end"]
    assert error["exception_type"] == "graph.DependencyCycleError"
    assert error["exception_message"] == "Dependency cycle detected"
    assert (error["traceback"], error["current_inputs"]) == ([], [])
    assert (status["status_str"], status["completed"]) == ("success", True)


ASYNC = {
    "1": MAKE,
    "2": node("Pass", image=["1", 0]),
    "3": node("Halfway", image=["1", 0]),
    "4": node("Sink", image=["2", 0]),
    "5": node("Sink", image=["3", 0]),
}


def test_async_nodes_run_side_by_side() -> None:
    rig = connected({"2": {"seconds": 0.5, "async": True}, "3": {"seconds": 0.3, "async": True}})

    rig.queue(ASYNC)
    rig.finish()

    assert [one for one in rig.told() if one.startswith("run")] == [
        "run 1",
        "run 2",
        "run 3",
        "run 5",
        "run 4",
    ]
    assert rig.now == 500_000


def test_an_async_failure_ends_the_prompt_and_has_no_inputs_to_show() -> None:
    rig = connected(
        {
            "2": {"seconds": 0.5, "steps": 2, "async": True},
            "3": {"seconds": 0.3, "async": True, "raise": "x"},
        }
    )

    prompt_id = rig.queue(ASYNC)
    rig.finish()

    error = rig.history(prompt_id)["status"]["messages"][-1][1]
    assert error["node_id"] == "3"
    assert error["current_inputs"] == {}
    assert rig.told()[-3:] == ["error 3", "status 0", "end"]


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


# --- failures and interrupts ---------------------------------------------------------------------


def test_a_failure_tells_what_the_node_was_given() -> None:
    rig = connected({"3": {"raise": {"type": "my.Error", "message": "why"}}})

    prompt_id = rig.queue(SLOW)

    error = rig.history(prompt_id)["status"]["messages"][-1][1]
    assert lines(rig.told())[-3:] == ["error 3", "status 0", "end"]
    assert error["exception_message"] == "why\n"
    assert list(error["current_inputs"]) == ["image"]
    assert error["current_outputs"] == ["1", "2", "3"]
    assert error["executed"] == ["1", "2"]
    assert rig.history(prompt_id)["status"]["completed"] is False


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
    rig.queue(SINK)
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


def test_an_idle_interrupt_does_not_hit_the_next_prompt() -> None:
    rig = connected()

    rig.ask("POST", "/interrupt")
    rig.queue(SLOW)

    assert lines(rig.told())[-3:] == AFTER


def test_an_interrupt_of_a_prompt_without_client_reaches_everybody() -> None:
    rig = connected({"2": {"seconds": 3}})
    rig.queue(SLOW, client=None)

    rig.ask("POST", "/interrupt")

    assert lines(rig.told())[-2:] == ["interrupted 2", "status 0"]


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


# --- core nodes that fail by themselves ----------------------------------------------------------


def failing(rig: Rig, prompt: Any) -> tuple[str, str]:
    error = rig.history(rig.queue(prompt))["status"]["messages"][-1]
    assert error[0] == "execution_error", error
    return error[1]["exception_type"], error[1]["exception_message"]


def test_a_file_that_is_no_image_fails_to_load() -> None:
    rig = connected()
    rig.folders.write("input", "", "no.png", b"text", 0)

    kind, message = failing(
        rig, {"1": node("LoadImage", image="no.png"), "2": node("PreviewImage", images=["1", 0])}
    )

    assert kind == "PIL.UnidentifiedImageError"
    assert message == "cannot identify image file '/ComfyUI/input/no.png'\n"


def test_a_prefix_that_leaves_the_output_folder_fails_to_save() -> None:
    rig = connected()

    kind, message = failing(
        rig, {"1": MAKE, "2": node("SaveImage", images=["1", 0], filename_prefix="../../x/y")}
    )

    assert kind == "Exception"
    assert message.startswith("**** ERROR: Saving image outside the output folder is not allowed.")


def test_a_text_where_a_picture_is_needed_is_accepted_and_fails() -> None:
    rig = connected()

    assert failing(rig, {"2": node("PreviewImage", images="text")}) == (
        "AttributeError",
        "'str' object has no attribute 'shape'\n",
    )


@pytest.mark.parametrize(
    "kind, tip",
    [("torch.OutOfMemoryError", "This error means you ran out of memory"), ("ValueError", "")],
)
def test_running_out_of_memory_comes_with_advice(kind: str, tip: str) -> None:
    rig = connected({"2": {"raise": {"type": kind, "message": "full"}}})

    assert failing(rig, SLOW)[1].startswith(f"full\n{tip}")


# --- sockets -------------------------------------------------------------------------------------


def test_the_first_frame_is_status_with_the_sid_and_without_id_one_is_minted() -> None:
    rig = Rig()

    named, nameless, empty = rig.connect("A"), rig.connect("B", None), rig.connect("C", None)

    assert named[0]["data"]["sid"] == "A"  # type: ignore[call-overload, index]  # a text frame
    minted = {frames[0]["data"]["sid"] for frames in (nameless, empty)}  # type: ignore[call-overload, index]  # text frames
    assert len(minted) == 2
    assert {len(one) for one in minted} == {32}


def test_a_client_that_comes_back_is_told_the_running_node_only() -> None:
    rig = connected({"2": {"seconds": 2}})
    rig.queue(SLOW)
    rig.leave("A")

    rig.connect("B", "A")

    frames = rig.frames["B"]
    assert frames[1:] == [{"type": "executing", "data": {"node": "2"}}]
    rig.finish()
    assert lines(rig.told("B"))[-3:] == AFTER


def test_a_stranger_is_not_told_the_running_node() -> None:
    rig = connected({"2": {"seconds": 2}})
    rig.queue(SLOW)

    assert len(rig.connect("B")) == 1


def test_the_newest_socket_of_an_id_takes_over_and_the_old_one_leaving_silences_it() -> None:
    rig = connected()
    rig.connect("B", "A")
    rig.told("B")

    rig.queue(SINK)
    first = rig.told("B")
    rig.leave("A")
    rig.queue(SAVE)

    assert rig.told("A") == []
    assert first[-1] == "end"
    assert rig.told("B") == []


FIRST_MESSAGES = {
    "flags": (['{"type": "feature_flags", "data": {}}'], True),
    "without data": (['{"type": "feature_flags"}'], True),
    "after broken JSON, a list and bytes": (
        ["{broken", "[1, 2]", b"\0\0\0\1", "null", "", '{"type": "feature_flags"}'],
        True,
    ),
    "after another object": (['{"type": "hello"}', '{"type": "feature_flags"}'], False),
    "brackets without end": (["[" * 5_000, '{"type": "feature_flags"}'], True),
}


@pytest.mark.parametrize("messages, answered", FIRST_MESSAGES.values(), ids=FIRST_MESSAGES)
def test_flags_are_answered_on_the_first_object(messages: list[Any], answered: bool) -> None:
    rig = connected()

    for message in messages:
        rig.say("A", message)

    assert (rig.told() == ["feature_flags"]) is answered


def test_flags_of_older_servers_go_unanswered() -> None:
    rig = connected(version="0.3.40")

    rig.say("A", {"type": "feature_flags", "data": {}})

    assert rig.told() == []


def test_flags_belong_to_the_connection() -> None:
    rig = connected({"2": {"steps": 1, "previews": {}}})
    rig.say("A", {"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    rig.leave("A")
    rig.connect("B", "A")

    rig.queue(SLOW)

    assert "binary 1" in rig.told("B")


# --- eras ----------------------------------------------------------------------------------------


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


def test_progress_of_old_servers_names_no_node_without_a_client() -> None:
    rig = connected({"2": {"steps": 1}}, version="0.3.40")

    rig.queue(SLOW, client=None)

    [frame] = [f for f in rig.frames["A"] if type(f) is dict and f["type"] == "progress"]
    assert frame["data"]["node"] is None


def test_around_0_38_a_node_may_say_what_it_is_busy_with() -> None:
    plan = {"2": {"seconds": 1, "steps": 1, "activity": "loading"}}
    rig = connected(plan, version="0.38.0")

    rig.queue(SLOW)
    rig.finish()

    states = [
        f["data"]["nodes"].get("2", {}) for f in rig.frames["A"] if kind_of(f) == "progress_state"
    ]
    assert [one.get("activity") for one in states if one] == [
        None,
        "loading",
        None,  # its progress
        None,
        *[None] * 3,
    ]
    older = connected(plan)
    older.queue(SLOW)
    older.finish()
    assert "activity" not in json.dumps([f for f in older.frames["A"] if isinstance(f, dict)])


def kind_of(frame: Any) -> Any:
    return frame["type"] if isinstance(frame, dict) else None


def test_around_0_38_files_carry_an_id_that_is_new_for_every_prompt() -> None:
    rig = connected(version="0.38.0")

    entries = [rig.history(rig.queue(SAVE))["outputs"]["2"]["images"][0] for _ in range(2)]

    assert entries[0]["filename"] == entries[1]["filename"]
    assert len({entry["id"] for entry in entries}) == 2
    assert rig.engine.features()["assets"] is True


# --- determinism, steps --------------------------------------------------------------------------


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


def test_lifelike_runs_take_time_and_samplers_show_their_steps() -> None:
    rig = connected(lifelike=True)
    model = node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly.safetensors")

    prompt_id = rig.queue(
        {
            "1": model,
            "2": node("CLIPTextEncode", clip=["1", 1], text="a"),
            "3": node("EmptyLatentImage", width=64, height=48, batch_size=1),
            "4": node(
                "KSampler",
                model=["1", 0],
                positive=["2", 0],
                negative=["2", 0],
                latent_image=["3", 0],
                seed=1,
                steps=4,
                cfg=1.0,
                sampler_name="euler",
                scheduler="simple",
                denoise=1.0,
            ),
            "5": node("VAEDecode", samples=["4", 0], vae=["1", 2]),
            "6": node("SaveImage", images=["5", 0], filename_prefix="life"),
        }
    )
    rig.finish()

    told = lines(rig.told())
    assert rig.now > 1_000_000
    assert told.count("binary 1") == 4
    assert "progress 4 4/4" in told
    [saved] = rig.history(prompt_id)["outputs"]["6"]["images"]
    file = rig.folders.read("output", saved["subfolder"], saved["filename"])
    assert file is not None
    size = measure(file.data)
    assert size is not None and size[:2] == (64, 48)
