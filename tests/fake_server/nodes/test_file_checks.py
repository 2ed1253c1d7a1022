"""What loaders say of file names before a prompt runs."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.storage.pictures import picture
from tests.support.engine_bench import Rig, node

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
