"""One frame of a local server -> what Comfy Cloud sends in its place."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from comfyrec.events import Misfit, decode
from fake_server.surfaces.cloud.frames import category_of, to_cloud
from fake_server.surfaces.cloud.settings import CloudSettings

P = "0e2f8f3c-6c1c-4f43-9f7b-5f7a3a1f2f10"
PASSED = {
    "executing": {"node": "3", "display_node": "3", "prompt_id": P},
    "executed": {"node": "3", "output": {"images": []}, "prompt_id": P},
    "progress": {"value": 1, "max": 2, "prompt_id": P, "node": "3"},
    "execution_cached": {"nodes": [], "prompt_id": P, "timestamp": 5},
    "extension.own": {"x": 1},
}
ERROR = {
    "prompt_id": P, "node_id": "3", "node_type": "KSampler", "executed": [],
    "exception_message": "full", "exception_type": "torch.OutOfMemoryError", "traceback": ["a"],
    "current_inputs": {}, "current_outputs": ["3"], "timestamp": 5,
}  # fmt: skip


def text(name: str, data: Any) -> str:
    return json.dumps({"type": name, "data": data})


def sent(message: str | bytes, **settings: Any) -> list[Any]:
    return [
        json.loads(one) if isinstance(one, str) else one
        for one in to_cloud(message, CloudSettings(**settings))
    ]


@pytest.mark.parametrize("name, data", PASSED.items(), ids=PASSED)
def test_most_frames_are_the_same(name: str, data: Any) -> None:
    assert to_cloud(text(name, data), CloudSettings()) == [text(name, data)]


@pytest.mark.parametrize("name", ["feature_flags", "logs", "assets.seed.started"])
def test_what_comfy_cloud_does_not_have_is_not_sent(name: str) -> None:
    assert to_cloud(text(name, {}), CloudSettings()) == []


def test_a_start_comes_with_a_sentence_for_the_user() -> None:
    frames = sent(text("execution_start", {"prompt_id": P, "timestamp": 5}))

    assert frames == [
        {"type": "notification", "data": {"value": "Executing workflow..."}},
        {"type": "execution_start", "data": {"prompt_id": P, "timestamp": 5}},
    ]


def test_an_error_with_all_fields_has_the_category_all_the_same() -> None:
    (frame,) = sent(text("execution_error", ERROR), errors="all")

    assert frame["data"] == {**ERROR, "exception_type": "OOMError"}


def test_an_interrupt_names_the_prompt_only() -> None:
    (frame,) = sent(text("execution_interrupted", {**ERROR}))

    assert frame["data"] == {"prompt_id": P, "timestamp": 5}


@pytest.mark.parametrize(
    "kind, is_sent", [(1, True), (3, True), (4, True), (2, False), (77, False)]
)
def test_binary_kinds(kind: int, is_sent: bool) -> None:
    frame = struct.pack(">I", kind) + b"abc"

    assert to_cloud(frame, CloudSettings()) == ([frame] if is_sent else [])


@pytest.mark.parametrize("message", ["", "{", "[]", '{"type": 7}', "{}", b"", b"ab"])
def test_what_is_no_event_does_not_stop_it(message: str | bytes) -> None:
    assert to_cloud(message, CloudSettings()) in ([], [message])


def test_categories() -> None:
    told = {
        ("torch.cuda.OutOfMemoryError", "x"): "OOMError",
        ("Exception", "Payment Required: insufficient credits"): "InsufficientFundsError",
        ("ValueError", "x"): "ServiceError",
        (None, None): "ServiceError",
    }

    assert {
        given: category_of({"exception_type": given[0], "exception_message": given[1]})
        for given in told
    } == told


@pytest.mark.parametrize("errors", ["least", "few", "all"])
def test_our_own_decoder_reads_them_all(errors: Any) -> None:
    native = [
        *(text(name, data) for name, data in PASSED.items()),
        text("execution_start", {"prompt_id": P}),
        text("execution_error", ERROR),
        text("execution_interrupted", ERROR),
    ]
    frames = [one for each in native for one in to_cloud(each, CloudSettings(errors=errors))]

    assert not any(isinstance(decode(frame), Misfit) for frame in frames)
