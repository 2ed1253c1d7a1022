"""What loaders say of file names before a prompt runs, and which values are taken unseen."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.versions import era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.storage.pictures import picture
from tests.support.engine_bench import Rig, node, rig_of, shown

MAKE = node("Make", color=1)

SINK = node("Sink", image=["2", 0])

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


SAVE = node("SaveImage", images=["1", 0], filename_prefix="x")


def only(node_errors: dict[str, Any], node_id: str) -> dict[str, Any]:
    [error] = node_errors[node_id]["errors"]
    return dict(error)


def test_a_file_that_is_not_there_fails_the_loaders_own_check() -> None:
    prompt = {"1": node("LoadImage", image="no.png"), "2": SAVE}

    error = only(Rig().refuse(prompt)["node_errors"], "1")

    assert error["type"] == "custom_validation_failed"
    assert error["details"] == "image - Invalid image file: no.png"


PLACES = {
    "input": ("a.png", "input", "", "a.png"),
    "subfolder": ("sub/a.png", "input", "sub", "a.png"),
    "annotated": ("a.png [output]", "output", "", "a.png"),
    "temp": ("a.png [temp]", "temp", "", "a.png"),
}


@pytest.mark.parametrize("name, kind, subfolder, file", PLACES.values(), ids=PLACES)
def test_a_loader_finds_its_file(name: str, kind: str, subfolder: str, file: str) -> None:
    rig = Rig()
    rig.folders.write(kind, subfolder, file, picture(width=4, height=4, seed=1), 0)

    rig.queue({"1": node("LoadImage", image=name), "2": SAVE})


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "", "sub/../../a.png"], ids=str)
def test_a_loader_does_not_leave_its_folder(name: str) -> None:
    refusal = Rig().refuse({"1": node("LoadImage", image=name), "2": SAVE})

    assert only(refusal["node_errors"], "1")["type"] == "custom_validation_failed"


PREVIEW = node("PreviewAny", source=["1", 0])
TAKEN = {
    "a list that the page makes": node("CustomCombo", choice="Music"),
    "no text": node("CustomCombo", choice=5),
}


@pytest.mark.parametrize("version", ["0.8.2", "0.27.0", "0.33.0"])
@pytest.mark.parametrize("taken", TAKEN.values(), ids=TAKEN)
def test_a_class_that_takes_any_choice_has_it_in_no_list(taken: Any, version: str) -> None:
    rig = Rig(version=version, catalogue=Catalogue.core(era_of(version)))

    rig.queue({"1": taken, "2": PREVIEW})


def test_a_choice_stands_on_the_output() -> None:
    prompt = {"1": node("CustomCombo", choice="Music"), "2": PREVIEW}

    assert shown(rig_of("0.33.0"), prompt, "2") == {"text": ["Music"]}


def test_a_check_of_any_choice_breaks_without_it() -> None:
    refusal = Rig().refuse({"1": node("CustomCombo"), "2": PREVIEW})

    problem = only(refusal["node_errors"], "1")
    assert problem["details"] == (
        "CustomComboNode.validate_inputs() missing 1 required positional argument: 'choice'"
    )


LOAD = node("CLIPLoader", clip_name="clip_l.safetensors", type="sd3")
ENDS = node("CLIPSave", clip=["2", 0], filename_prefix="x")


def test_a_device_of_another_machine_is_taken() -> None:
    select = node("SelectCLIPDevice", clip=["1", 0], device="gpu:7")

    rig_of("0.33.0").queue({"1": LOAD, "2": select, "3": ENDS})


def test_an_attention_that_is_not_installed_is_taken() -> None:
    load = node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="default")
    backend = node("ModelAttentionBackend", model=["1", 0], attention="comfy kitchen attention")
    save = node("ModelSave", model=["2", 0], filename_prefix="x")

    rig_of("0.33.0").queue({"1": load, "2": backend, "3": save})


def test_a_check_with_a_default_does_not_break_without_its_input() -> None:
    refusal = rig_of("0.33.0").refuse(
        {"1": LOAD, "2": node("SelectCLIPDevice", clip=["1", 0]), "3": ENDS}
    )

    assert only(refusal["node_errors"], "2")["type"] == "required_input_missing"
