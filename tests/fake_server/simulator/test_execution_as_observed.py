"""Odd things of executions that real servers were seen to do."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

from fake_server.simulator.node_plan import NodePlans, always
from fake_server.storage.pictures import picture
from tests.support.engine_bench import Rig, entry, lines, node
from tests.support.engine_bench import catalogue as catalogue_with

IMAGE = ["IMAGE"]

MAKE = node("Make", color=1)

PAIR = node("Fan", image=["1", 0], count=2)

FAILING = {"raise": {"type": "ValueError", "message": "no"}}

TWO_DEEP = {
    "graph": {"1": node("Pass", image=None), "2": node("Pass", image=["1", 0])},
    "result": [["2", 0]],
}


def rig_with(plan: dict[str, Any] | None = None, **more: Any) -> Rig:
    rig = Rig(plan, **more)
    rig.connect("A")
    rig.told()
    return rig


def runs(rig: Rig) -> list[str]:
    return [one.removeprefix("run ") for one in rig.told() if one.startswith("run")]


def error_of(rig: Rig, prompt_id: str) -> dict[str, Any]:
    found: dict[str, Any] = rig.history(prompt_id)["status"]["messages"][-1][1]
    assert "exception_type" in found, found
    return found


SHOWN = {"text": ["a"]}

BLOCKED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "by a silent block": ({"1": MAKE}, {"1": {"block": None}}),
    "by a message": ({"1": MAKE}, {"1": {"block": "stop"}}),
    "in every item": (
        {"0": MAKE, "1": node("Fan", image=["0", 0], count=2)},
        {"1": {"block": "stop"}},
    ),
}


@pytest.mark.parametrize("above, plan", BLOCKED.values(), ids=BLOCKED)
def test_a_blocked_node_shows_nothing_even_if_a_plan_has_its_output(above: Any, plan: Any) -> None:
    rig = rig_with({**plan, "2": {"ui": SHOWN}})

    prompt_id = rig.queue({**above, "2": node("Sink", image=["1", 0])})

    assert "executed 2" not in rig.told()
    assert rig.history(prompt_id)["outputs"] == {}


def test_planned_pictures_are_all_written_by_the_calls_that_are_not_blocked() -> None:
    rig = rig_with({"4": {"images": 3}, "2": {"block": None}})

    prompt_id = rig.queue(
        {
            "1": MAKE,
            "2": node("Pass", image=["1", 0]),
            "3": node("Fan", image=["1", 0], count=2),
            "4": node("PreviewImage", images=["3", 0]),
            "5": node("PreviewImage", images=["2", 0]),
        }
    )

    outputs = rig.history(prompt_id)["outputs"]
    assert {key: len(shown["images"]) for key, shown in outputs.items()} == {"4": 3}


LISTS = catalogue_with(With=entry({"image": IMAGE, "name": ["STRING", {}]}))

EMPTY: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing else is given": (
        node("Both", image1=["2", 0], image2=["2", 0]),
        "TypeError",
        "Both.run() missing 2 required positional arguments: 'image1' and 'image2'\n",
    ),
    "one input": (
        node("Pass", image=["2", 0]),
        "TypeError",
        "Pass.run() missing 1 required positional argument: 'image'\n",
    ),
    "a literal is given too": (
        node("With", image=["2", 0], name="x"),
        "IndexError",
        "list index out of range\n",
    ),
}


@pytest.mark.parametrize("behind, kind, said", EMPTY.values(), ids=EMPTY)
def test_a_list_without_items_leaves_a_node_without_arguments(
    behind: Any, kind: str, said: str
) -> None:
    rig = rig_with({"2": {"items": 0}}, catalogue=LISTS)

    prompt_id = rig.queue(
        {"1": MAKE, "2": PAIR, "3": behind, "4": node("Sink", image=["3", 0])},
    )

    error = error_of(rig, prompt_id)
    assert (error["exception_type"], error["exception_message"]) == (kind, said)


UNNEEDED = {
    "1": MAKE,
    "2": node("Pass", image=["1", 0]),
    "3": node("ComfySwitchNode", switch=True, on_true=["1", 0], on_false=["2", 0]),
    "4": node("Sink", image=["3", 0]),
}


def test_a_failing_node_that_nobody_asks_for_leaves_the_rest_in_the_cache() -> None:
    rig = rig_with({"2": FAILING})
    rig.queue(UNNEEDED)
    rig.told()

    rig.queue(UNNEEDED)

    assert "cached 1 3 4" in rig.told()


def test_a_plan_that_makes_a_cached_node_fail_is_not_answered_from_the_cache() -> None:
    rig = rig_with()
    graph = {"1": MAKE, "2": node("Pass", image=["1", 0]), "3": node("Sink", image=["2", 0])}
    rig.queue(graph)
    rig.engine.worker.plan_for = always(NodePlans({"2": FAILING}))
    rig.told()

    prompt_id = rig.queue(graph)

    assert error_of(rig, prompt_id)["node_id"] == "2"


EXPANDS_AND_FAILS = {
    "1": MAKE,
    "2": node("Pass", image=["1", 0]),
    "3": node("Both", image1=["2", 0], image2=["2", 0]),
    "4": node("Sink", image=["3", 0]),
}

CHILDREN = {"ram": True, "classic": True, "lru": True, "none": False}


@pytest.mark.parametrize("cache, known", CHILDREN.items(), ids=CHILDREN)
def test_current_outputs_are_all_nodes_the_cache_knows_with_those_of_earlier_expansions(
    cache: str, known: bool
) -> None:
    rig = rig_with({"2": {"expand": TWO_DEEP}, "3": FAILING}, cache=cache, lru_size=50)
    first = error_of(rig, rig.queue(EXPANDS_AND_FAILS))

    second = error_of(rig, rig.queue(EXPANDS_AND_FAILS))

    ids = ["1", "2", "3", "4"]
    assert first["current_outputs"] == (ids if known else [])
    assert second["current_outputs"] == ([*ids, "2.0.0.1", "2.0.0.2"] if known else [])


FULL = {
    "3.0.0.1": node("Pass", image=["2", 0]),
    "3.0.0.2": node("Pass", image=["3.0.0.1", 0]),
}

BOTH_CALLS = {
    **FULL,
    "3.1.0.1": node("Pass", image=["2", 0]),
    "3.1.0.2": node("Pass", image=["3.1.0.1", 0]),
}

WRITTEN: dict[str, Any] = {
    "for the first call": {"graph": FULL, "result": [["3.0.0.2", 0]]},
    "for both": {"graph": BOTH_CALLS, "result": [["3.0.0.2", 0], ["3.1.0.2", 0]]},
    "in short": TWO_DEEP,
}


@pytest.mark.parametrize("expand", WRITTEN.values(), ids=WRITTEN)
def test_each_item_expands_under_ids_of_its_own_however_the_plan_writes_them(expand: Any) -> None:
    rig = rig_with({"3": {"expand": expand}})

    rig.queue(
        {
            "1": MAKE,
            "2": PAIR,
            "3": node("Pass", image=["2", 0]),
            "4": node("Gather", image=["3", 0]),
            "5": node("Sink", image=["4", 0]),
        }
    )

    assert sorted(runs(rig)) == [
        "1", "2", "3", "3.0.0.1", "3.0.0.2", "3.1.0.1", "3.1.0.2", "4", "5",
    ]  # fmt: skip


SINK = node("Sink", image=["2", 0])

SAME_ID = {"graph": {"1": node("Make", color=7)}, "result": [["1", 0]]}


def test_null_in_an_expansion_is_a_picture_and_no_literal() -> None:
    rig = rig_with({"2": {"expand": TWO_DEEP}, "2.0.0.1": FAILING})

    prompt_id = rig.queue({"1": MAKE, "2": node("Pass", image=["1", 0]), "3": SINK})

    assert error_of(rig, prompt_id)["current_inputs"] == {"image": ["<object>"]}


@pytest.mark.parametrize("version, refused", [("0.3.64", True), ("0.27.0", False)])
def test_an_expansion_may_bring_an_id_that_is_there_since_0_3_68(
    version: str, refused: bool
) -> None:
    rig = rig_with({"2": {"expand": SAME_ID}}, version=version)

    prompt_id = rig.queue(
        {"1": MAKE, "2": node("Pass", image=["1", 0]), "3": SINK, "2.0.0.1": MAKE}
    )

    last = rig.history(prompt_id)["status"]["messages"][-1][1]
    assert (last.get("exception_type") == "execution.DuplicateNodeError") is refused


LATE = {
    "1": MAKE,
    "2": node("Mix", image1=["1", 0], image2=["1", 0], mask=["m", 0]),
    "m": node("Mask", value=0.5),
    "3": node("Sink", image=["1", 0]),
    "4": node("Sink", image=["2", 0]),
}


@pytest.mark.parametrize("cache, again", [("ram", 1), ("none", 2)])
def test_without_a_cache_what_a_lazy_node_asks_for_late_runs_once_more(
    cache: str, again: int
) -> None:
    rig = rig_with({"2": {"needs": ["image1"]}}, cache=cache)

    rig.queue(LATE)

    assert runs(rig).count("1") == again


def text_of(rig: Rig, prompt_id: str) -> Any:
    image = rig.history(prompt_id)["outputs"]["9"]["images"][0]
    file = rig.folders.read(image["type"], image["subfolder"], image["filename"])
    assert file is not None
    return json.loads(Image.open(io.BytesIO(file.data)).text["prompt"])  # type: ignore[attr-defined]  # of PNG


SAVED = node("SaveImage", images=["2", 0], filename_prefix="a")


@pytest.mark.parametrize(
    "version, again", [("0.3.67", []), ("0.27.0", ["0", "0.0.0.1", "0.0.0.2"])]
)
def test_without_a_cache_a_node_that_is_asked_for_late_expands_once_more_since_0_3_68(
    version: str, again: list[str]
) -> None:
    expansion = {"1": node("Make", color=1), "2": node("Pass", image=["1", 0])}
    rig = rig_with(
        {"0": {"expand": {"graph": expansion, "result": [["2", 0]]}}}, cache="none", version=version
    )

    rig.queue({
        "mask": node("Mask", value=0.5), "0": node("Make", color=0),
        "2": node("Mix", image1=["0", 0], image2=["0", 0], mask=["mask", 0]),
        "3": node("Mix", image1=["0", 0], image2=["2", 0], mask=["mask", 0]),
        "4": node("Sink", image=["0", 0]), "5": node("Sink", image=["3", 0]),
    })  # fmt: skip
    rig.finish()

    assert runs(rig) == [
        "0", "mask", "3", "0.0.0.1", "0.0.0.2", "4", "mask", "2", *again, "2", "3", "5",
    ]  # fmt: skip


def test_pictures_carry_what_the_change_checks_of_their_graph_said() -> None:
    rig = rig_with({"5": {"uncached": True}})
    rig.folders.write("input", "", "a.png", picture(width=4, height=4, seed=1), 0)

    loaded = text_of(rig, rig.queue({"2": node("LoadImage", image="a.png"), "9": SAVED}))
    pair = {"5": node("Pass", image=["1", 0]), "2": node("Pass", image=["5", 0])}
    fresh = text_of(rig, rig.queue({"1": MAKE, **pair, "9": SAVED}))

    assert [len(one) for one in loaded["2"]["is_changed"]] == [64]
    assert repr(fresh["5"]["is_changed"]) == "[nan]"
    assert "is_changed" not in fresh["1"]


def test_what_a_prompt_brings_of_an_earlier_change_check_is_believed() -> None:
    rig = rig_with()
    rig.folders.write("input", "", "a.png", picture(width=4, height=4, seed=1), 0)
    graph = {
        "1": {**node("LoadImage", image="a.png"), "is_changed": ["then"]},
        "2": node("Sink", image=["1", 0]),
    }
    rig.queue(graph)
    rig.folders.write("input", "", "a.png", picture(width=4, height=4, seed=2), 0)
    rig.told()

    rig.queue(graph)

    assert "cached 1 2" in rig.told()


def test_lines_of_a_run_with_everything_in_it_are_those_of_the_real_server() -> None:
    rig = rig_with({"2": {"expand": TWO_DEEP}, "3": {"block": "half"}, "6": {"ui": SHOWN}})

    rig.queue(
        {
            "1": MAKE,
            "2": node("Pass", image=["1", 0]),
            "3": node("Pass", image=["2", 0]),
            "4": node("ComfySwitchNode", switch=False, on_true=["2", 0], on_false=["3", 0]),
            "5": node("Sink", image=["4", 0]),
            "6": node("Sink", image=["2", 0]),
        }
    )

    assert lines(rig.told()) == [
        "status 1", "status 1", "start", "cached", "run 4", "run 1", "run 2", "run 2.0.0.1",
        "run 2.0.0.2", "run 6", "executed 6", "run 3", "run 4", "error 4", "run 5", "success",
        "status 0", "end",
    ]  # fmt: skip
