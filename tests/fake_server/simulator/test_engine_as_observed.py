"""What a real 0.27.0 and 0.3.64 did with blocks, lists, lazy and expanding nodes together.

Hundreds of random graphs were run on both servers and on the engine; these are the mechanisms that
had to be mended then, one small graph for each.
"""

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


# --- blocks --------------------------------------------------------------------------------------

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


# --- lists ---------------------------------------------------------------------------------------

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


def test_old_object_info_does_not_say_that_a_core_class_takes_lists() -> None:
    old = {key: value for key, value in entry({"images": IMAGE}).items() if key != "is_input_list"}
    found = catalogue_with(RebatchImages=old, Pass=old)

    assert [found.get(name).input_is_list for name in ("RebatchImages", "Pass")] == [True, False]


# --- what fails and is not needed ----------------------------------------------------------------

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


# --- expansion -----------------------------------------------------------------------------------

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


# --- cache ---------------------------------------------------------------------------------------

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


# --- literals where links belong -----------------------------------------------------------------

SCALED = {"upscale_method": "area", "width": 8, "height": 8, "crop": "disabled"}
TAKES: dict[str, Any] = {
    "invert": lambda value: node("ImageInvert", image=value),
    "scale": lambda value: node("ImageScale", image=value, **SCALED),
    "save": lambda value: node("SaveImage", images=value, filename_prefix="a"),
    "latent": lambda value: node("LatentUpscale", samples=value, **SCALED),
    "decode": lambda value: node("VAEDecode", samples=value, vae=["v", 0]),
    "encode": lambda value: node("CLIPTextEncode", clip=value, text="a"),
}
LITERALS: list[tuple[str, Any, str]] = [
    ("invert", "x", "AttributeError"),
    ("scale", "x", "AttributeError"),
    ("save", "x", "AttributeError"),
    ("save", 5, "AttributeError"),
    ("save", None, "AttributeError"),
    ("save", {"__value__": [1, 2]}, "AttributeError"),
    ("latent", {"a": 1}, "KeyError"),
    ("decode", "x", "TypeError"),
    ("decode", {"__value__": [1]}, "TypeError"),
    ("encode", "x", "AttributeError"),
]


@pytest.mark.parametrize("what, value, kind", LITERALS, ids=str)
def test_a_literal_where_a_core_node_needs_a_link_is_accepted_and_fails_there(
    what: str, value: Any, kind: str
) -> None:
    rig = rig_with()
    loader = node("VAELoader", vae_name="ae.safetensors")

    prompt_id = rig.queue(
        {"2": TAKES[what](value), "3": node("PreviewAny", source=["2", 0]), "v": loader}
    )

    error = error_of(rig, prompt_id)
    assert (error["node_id"], error["exception_type"]) == ("2", kind)


PREVIEWED: dict[str, tuple[Any, str]] = {
    "text": ("a", "a"),
    "number": (2.5, "2.5"),
    "truth": (True, "True"),
    "null": (None, "None"),
    "object": ({"a": 1}, '{\n    "a": 1\n}'),
    "list": ({"__value__": [1, 2]}, "[\n    1,\n    2\n]"),
}


@pytest.mark.parametrize("value, shown", PREVIEWED.values(), ids=PREVIEWED)
def test_preview_any_writes_lists_and_objects_as_indented_json(value: Any, shown: str) -> None:
    rig = rig_with()

    prompt_id = rig.queue({"1": node("PreviewAny", source=value)})

    assert rig.history(prompt_id)["outputs"] == {"1": {"text": [shown]}}


OLDER: dict[str, tuple[str, str]] = {
    "0.3.64": ("0.3.64", '{"a": "\\u00fc"}'),
    "0.27.0": ("0.27.0", '{\n    "a": "\\u00fc"\n}'),
    "0.38.0": ("0.38.0", '{\n    "a": "ü"\n}'),
}


@pytest.mark.parametrize("version, shown", OLDER.values(), ids=OLDER)
def test_preview_any_writes_objects_as_its_version_does(version: str, shown: str) -> None:
    rig = rig_with(version=version)

    prompt_id = rig.queue({"1": node("PreviewAny", source={"a": "ü"})})

    assert rig.history(prompt_id)["outputs"] == {"1": {"text": [shown]}}


# class, frames, version -> what is said of its moving
MOVING: dict[str, tuple[str, int, str, Any]] = {
    "one frame": ("SaveAnimatedWEBP", 1, "0.27.0", None),
    "two frames": ("SaveAnimatedWEBP", 2, "0.27.0", [True]),
    "one frame, before 0.7": ("SaveAnimatedWEBP", 1, "0.3.64", [False]),
    "one frame as PNG": ("SaveAnimatedPNG", 1, "0.27.0", None),
    "one frame as PNG, before 0.7": ("SaveAnimatedPNG", 1, "0.3.64", [True]),
}
MOVERS = catalogue_with(
    SaveAnimatedPNG={
        **entry({"images": IMAGE, "filename_prefix": ["STRING", {}]}, (), output_node=True),
        "python_module": "comfy_extras.nodes_images",
    }
)
WEBP = {"fps": 6.0, "lossless": True, "quality": 80, "method": "default"}


@pytest.mark.parametrize("kind, frames, version, said", MOVING.values(), ids=MOVING)
def test_a_moving_picture_of_one_frame_is_said_to_move_as_the_version_has_it(
    kind: str, frames: int, version: str, said: Any
) -> None:
    rig = rig_with(version=version, catalogue=MOVERS)
    batch = node("EmptyImage", width=8, height=8, batch_size=frames, color=0)
    save = node(kind, images=["1", 0], filename_prefix="a", **WEBP)

    prompt_id = rig.queue({"1": batch, "2": save})

    assert rig.history(prompt_id)["outputs"]["2"].get("animated") == said


# --- validation ----------------------------------------------------------------------------------

LOADS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no file": (
        node("LoadImage"),
        "TypeError",
        "LoadImage.VALIDATE_INPUTS() missing 1 required positional argument: 'image'",
    ),
    "a number": (
        node("LoadImage", image=5),
        "AttributeError",
        "'int' object has no attribute 'endswith'",
    ),
    "null": (
        node("LoadImage", image=None),
        "AttributeError",
        "'NoneType' object has no attribute 'endswith'",
    ),
    "a link": (
        node("LoadImage", image=["1", 0]),
        "AttributeError",
        "'NoneType' object has no attribute 'endswith'",
    ),
}


@pytest.mark.parametrize("loader, kind, said", LOADS.values(), ids=LOADS)
def test_a_loader_without_a_file_name_breaks_its_own_check(
    loader: Any, kind: str, said: str
) -> None:
    refusal = Rig().refuse({"1": MAKE, "2": loader, "3": SINK})

    (problem,) = refusal["node_errors"]["2"]["errors"]
    assert problem["type"] == "exception_during_inner_validation"
    assert problem["details"] == said
    assert problem["extra_info"]["exception_type"] == kind


@pytest.mark.parametrize("version, shown", [("0.20.0", "'2.5'"), ("0.21.0", "2.5")])
def test_a_choice_that_is_not_in_the_list_is_written_as_its_repr_since_0_21(
    version: str, shown: str
) -> None:
    scaled = node("ImageScale", image=["1", 0], **{**SCALED, "upscale_method": 2.5})

    refusal = Rig(version=version).refuse({"1": MAKE, "2": scaled, "3": SINK})

    (problem,) = refusal["node_errors"]["2"]["errors"]
    assert problem["details"].startswith(f"upscale_method: {shown} not in [")


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


# --- what core nodes make of their inputs, as a real 0.27.0 does ---------------------------------

BATCH = node("EmptyImage", width=8, height=6, batch_size=3, color=5)


def saved(rig: Rig, prompt: dict[str, Any], **more: Any) -> list[Any]:
    """Names and pictures of what the node "9" of a prompt has saved."""
    prompt_id = rig.queue(prompt, **more)
    rig.finish()
    found = []
    for one in rig.history(prompt_id)["outputs"]["9"]["images"]:
        file = rig.folders.read(one["type"], one["subfolder"], one["filename"])
        assert file is not None
        found.append((one["filename"], Image.open(io.BytesIO(file.data))))
    return found


@pytest.mark.parametrize("made, count, size", [
    (node("ImageFromBatch", image=["1", 0], batch_index=-1, length=2), 1, (8, 6)),
    (node("ImageFromBatch", image=["1", 0], batch_index=9, length=3), 1, (8, 6)),
    (node("ImageFromBatch", image=["1", 0], batch_index=1, length=9), 2, (8, 6)),
    (node("ImageCrop", image=["1", 0], x=8, y=11, width=8, height=3), 3, (1, 1)),
    (node("ImageCrop", image=["1", 0], x=5, y=0, width=6, height=4), 3, (3, 4)),
    (node("ImageRotate", image=["1", 0], rotation="90 degrees"), 3, (6, 8)),
    (node("ImageRotate", image=["1", 0], rotation="180 degrees"), 3, (8, 6)),
])  # fmt: skip
def test_a_picture_has_the_size_that_the_real_node_gives_it(
    made: dict[str, Any], count: int, size: tuple[int, int]
) -> None:
    found = saved(rig_with(), {"1": BATCH, "2": made, "9": SAVED})

    assert [picture.size for _, picture in found] == [size] * count


@pytest.mark.parametrize("made, text", [
    ({"2": node("StringConcatenate", string_a="a", string_b="b", delimiter="-")}, "a-b"),
    ({"2": node("StringLength", string="abc")}, "3"),
    ({"1": BATCH, "2": node("GetImageSize", image=["1", 0])}, "8"),
])  # fmt: skip
def test_texts_and_numbers_that_nodes_work_out_are_shown(made: dict[str, Any], text: str) -> None:
    rig = rig_with()

    prompt_id = rig.queue({**made, "9": node("PreviewAny", source=["2", 0])})
    rig.finish()

    assert rig.history(prompt_id)["outputs"]["9"] == {"text": [text]}


def test_the_mask_of_a_picture_without_transparency_has_a_size_of_its_own() -> None:
    rig = rig_with()
    for name, mode in (("rgb.png", "RGB"), ("rgba.png", "RGBA")):
        data = picture(width=9, height=7, seed=1, mode=mode)
        rig.folders.write("input", "", name, data, 0)

    sizes = [
        saved(rig, {
            "1": node("LoadImage", image=name), "3": node("MaskToImage", mask=["1", 1]),
            "9": node("SaveImage", images=["3", 0], filename_prefix="m"),
        })[0][1].size
        for name in ("rgb.png", "rgba.png")
    ]  # fmt: skip

    assert sizes == [(64, 64), (9, 7)]


ALPHA = {
    "drawn": (["1", 0], True),
    "made of a mask": (["2", 0], True),
    "loaded, with transparency": (["3", 0], True),
    "scaled": (["4", 0], True),
    "joined with its like": (["5", 0], True),
    "given an alpha channel": (["6", 0], False),
    "joined with one that has it": (["7", 0], False),
    "out of somebody's node": (["8", 0], False),
}


@pytest.mark.parametrize("source, fails", ALPHA.values(), ids=ALPHA)
def test_a_picture_without_an_alpha_channel_has_none_to_give(source: Any, fails: bool) -> None:
    rig = rig_with()
    data = picture(width=9, height=7, seed=1, mode="RGBA")
    rig.folders.write("input", "", "rgba.png", data, 0)

    prompt_id = rig.queue({
        "1": BATCH,
        "2": node("MaskToImage", mask=["3", 1]),
        "3": node("LoadImage", image="rgba.png"),
        "4": node("ImageScale", image=["1", 0], width=4, height=4, upscale_method="area",
                  crop="disabled"),
        "5": node("ImageBatch", image1=["1", 0], image2=["4", 0]),
        "6": node("JoinImageWithAlpha", image=["1", 0], alpha=["3", 1]),
        "7": node("ImageBatch", image1=["1", 0], image2=["6", 0]),
        "8": node("Pass", image=["1", 0]),
        "10": node("ImageToMask", image=source, channel="alpha"),
        "11": node("ImageToMask", image=source, channel="blue"),
        "12": node("MaskPreview", mask=["11", 0]),
        "9": node("MaskPreview", mask=["10", 0]),
    })  # fmt: skip
    rig.finish()

    if not fails:
        assert rig.history(prompt_id)["status"]["status_str"] == "success"
        return
    error = error_of(rig, prompt_id)
    assert (error["node_id"], error["exception_type"]) == ("10", "IndexError")
    assert error["exception_message"] == "index 3 is out of bounds for dimension 3 with size 3\n"


def test_a_moving_picture_keeps_its_graph_behind_it_and_its_name_as_it_is() -> None:
    rig = rig_with()

    (name, made), = saved(rig, {
        "1": BATCH,
        "9": node("SaveAnimatedPNG", images=["1", 0], filename_prefix="a%batch_num%", fps=6.0,
                  compress_level=4),
    })  # fmt: skip

    assert name == "a%batch_num%_00001_.png"
    assert "prompt" not in made.info
    kept = rig.folders.read("output", "", name)
    assert kept is not None
    assert b"comfprompt\0{" in kept.data


def test_files_without_a_name_of_their_own_are_written_over() -> None:
    rig = rig_with()
    save = node("SaveImage", images=["1", 0], filename_prefix="")
    prompts = [
        {"1": {**BATCH, "inputs": {**BATCH["inputs"], "color": c}}, "9": save} for c in (1, 2)
    ]

    assert [[name for name, _ in saved(rig, one)] for one in prompts] == [
        ["._00001_.png", "._00002_.png", "._00003_.png"]
    ] * 2


@pytest.mark.parametrize("version, said", [("0.3.64", {}), ("0.27.0", {"animated": [False]})])
def test_a_shown_mask_says_that_it_stands_still_since_it_is_new(
    version: str, said: dict[str, Any]
) -> None:
    rig = rig_with(version=version)

    prompt_id = rig.queue({
        "1": node("SolidMask", value=1.0, width=4, height=4),
        "9": node("MaskPreview", mask=["1", 0]),
    })  # fmt: skip
    rig.finish()

    output = rig.history(prompt_id)["outputs"]["9"]
    assert {key: value for key, value in output.items() if key != "images"} == said


def test_a_link_to_an_input_that_a_core_node_does_not_have_breaks_its_call() -> None:
    rig = rig_with()

    prompt_id = rig.queue({
        "1": BATCH, "2": node("ImageInvert", image=["1", 0], more=["1", 0]), "9": SAVED,
    })  # fmt: skip
    rig.finish()

    error = error_of(rig, prompt_id)
    assert (error["node_id"], error["exception_type"]) == ("2", "TypeError")
    assert error["exception_message"] == (
        "ImageInvert.invert() got an unexpected keyword argument 'more'\n"
    )
    assert "more" in error["current_inputs"]


@pytest.mark.parametrize("more, kind, said", [
    (5, "TypeError", "'int' object is not iterable\n"),
    (["a"], "TypeError", "list indices must be integers or slices, not str\n"),
    ("ab", "TypeError", "string indices must be integers, not 'str'\n"),
    ([0], "AttributeError", "'int' object has no attribute 'encode'\n"),
    ([7], "IndexError", "list index out of range\n"),
])  # fmt: skip
def test_what_stands_beside_a_workflow_and_is_no_object_breaks_saving(
    more: Any, kind: str, said: str
) -> None:
    rig = rig_with()
    prompt = {"1": BATCH, "2": node("ImageInvert", image=["1", 0]), "9": SAVED}

    wrong = rig.queue(prompt, extra_data={"extra_pnginfo": more})
    outside = {**SAVED, "inputs": {**SAVED["inputs"], "filename_prefix": "../x"}}
    elsewhere = rig.queue({**prompt, "9": outside}, extra_data={"extra_pnginfo": more})
    rig.finish()

    assert (error_of(rig, wrong)["exception_type"], error_of(rig, wrong)["exception_message"]) == (
        kind, said,
    )  # fmt: skip
    assert error_of(rig, elsewhere)["exception_message"].startswith("**** ERROR: Saving image")
