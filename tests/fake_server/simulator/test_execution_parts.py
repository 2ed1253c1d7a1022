"""Lists, lazy inputs, blocks, expansion and async nodes within one prompt."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine_bench import Rig, lines, node

MAKE = node("Make", color=1)

SAVE = {"1": MAKE, "2": node("SaveImage", images=["1", 0], filename_prefix="a")}

SLOW = {"1": MAKE, "2": node("Pass", image=["1", 0]), "3": node("Sink", image=["2", 0])}

AFTER = ["success", "status 0", "end"]

BEFORE = ["status 1", "status 1", "start", "cached"]


def connected(*args: Any, **kwargs: Any) -> Rig:
    rig = Rig(*args, **kwargs)
    rig.connect("A")
    rig.told("A")
    return rig


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
