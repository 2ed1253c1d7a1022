"""Every workflow in a file is found, whatever it is wrapped in."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from comfyrec.errors import WorkflowError
from comfyrec.workflows import is_workflow_file, read_workflows
from fake_server.storage.pictures import picture

PROMPT = {"1": {"class_type": "EmptyImage", "inputs": {"width": 64}}}
PAGE: dict[str, Any] = {"nodes": [{"id": 1, "type": "EmptyImage"}], "links": []}

WRAPPED: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "API format": (PROMPT, [("api", "")]),
    "the page's format": (PAGE, [("ui", "")]),
    "a POST body": ({"prompt": PROMPT, "client_id": "me"}, [("api", "prompt")]),
    "what a page posts": (
        {"prompt": PROMPT, "extra_data": {"extra_pnginfo": {"workflow": PAGE}}},
        [("api", "prompt")],
    ),
    "a job of a worker": ({"input": {"workflow": PROMPT}}, [("api", "input.workflow")]),
    "a list of tests": (
        [{"name": "a", "workflow": PROMPT}, {"name": "b", "workflow": PAGE}],
        [("api", "[0].workflow"), ("ui", "[1].workflow")],
    ),
    "with comments among the nodes": (
        {"_comment": "mine", "version": 1, **PROMPT, "extra": {"a": [1]}},
        [("api", "")],
    ),
    "with a node beside it": (
        {"prompt": PROMPT, "sample": {"class_type": "A", "inputs": {}}},
        [("api", "prompt")],
    ),
    "JSON in a text": ({"workflow_json": json.dumps(PROMPT)}, [("api", "workflow_json")]),
}


@pytest.mark.parametrize("content, found", WRAPPED.values(), ids=WRAPPED)
def test_workflows_are_found_in(content: Any, found: list[tuple[str, str]]) -> None:
    workflows = read_workflows(json.dumps(content).encode())

    assert [(one.format, one.where) for one in workflows] == found
    assert all(one.graph in (PROMPT, PAGE) for one in workflows)


def png(**texts: str) -> bytes:
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text, zip=name == "prompt")
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def webp(text: str) -> bytes:
    picture = Image.new("RGB", (2, 2))
    exif = picture.getexif()
    exif[0x0110] = text
    file = io.BytesIO()
    picture.save(file, "WEBP", exif=exif)
    return file.getvalue()


def test_the_prompt_in_a_picture_goes_before_the_page_s_workflow() -> None:
    picture = png(workflow=json.dumps(PAGE), prompt=json.dumps(PROMPT))

    (found,) = read_workflows(picture)

    assert (found.format, found.graph) == ("api", PROMPT)


def test_a_picture_with_only_the_page_s_workflow_gives_that() -> None:
    (found,) = read_workflows(png(workflow=json.dumps(PAGE)))

    assert (found.format, found.graph) == ("ui", PAGE)


def test_a_webp_picture_holds_its_workflow_in_its_exif() -> None:
    (found,) = read_workflows(webp(f"prompt:{json.dumps(PROMPT)}"))

    assert found.graph == PROMPT


def test_a_node_without_a_class_stays_a_node() -> None:
    broken = {**PROMPT, "2": {"inputs": {}}, "3": {"class_type": None, "inputs": {}}}

    (found,) = read_workflows(json.dumps(broken).encode())

    assert found.graph == broken


REFUSED = {
    "no workflow": (b'{"a": 1}', "no workflow in it"),
    "no JSON": (b"hello", "neither JSON nor"),
    "a plain picture": (png(), "without a workflow"),
    "nested too deeply": (b"[" * 2_000 + b"]" * 2_000, "nests more than"),
    "nothing": (b"", "neither JSON nor"),
}


@pytest.mark.parametrize("data, why", REFUSED.values(), ids=REFUSED)
def test_a_file_without_a_workflow_is_refused_in_one_sentence(data: bytes, why: str) -> None:
    with pytest.raises(WorkflowError, match=why) as refused:
        read_workflows(data, "my file")

    assert str(refused.value).startswith("my file: ")


@pytest.mark.slow
@given(st.integers(0, 400), st.binary(max_size=12))
def test_a_damaged_picture_is_read_or_refused(at: int, piece: bytes) -> None:
    picture = png(prompt=json.dumps(PROMPT))
    damaged = picture[:at] + piece + picture[at + len(piece) :]

    try:
        found = [one.format for one in read_workflows(damaged)]
    except WorkflowError:
        found = []

    assert found in ([], ["api"])


WHOLE_FILES = {
    "as a server runs it": (json.dumps(PROMPT), True),
    "behind a byte order mark": ("\ufeff" + json.dumps(PROMPT), True),
    "as it is posted": (json.dumps({"prompt": PROMPT, "client_id": "a"}), True),
    "as the page saves it": ('{"nodes": [{"type": "A"}], "links": []}', True),
    "deep inside": (json.dumps({"a": {"b": {"default": PROMPT}}}), False),
    "a list": ("[1]", False),
    "an object of something else": ('{"a": {}}', False),
    "no JSON": ("{", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize("text, known", WHOLE_FILES.values(), ids=WHOLE_FILES)
def test_a_file_that_is_a_workflow_is_known(text: str, known: bool) -> None:
    assert is_workflow_file(text.encode()) is known


def test_a_picture_is_a_workflow_if_it_holds_one() -> None:
    plain = picture(width=8, height=8, seed=1)
    saved = picture(width=8, height=8, seed=1, text={"prompt": json.dumps(PROMPT)})

    assert (is_workflow_file(plain), is_workflow_file(saved)) == (False, True)


@pytest.mark.parametrize("in_escapes", [False, True])
@pytest.mark.parametrize("wrapped", [0, 1, 2])
@pytest.mark.parametrize(
    "workflow",
    [
        {"1": {"class_type": "SaveImage", "inputs": {}}},
        {"nodes": [{"id": 1, "type": "SaveImage"}], "links": []},
    ],
)
def test_the_quick_look_passes_over_no_workflow(
    workflow: dict[str, Any], wrapped: int, in_escapes: bool
) -> None:
    value: Any = workflow
    for _ in range(wrapped):
        value = {"input": json.dumps(value)}
    text = json.dumps(value)
    if in_escapes:
        text = text.replace("class_type", r"cl\u0061ss_type").replace("nodes", r"n\u006fdes")

    (found,) = read_workflows(text.encode())

    assert found.graph == workflow
