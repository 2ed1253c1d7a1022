"""One node at work: how it is called and what it shows, and on what it fails."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.engine_bench import Rig, node


def rig_with(plan: dict[str, Any] | None = None, **more: Any) -> Rig:
    rig = Rig(plan, **more)
    rig.connect("A")
    rig.told()
    return rig


def error_of(rig: Rig, prompt_id: str) -> dict[str, Any]:
    found: dict[str, Any] = rig.history(prompt_id)["status"]["messages"][-1][1]
    assert "exception_type" in found, found
    return found


SAVED = node("SaveImage", images=["2", 0], filename_prefix="a")

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


BATCH = node("EmptyImage", width=8, height=6, batch_size=3, color=5)


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
