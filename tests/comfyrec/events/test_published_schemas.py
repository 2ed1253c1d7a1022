"""Events as Comfy's published documents have them: whatever a server leaves out, none is a misfit.

``CLOUD`` and ``V2`` are written down by hand from the components of ``openapi-cloud.yaml`` and
``openapi-v2.yaml`` (Comfy-Org/docs, 21 August 2026): of each event the fields that it has, those
that have to be there first. Only a value of the wrong kind is a misfit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from comfyrec import events
from comfyrec.events import v2

ID = "7f3d2c1b-9a8e-4d6f-b012-3c4d5e6f7a8b"
CATEGORIES = (
    "ValidationError", "ModelDownloadError", "ImageDownloadError", "OOMError", "PanicError",
    "ServiceError", "WebSocketError", "DispatcherError", "InsufficientFundsError",
    "InactiveSubscriptionError",
)  # fmt: skip
FILE = {"filename": "ab.png", "subfolder": "", "type": "output"}

# event -> (fields that have to be there, the others)
Fields = dict[str, Any]
CLOUD: dict[str, tuple[Fields, Fields]] = {
    "status": ({}, {"status": {"exec_info": {"queue_remaining": 1}}, "sid": "s"}),
    "execution_start": ({"prompt_id": ID}, {"timestamp": 1}),
    "executing": ({"prompt_id": ID}, {"node": "3", "display_node": "3"}),
    "progress": ({"prompt_id": ID, "node": "3", "value": 1, "max": 20}, {}),
    "progress_state": (
        {},
        {"prompt_id": ID, "nodes": {"3": {"state": "running", "value": 1, "max": 20}}},
    ),
    "executed": (
        {"prompt_id": ID, "node": "9"},
        {"display_node": "9", "output": {"images": [FILE]}},
    ),
    "execution_success": ({"prompt_id": ID}, {"timestamp": 1}),
    "execution_error": (
        {"prompt_id": ID, "exception_message": "no"},
        {
            "node_id": "3", "node_type": "KSampler", "exception_type": "OOMError",
            "traceback": ["line"], "executed": ["1"], "current_inputs": {}, "current_outputs": {},
        },
    ),
    "execution_cached": ({"prompt_id": ID, "nodes": ["1"]}, {"timestamp": 1}),
    "execution_interrupted": ({"prompt_id": ID}, {"timestamp": 1}),
    "notification": ({"value": "Executing workflow..."}, {"id": "n"}),
}  # fmt: skip
V2: dict[str, tuple[Fields, Fields]] = {
    "status": ({"status": "running"}, {"queue_position": 3}),
    "progress": (
        {"value": 0.42, "nodes_done": 11, "nodes_total": 31},
        {
            "current_node": "12", "current_node_class": "KSampler", "step": 21, "steps": 50,
            "message": "KSampler 21/50",
        },
    ),
    "preview": ({"node_id": "12", "content_type": "image/jpeg", "data_base64": "/9g="}, {}),
    "output": (
        {
            "node_id": "9", "name": "ComfyUI_00001_.png", "type": "image",
            "content_type": "image/png", "size_bytes": 1848320, "id": ID, "hash": None,
            "url": "http://x/y", "url_expires_at": "2026-01-01T01:00:00Z",
        },
        {"job_id": ID},
    ),
    "log": ({"level": "info", "message": "loaded"}, {}),
}  # fmt: skip


def variants(required: Fields, others: Fields) -> Iterator[tuple[str, Fields]]:
    """What a server may make of an event."""
    whole = {**required, **others}
    yield "whole", whole
    yield "what has to be there", required
    yield "a field of next year", {**whole, "from_next_year": {"x": 1}}
    for name in whole:
        yield f"without {name}", {one: value for one, value in whole.items() if one != name}
    for name in others:
        yield f"{name} null", {**whole, name: None}


def cases(table: dict[str, tuple[Fields, Fields]]) -> dict[str, tuple[str, Fields]]:
    return {
        f"{kind}: {what}": (kind, data)
        for kind, (required, others) in table.items()
        for what, data in variants(required, others)
    }


CLOUD_CASES = cases(CLOUD) | {
    f"execution_error: {category}": (
        "execution_error",
        {"prompt_id": ID, "exception_message": "no", "exception_type": category},
    )
    for category in CATEGORIES
}
V2_CASES = cases(V2)


@pytest.mark.parametrize("kind, data", CLOUD_CASES.values(), ids=CLOUD_CASES)
def test_a_frame_of_comfy_cloud_is_typed_and_what_it_says_is_kept(kind: str, data: Fields) -> None:
    event: Any = events.decode(json.dumps({"type": kind, "data": data}))

    assert not isinstance(event, events.Misfit | events.Unknown)
    assert event.prompt_id == data.get("prompt_id")


@pytest.mark.parametrize("kind, data", V2_CASES.values(), ids=V2_CASES)
def test_an_event_of_v2_is_typed_and_what_it_says_is_kept(kind: str, data: Fields) -> None:
    event = v2.decode_event(kind, json.dumps(data))

    assert type(event) is v2.EVENTS[kind]
    known = {name: value for name, value in data.items() if name != "from_next_year"}
    assert {name: getattr(event, name) for name in known} == known


WRONG = {
    **{f"cloud {kind}": (kind, {"prompt_id": [ID]}) for kind in CLOUD if "execution" in kind},
    "cloud executed": ("executed", {"prompt_id": ID, "node": {"a": 1}}),
}


@pytest.mark.parametrize("kind, data", WRONG.values(), ids=WRONG)
def test_a_value_of_the_wrong_kind_is_a_misfit(kind: str, data: Fields) -> None:
    assert isinstance(events.decode(json.dumps({"type": kind, "data": data})), events.Misfit)


@pytest.mark.parametrize("kind", V2)
def test_a_value_of_the_wrong_kind_is_a_misfit_of_v2(kind: str) -> None:
    first = next(iter(V2[kind][0]))

    assert isinstance(v2.decode_event(kind, json.dumps({first: ["x"]})), v2.Misfit)
