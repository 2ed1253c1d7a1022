"""Node classes read from an object_info: inputs that grow, choices, models, and what is not one."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.errors import UsageError
from fake_server.nodes.catalogue import AUTOGROW_INPUTS_MAX, Catalogue
from tests.support.engine_bench import catalogue as catalogue_with
from tests.support.engine_bench import entry


def test_the_core_nodes_are_whole_and_offer_models() -> None:
    core = Catalogue.core()

    for name in core:
        assert core.get(name) is not None, name
        info = core.info(name)
        assert info is not None
        assert info["name"] == name
    wanted = {
        "KSampler",
        "CheckpointLoaderSimple",
        "CLIPTextEncode",
        "VAEDecode",
        "VAEEncode",
        "EmptyLatentImage",
        "SaveImage",
        "PreviewImage",
        "LoadImage",
        "LoadImageMask",
        "ImageUpscaleWithModel",
        "UpscaleModelLoader",
        "VAEEncodeForInpaint",
        "SetLatentNoiseMask",
        "LoraLoader",
        "ControlNetLoader",
        "ControlNetApplyAdvanced",
        "SaveImageWebsocket",
        "ImageScale",
        "ImageInvert",
        "ImageCrop",
        "ImageBatch",
        "LatentUpscale",
        "InvertMask",
    }
    assert wanted <= set(core)
    assert "v1-5-pruned-emaonly.safetensors" in core.models["checkpoints"]


def test_other_model_lists_make_another_catalogue() -> None:
    core = Catalogue.core()

    mine = core.with_models({"checkpoints": ["mine.safetensors"]})

    loader = mine.get("CheckpointLoaderSimple")
    assert loader is not None
    assert loader.inputs["ckpt_name"].choices == ["mine.safetensors"]
    assert mine.models["loras"] == core.models["loras"]
    assert "mine.safetensors" not in core.models["checkpoints"]


def test_models_are_read_from_a_servers_own_lists() -> None:
    info = {"CheckpointLoaderSimple": entry({"ckpt_name": [["a.ckpt"], {}]}, ["MODEL"])}

    assert Catalogue.from_object_info(info).models["checkpoints"] == ("a.ckpt",)


@pytest.mark.parametrize("info", [[], {}, None, {"A": 5}, {"A": {"input": []}}], ids=str)
def test_what_is_no_object_info_is_told_so(info: Any) -> None:
    with pytest.raises(UsageError, match="object_info"):
        Catalogue.from_object_info(info)


def dynamic(options: Any) -> dict[str, Any]:
    return entry({"mode": ["COMFY_DYNAMICCOMBO_V3", {"options": options}]})


GROWN = {"input": {"required": {"x": ["IMAGE", {}]}}}

MISSHAPEN: dict[str, Any] = {
    "inputs that are a text": {"input": {"required": "image"}},
    "hidden inputs that are a list": {"input": {"hidden": ["PROMPT"]}},
    "outputs that are a number": {"input": {}, "output": 3},
    "a choice that is a text": dynamic(["a"]),
    "choices that are a number": dynamic(3),
    "inputs of a choice that are a text": dynamic([{"key": "a", "inputs": {"required": "x"}}]),
    "inputs that grow from nowhere": entry({"a": ["COMFY_AUTOGROW_V3", {"template": "x"}]}),
    "inputs that grow to a text": entry(
        {"a": ["COMFY_AUTOGROW_V3", {"template": {**GROWN, "max": "x"}}]}
    ),
}


@pytest.mark.parametrize("misshapen", MISSHAPEN.values(), ids=MISSHAPEN)
def test_an_entry_that_is_no_node_class_is_named(misshapen: Any) -> None:
    good = entry({"images": ["IMAGE", {}]})

    with pytest.raises(UsageError, match="entry 'Bad' is not a node class"):
        Catalogue.from_object_info({"Good": good, "Bad": misshapen}).checked()


def test_an_entry_that_is_no_node_class_bothers_those_that_ask_for_it() -> None:
    info = {"Good": entry({"images": ["IMAGE", {}]}), "Bad": {"input": {"required": "image"}}}
    catalogue = Catalogue.from_object_info(info)

    assert catalogue.get("Good") is not None
    for asked in (catalogue.get, catalogue.info):
        with pytest.raises(UsageError, match="'Bad'"):
            asked("Bad")
    loader = {"CheckpointLoaderSimple": {"input": {"required": "x"}}}
    with pytest.raises(UsageError, match="'CheckpointLoaderSimple'"):
        Catalogue.from_object_info(loader)


def test_the_built_in_catalogue_holds_nothing_but_node_classes() -> None:
    assert len(Catalogue.core().checked()) > 200


def test_uploads_stand_in_the_lists_that_they_feed() -> None:
    info = Catalogue.core().info("LoadImage", ["b.png", "a.png"])

    assert info is not None
    assert info["input"]["required"]["image"][0] == ["a.png", "b.png"]
    assert Catalogue.core().info("Nope") is None


GROWING = Catalogue(
    {
        "Grow": entry(
            {
                "images": [
                    "COMFY_AUTOGROW_V3",
                    {
                        "template": {
                            "input": {"required": {"image": ["IMAGE", {}]}},
                            "prefix": "image",
                            "min": 2,
                            "max": 10**9,
                        }
                    },
                ]
            }
        ),
        "Choose": entry(
            {
                "kind": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {
                                "key": "by",
                                "inputs": {"required": {"factor": ["FLOAT", {"min": 0}]}},
                            },
                            {"key": "to", "inputs": {"optional": {"width": ["INT", {}]}}},
                        ]
                    },
                ]
            }
        ),
    },
    {},
)


def test_growing_inputs_are_spelled_out_within_bounds() -> None:
    grow = GROWING.get("Grow")
    assert grow is not None

    inputs = grow.finalized({})

    assert len(inputs) == AUTOGROW_INPUTS_MAX
    assert [one.name for one in inputs.values() if one.required] == [
        "images.image0",
        "images.image1",
    ]


def test_a_dynamic_choice_brings_its_own_inputs() -> None:
    choose = GROWING.get("Choose")
    assert choose is not None

    assert list(choose.finalized({"kind": "by"})) == ["kind.factor", "kind"]
    assert list(choose.finalized({"kind": "to"})) == ["kind.width", "kind"]
    assert [*choose.finalized({"kind": ["x", 0]}), *choose.finalized({})] == []


IMAGE = ["IMAGE"]


def test_old_object_info_does_not_say_that_a_core_class_takes_lists() -> None:
    old = {key: value for key, value in entry({"images": IMAGE}).items() if key != "is_input_list"}
    found = catalogue_with(RebatchImages=old, Pass=old)

    assert [found.get(name).input_is_list for name in ("RebatchImages", "Pass")] == [True, False]
