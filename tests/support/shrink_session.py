"""A recording of seven nodes and some sixty messages, among them one for each bug of ``tiny``."""

from __future__ import annotations

from typing import Any

import msgspec

from comfyrec.cassette.records import AnyRecord, End, Session
from comfyrec.events.frames import text_frame
from comfyrec.strategies.saving import records_of
from comfyrec.strategies.streams import Stream, played

__all__ = ["BREAKING", "session"]

_NODES = 5
_GRAPH: dict[str, Any] = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    **{
        str(number): {"class_type": "ImageInvert", "inputs": {"image": [str(number - 1), 0]}}
        for number in range(2, _NODES + 1)
    },
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "a"}},
    "7": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
}  # fmt: skip
_SOMEBODY = "f0e1d2c3-0000-4000-8000-000000000001"


def _breaking(prompt_id: str) -> dict[str, str | bytes]:
    return {
        "binary_is_text": b"\0\0\0\1\0\0\0\1\xff\xd8\xff\xe0" + bytes(400),
        "unknown_type": text_frame("crystools.monitor", {"cpu": 12.5, "gpus": [{"vram": 1}]}),
        "status_shape": text_frame("status", {"status": None, "queue": {"running": []}}),
        "foreign_null": text_frame("executing", {"node": None, "prompt_id": _SOMEBODY}),
        "foreign_start": text_frame("execution_start", {"prompt_id": _SOMEBODY, "timestamp": 1}),
        "unknown_node": text_frame(
            "executing", {"node": "4.0.0.1", "display_node": "4", "prompt_id": prompt_id}
        ),
        "progress_over": text_frame(
            "progress", {"value": 21, "max": 20, "prompt_id": prompt_id, "node": "3"}
        ),
        "null_output": text_frame(
            "executed",
            {"node": "5", "display_node": "5", "output": None, "prompt_id": prompt_id},
        ),
        "blocked_is_error": text_frame(
            "execution_error",
            {
                "prompt_id": prompt_id, "node_id": "4", "node_type": "ImageInvert",
                "executed": [], "exception_type": "ExecutionBlocked",
                "exception_message": "no", "traceback": [], "current_inputs": {},
                "current_outputs": [],
            },
        ),
    }  # fmt: skip


BREAKING = tuple(_breaking(""))
"""The bugs of ``tiny`` that a message of the session shows."""


def session() -> list[AnyRecord]:
    """The recording."""
    nodes = {number: {"seconds": 0.4, "steps": 2} for number in _GRAPH}
    stream = played(Stream(graph=_GRAPH, nodes=nodes))
    messages, times = list(stream.messages), list(stream.times_us)
    for number, message in enumerate(_breaking(stream.prompt_id).values()):
        place = 8 + 5 * number
        messages.insert(place, message)
        times.insert(place, times[place - 1])
    whole = msgspec.structs.replace(stream, messages=tuple(messages), times_us=tuple(times))
    records = list(records_of(whole))
    begin = Session(seq=0, t=records[0].t, about={"comfyui_version": stream.version})
    end = End(seq=len(records) + 1, t=records[-1].t, records=len(records) + 1)
    return [begin, *records, end]
