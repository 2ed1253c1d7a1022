"""Which prompts are refused, with what the real server says of them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fake_server.simulator.validate import types_fit
from tests.support.engine_bench import Rig, node

MAKE = node("Make", color=1)

SINK = node("Sink", image=["2", 0])

SCALED = {"upscale_method": "area", "width": 8, "height": 8, "crop": "disabled"}


@pytest.mark.parametrize("version, shown", [("0.20.0", "'2.5'"), ("0.21.0", "2.5")])
def test_a_choice_that_is_not_in_the_list_is_written_as_its_repr_since_0_21(
    version: str, shown: str
) -> None:
    scaled = node("ImageScale", image=["1", 0], **{**SCALED, "upscale_method": 2.5})

    refusal = Rig(version=version).refuse({"1": MAKE, "2": scaled, "3": SINK})

    (problem,) = refusal["node_errors"]["2"]["errors"]
    assert problem["details"].startswith(f"upscale_method: {shown} not in [")


EMPTY = node("EmptyImage", width=8, height=8, batch_size=1, color=0)


SAVE = node("SaveImage", images=["1", 0], filename_prefix="x")


def only(node_errors: dict[str, Any], node_id: str) -> dict[str, Any]:
    [error] = node_errors[node_id]["errors"]
    return dict(error)


def image(**inputs: Any) -> dict[str, Any]:
    return {"1": {**EMPTY, "inputs": {**EMPTY["inputs"], **inputs}}, "2": SAVE}


WIDTH = ["INT", {"default": 512, "min": 1, "max": 16384, "step": 1}]


INVALID = "Failed to convert an input value to a INT value"


NO_NUMBER = "int() argument must be a string, a bytes-like object or a real number, not"


VALUES: dict[str, tuple[Any, str, str, str]] = {
    "too small": (0, "value_smaller_than_min", "Value 0 smaller than min of 1", "width"),
    "too large": (99_999, "value_bigger_than_max", "Value 99999 bigger than max of 16384", "width"),
    "a word": (
        "wide",
        "invalid_input_type",
        INVALID,
        "width, wide, invalid literal for int() with base 10: 'wide'",
    ),
    "null": (
        None,
        "invalid_input_type",
        INVALID,
        f"width, None, {NO_NUMBER} 'NoneType'",
    ),
    "an object": (
        {"a": 1},
        "invalid_input_type",
        INVALID,
        f"width, {{'a': 1}}, {NO_NUMBER} 'dict'",
    ),
    "not a number": (
        float("nan"),
        "invalid_input_type",
        INVALID,
        "width, nan, cannot convert float NaN to integer",
    ),
    "endless": (
        float("inf"),
        "invalid_input_type",
        INVALID,
        "width, inf, cannot convert float infinity to integer",
    ),
    "a list": (
        [1, 2, 3],
        "bad_linked_input",
        "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        "width",
    ),
    "an empty list": (
        [],
        "bad_linked_input",
        "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        "width",
    ),
}


@pytest.mark.parametrize("value, kind, message, details", VALUES.values(), ids=VALUES)
def test_a_value_is_refused_with_its_config(
    value: Any, kind: str, message: str, details: str
) -> None:
    refusal = Rig().refuse(image(width=value))

    error = only(refusal["node_errors"], "1")
    assert (error["type"], error["message"], error["details"]) == (kind, message, details)
    assert error["extra_info"]["input_config"] == WIDTH
    assert refusal["error"] == {
        "type": "prompt_outputs_failed_validation",
        "message": "Prompt outputs failed validation",
        "details": "",
        "extra_info": {},
    }
    assert refusal["node_errors"]["1"]["dependent_outputs"] == ["2"]
    assert refusal["node_errors"]["1"]["class_type"] == "EmptyImage"


def test_errors_on_an_output_itself_stand_in_the_details() -> None:
    refusal = Rig().refuse({"1": EMPTY, "2": node("SaveImage", images=["1", 0])})

    assert refusal["error"]["details"] == "Required input is missing: filename_prefix"
    assert only(refusal["node_errors"], "2")["extra_info"] == {"input_name": "filename_prefix"}


def test_a_link_between_different_types() -> None:
    latent = node("EmptyLatentImage", width=64, height=64, batch_size=1)

    error = only(Rig().refuse({"1": latent, "2": SAVE})["node_errors"], "2")

    assert error["type"] == "return_type_mismatch"
    assert error["details"] == "images, received_type(LATENT) mismatch input_type(IMAGE)"
    assert error["extra_info"]["received_type"] == "LATENT"
    assert error["extra_info"]["linked_node"] == ["1", 0]


def test_mid_2024_writes_a_mismatch_shorter() -> None:
    latent = node("EmptyLatentImage", width=64, height=64, batch_size=1)

    error = only(Rig(version="2024-07").refuse({"1": latent, "2": SAVE})["node_errors"], "2")

    assert error["details"] == "images, LATENT != IMAGE"


BROKEN_LINKS: dict[str, tuple[list[Any], str, str]] = {
    "absent node": (["99", 0], "KeyError", "'99'"),
    "absent slot": (["1", 3], "IndexError", "tuple index out of range"),
    "slot a text": (["1", "x"], "TypeError", "tuple indices must be integers or slices, not str"),
    "node a list": ([[], 0], "TypeError", "unhashable type: 'list'"),
    "node a number": ([1, 0], "KeyError", "1"),
}


@pytest.mark.parametrize("link, kind, said", BROKEN_LINKS.values(), ids=BROKEN_LINKS)
def test_a_link_to_nowhere_on_the_output_itself(link: list[Any], kind: str, said: str) -> None:
    refusal = Rig().refuse({"1": EMPTY, "2": node("PreviewImage", images=link)})

    error = only(refusal["node_errors"], "2")
    assert error["type"] == "exception_during_validation"
    assert (error["details"], error["extra_info"]["exception_type"]) == (said, kind)
    assert refusal["error"]["details"] == f"Exception when validating node: {said}"


def test_a_link_to_nowhere_further_up_is_filed_under_the_node_that_has_it() -> None:
    refusal = Rig().refuse({"1": node("Pass", image=["99", 0]), "2": SAVE})

    error = only(refusal["node_errors"], "1")
    assert error["type"] == "exception_during_inner_validation"
    assert error["extra_info"]["linked_node"] == ["1", 0]
    assert error["extra_info"]["input_name"] == "images"
    assert error["extra_info"]["exception_message"] == "'99'"


def test_slot_minus_one_is_taken() -> None:
    Rig().queue({"1": EMPTY, "2": node("PreviewImage", images=["1", -1])})


def test_a_node_without_inputs_breaks_its_validation() -> None:
    error = only(Rig().refuse({"2": {"class_type": "PreviewImage"}})["node_errors"], "2")

    assert error["details"] == "'inputs'"


def test_a_choice_that_is_not_in_a_short_list() -> None:
    scale = node(
        "ImageScale", image=["0", 0], upscale_method="fancy", width=8, height=8, crop="disabled"
    )

    error = only(Rig().refuse({"0": EMPTY, "1": scale, "2": SAVE})["node_errors"], "1")

    assert error["details"] == (
        "upscale_method: 'fancy' not in ['nearest-exact', 'bilinear', 'area', 'bicubic', 'lanczos']"
    )
    assert error["extra_info"]["input_config"][0][0] == "nearest-exact"


SAMPLER = node(
    "KSampler",
    model=["3", 0],
    positive=["4", 0],
    negative=["4", 0],
    latent_image=["5", 0],
    seed=1,
    steps=2,
    cfg=1.0,
    sampler_name="nosuch",
    scheduler="simple",
    denoise=1.0,
)


SAMPLED = {
    "3": node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly.safetensors"),
    "4": node("CLIPTextEncode", clip=["3", 1], text="a"),
    "5": node("EmptyLatentImage", width=64, height=64, batch_size=1),
    "6": SAMPLER,
    "1": node("VAEDecode", samples=["6", 0], vae=["3", 2]),
    "2": SAVE,
}


def test_a_long_list_is_not_repeated() -> None:
    error = only(Rig().refuse(copy.deepcopy(SAMPLED))["node_errors"], "6")

    assert error["details"].startswith("sampler_name: 'nosuch' not in (list of length ")
    assert error["extra_info"]["input_config"] is None


def test_a_text_that_is_no_choice_is_written_as_its_repr() -> None:
    error = only(Rig(version="0.38.0").refuse(copy.deepcopy(SAMPLED))["node_errors"], "6")

    assert error["details"].startswith("sampler_name: 'nosuch' not in")


def test_a_cycle_is_filed_under_each_of_its_nodes() -> None:
    refusal = Rig().refuse(
        {
            "1": node("Pass", image=["2", 0]),
            "2": node("Pass", image=["1", 0]),
            "3": node("Sink", image=["2", 0]),
        }
    )

    assert set(refusal["node_errors"]) == {"1", "2"}
    error = only(refusal["node_errors"], "1")
    assert error["details"] == "2 (Pass) -> 1 (Pass) -> 2 (Pass)"
    assert error["extra_info"] == {"node_id": "1", "cycle_nodes": ["2", "1"]}


WHOLE: dict[str, tuple[Any, str, str, str, dict[str, Any]]] = {
    "no class": (
        {"3": {"inputs": {}}},
        "missing_node_type",
        "Node 'ID #3' has no class_type. "
        "The workflow may be corrupted or a custom node is missing.",
        "Node ID '#3'",
        {"node_id": "3", "class_type": None, "node_title": None},
    ),
    "no class, a title": (
        {"3": {"_meta": {"title": "T"}}},
        "missing_node_type",
        "Node 'T' has no class_type. The workflow may be corrupted or a custom node is missing.",
        "Node ID '#3'",
        {"node_id": "3", "class_type": None, "node_title": "T"},
    ),
    "unknown class": (
        {"3": node("Nope")},
        "missing_node_type",
        "Node 'Nope' not found. The custom node may not be installed.",
        "Node ID '#3'",
        {"node_id": "3", "class_type": "Nope", "node_title": "Nope"},
    ),
    "unknown class, not connected, a title": (
        {"1": EMPTY, "2": SAVE, "3": {**node("Nope"), "_meta": {"title": "T"}}},
        "missing_node_type",
        "Node 'T' not found. The custom node may not be installed.",
        "Node ID '#3'",
        {"node_id": "3", "class_type": "Nope", "node_title": "T"},
    ),
    "no outputs": ({"1": EMPTY}, "prompt_no_outputs", "Prompt has no outputs", "", {}),
    "nothing": ({}, "prompt_no_outputs", "Prompt has no outputs", "", {}),
}


@pytest.mark.parametrize("prompt, kind, message, details, extra", WHOLE.values(), ids=WHOLE)
def test_a_prompt_is_refused_as_a_whole(
    prompt: Any, kind: str, message: str, details: str, extra: dict[str, Any]
) -> None:
    refusal = Rig().refuse(prompt)

    assert refusal == {
        "error": {"type": kind, "message": message, "details": details, "extra_info": extra},
        "node_errors": {},
    }


def test_before_0_12_an_unknown_class_was_an_invalid_prompt() -> None:
    assert Rig(version="0.8.2").refuse({"3": node("Nope")})["error"] == {
        "type": "invalid_prompt",
        "message": "Cannot execute because node Nope does not exist.",
        "details": "Node ID '#3'",
        "extra_info": {},
    }


def test_before_0_3_28_no_prompt_was_two_words() -> None:
    answer = Rig(version="0.3.10").ask("POST", "/prompt", {})

    assert answer.body == b'{"error": "no prompt", "node_errors": []}'


def test_one_good_output_is_enough_and_the_other_is_reported() -> None:
    rig = Rig()
    bad = {
        "3": {**EMPTY, "inputs": {**EMPTY["inputs"], "width": -1}},
        "4": {**SAVE, "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }

    prompt_id = rig.queue({"1": EMPTY, "2": SAVE, **bad})

    assert list(rig.history(prompt_id)["outputs"]) == ["2"]
    assert rig.history(prompt_id)["prompt"][4] == ["2"]


def test_a_bad_node_under_two_outputs_lists_both() -> None:
    preview = node("PreviewImage", images=["1", 0])

    refusal = Rig().refuse({**image(width=0), "3": preview})

    assert refusal["node_errors"]["1"]["dependent_outputs"] == ["2", "3"]


CONVERTED: dict[str, tuple[Any, Any]] = {
    "text": ("16", 16),
    "float": (8.9, 8),
    "true": (True, 1),
    "wrapped": ({"__value__": "7"}, 7),
}


@pytest.mark.parametrize("given, kept", CONVERTED.values(), ids=CONVERTED)
def test_values_are_converted_where_they_stand(given: Any, kept: Any) -> None:
    rig = Rig()

    prompt = rig.history(rig.queue(image(width=given)))["prompt"][2]

    assert repr(prompt["1"]["inputs"]["width"]) == repr(kept)


def test_a_wrapped_list_is_a_literal_and_unknown_inputs_are_kept() -> None:
    rig = Rig()
    prompt = image(anything=["a", "b", "c"])
    prompt["2"] = node("SaveImage", images=["1", 0], filename_prefix={"__value__": [1, 2]})

    kept = rig.history(rig.queue(prompt))["prompt"][2]

    assert kept["1"]["inputs"]["anything"] == ["a", "b", "c"]
    assert kept["2"]["inputs"]["filename_prefix"] == "[1, 2]"


def test_a_refusal_sends_no_frame_and_leaves_no_history() -> None:
    rig = Rig()
    rig.connect("A")
    rig.told()

    rig.refuse({"1": EMPTY}, client_id="A")

    assert rig.told() == []
    assert rig.get("/history") == {}


def test_a_chain_longer_than_python_can_recurse_is_refused_and_does_not_crash() -> None:
    prompt = {str(n): node("Pass", image=[str(n - 1), 0]) for n in range(1, 3_000)}
    prompt |= {"0": node("Make", color=1), "out": node("Sink", image=["2999", 0])}

    refusal = Rig().refuse(prompt)

    said = [one["type"] for node in refusal["node_errors"].values() for one in node["errors"]]
    assert "exception_during_inner_validation" in said or "exception_during_validation" in said


TYPES: dict[str, tuple[Any, Any, bool]] = {
    "same": ("IMAGE", "IMAGE", True),
    "other": ("IMAGE", "MASK", False),
    "one of several": ("IMAGE", "IMAGE,MASK", True),
    "overlap": ("STRING, INT", "INT,FLOAT", True),
    "anything in": ("IMAGE", "*", True),
    "anything out": ("*", "MASK", True),
    "matched by the frontend": ("IMAGE", "COMFY_MATCHTYPE_V3", True),
    "a list for a combo": (["a"], "COMBO", True),
    "a list for an image": (["a"], "IMAGE", False),
    "the same list": (["a"], ["a"], True),
}


@pytest.mark.parametrize("received, wanted, fits", TYPES.values(), ids=TYPES)
def test_which_types_may_be_linked(received: Any, wanted: Any, fits: bool) -> None:
    assert types_fit(received, wanted) is fits
