"""What nodes read from and write to the folders."""

from __future__ import annotations

from typing import Any

from tests.support.engine_bench import Rig, node


def test_a_planned_output_that_names_files_has_them() -> None:
    files = [{"filename": "a.webp", "subfolder": "s", "type": "output"}, {"filename": "../x"}]
    rig = Rig({"2": {"ui": {"images": files, "text": ["t"]}, "size": [6, 4]}})

    rig.queue({"1": node("Make", color=1), "2": node("Sink", image=["1", 0])})

    assert rig.folders.names("output", "s") == ["a.webp"]
    assert rig.folders.names("output") == []


MAKE = node("Make", color=1)


def connected(*args: Any, **kwargs: Any) -> Rig:
    rig = Rig(*args, **kwargs)
    rig.connect("A")
    rig.told("A")
    return rig


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
