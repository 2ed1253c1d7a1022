"""Messages of real servers: a small table, and every recording that is at hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

from comfyrec.events import Event, decode
from comfyrec.events.order import SocketClosed, SocketOpened
from tests.support.paths import ROOT, SHARED

CAPTURES = sorted((SHARED / "recordings").glob("*/*.jsonl"))
CASSETTES = sorted((ROOT / "cassettes").glob("*.jsonl"))
RECORDINGS = CAPTURES or CASSETTES

P = "310f679b-000f-4f68-90ae-876f8f60e6a4"


def _dump(name: str, data: Any) -> str:
    return json.dumps({"type": name, "data": data})


def _entry(node: str, value: float, state: str) -> dict[str, Any]:
    return {
        "value": value,
        "max": 1.0,
        "state": state,
        "node_id": node,
        "prompt_id": P,
        "display_node_id": node,
        "parent_node_id": None,
        "real_node_id": node,
    }


_FAILURE = {
    "prompt_id": P,
    "node_id": "3",
    "node_type": "GTBoom",
    "executed": ["2", "1"],
    "exception_message": "deliberate failure\n",
    "exception_type": "ValueError",
    "traceback": ['  File "/srv/ComfyUI/execution.py", line 543, in execute\n'],
    "current_inputs": {"message": ["deliberate failure"], "any": ["tensor([[[1., nan]]])"]},
    "current_outputs": ["1", "2", "3"],
    "timestamp": 1795218919279,
}
_IMAGES = {"images": [{"filename": "img_00001_.png", "subfolder": "", "type": "output"}]}

TEXTS = {
    "status": _dump("status", {"status": {"exec_info": {"queue_remaining": 1}}}),
    "status with sid": _dump(
        "status", {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "client-a"}
    ),
    "feature_flags": _dump(
        "feature_flags",
        {
            "supports_preview_metadata": True,
            "max_upload_size": 1048576.0,
            "extension": {"manager": {"supports_v4": True}},
        },
    ),
    "start": _dump("execution_start", {"prompt_id": P, "timestamp": 1795218919262}),
    "start of 2024": _dump("execution_start", {"prompt_id": P}),
    "cached": _dump(
        "execution_cached", {"nodes": ["4", "6:0"], "prompt_id": P, "timestamp": 1795218919262}
    ),
    "cached of 2024": _dump("execution_cached", {"nodes": [], "prompt_id": P}),
    "executing": _dump("executing", {"node": "3", "display_node": "3", "prompt_id": P}),
    "executing of 2024": _dump("executing", {"node": "1", "prompt_id": P}),
    "executing null": _dump("executing", {"node": None, "prompt_id": P}),
    "executing on a reconnect": _dump("executing", {"node": "1"}),
    "progress_state": _dump(
        "progress_state",
        {
            "prompt_id": P,
            "nodes": {"1": _entry("1", 1.0, "finished"), "3": _entry("3", 0.0, "running")},
        },
    ),
    "progress": _dump("progress", {"value": 1, "max": 2, "prompt_id": P, "node": "3"}),
    "progress of floats": _dump(
        "progress", {"value": 2.384185791015625e-07, "max": 1.0, "prompt_id": P, "node": "3"}
    ),
    "progress without a node": _dump(
        "progress", {"value": 1, "max": 2, "prompt_id": P, "node": None}
    ),
    "executed": _dump(
        "executed", {"node": "9", "display_node": "9", "output": _IMAGES, "prompt_id": P}
    ),
    "executed without ui": _dump(
        "executed", {"node": "9", "display_node": "9", "output": None, "prompt_id": P}
    ),
    "executed with odd values": _dump(
        "executed",
        {
            "node": "2",
            "display_node": "2",
            "output": {"values": [float("nan"), float("inf"), -1e300], "text": ["\u732b \udcff"]},
            "prompt_id": P,
        },
    ),
    "success": _dump("execution_success", {"prompt_id": P, "timestamp": 1795218919280}),
    "error": _dump("execution_error", _FAILURE),
    "error of 2024": _dump(
        "execution_error",
        {k: v for k, v in _FAILURE.items() if k != "timestamp"} | {"current_outputs": {"1": []}},
    ),
    "blocked": _dump(
        "execution_error",
        {k: v for k, v in _FAILURE.items() if k != "timestamp"}
        | {
            "exception_message": "Execution Blocked: no",
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        },
    ),
    "interrupted": _dump(
        "execution_interrupted",
        {
            "prompt_id": P,
            "node_id": "3",
            "node_type": "GTWork",
            "executed": [],
            "timestamp": 1795218919280,
        },
    ),
    "logs": _dump(
        "logs",
        {
            "entries": [{"t": "2026-11-20T23:56:44.679959", "m": "\x1b[32m[INFO]\x1b[0m got\n"}],
            "size": {"cols": 80, "rows": 24},
        },
    ),
    "logs of the same size": _dump("logs", {"entries": [], "size": None}),
    "seed started": _dump(
        "assets.seed.started", {"roots": ["output"], "total": 1, "phase": "fast"}
    ),
    "seed fast": _dump(
        "assets.seed.fast_complete", {"roots": ["output"], "created": 0, "skipped": 1, "total": 1}
    ),
    "seed enriched": _dump("assets.seed.enrich_complete", {"roots": ["output"], "enriched": 1}),
    "seed completed": _dump(
        "assets.seed.completed",
        {
            "phase": "full",
            "total": 1,
            "created": 0,
            "enriched": 1,
            "skipped": 1,
            "elapsed": 0.016,
        },
    ),
    "custom": _dump("gt.custom-broadcast", {"text": "ping", "node": "5"}),
    "monitor": _dump("crystools.monitor", {"cpu_utilization": 1.5, "gpus": [{"vram_total": 2}]}),
}

_METADATA = json.dumps(
    {
        "node_id": "3",
        "prompt_id": P,
        "display_node_id": "3",
        "parent_node_id": None,
        "real_node_id": "3",
        "image_type": "image/jpeg",
    }
).encode()
_JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\xff\xd9"

FRAMES = {
    "preview": b"\x00\x00\x00\x01\x00\x00\x00\x01" + _JPEG,
    "preview png": b"\x00\x00\x00\x01\x00\x00\x00\x02\x89PNG\r\n\x1a\n",
    "text": b"\x00\x00\x00\x03\x00\x00\x00\x0212" + "width: 8 \u732b".encode(),
    "preview with metadata": b"\x00\x00\x00\x04\x00\x00\x00\xa6" + _METADATA + _JPEG,
    "kind 77": b"\x00\x00\x00\x4dextension",
    "kind 77 alone": b"\x00\x00\x00\x4d",
}

Heard = tuple[str | bytes, Hashable] | SocketOpened | SocketClosed


def heard_in(recording: Path) -> Iterator[Heard]:
    """What clients received, in order, with the connections: of a capture or of a cassette."""
    with recording.open(encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            yield from _heard(json.loads(line))


def _heard(record: dict[str, Any]) -> Iterator[Heard]:
    kind, conn = record["kind"], record.get("conn")
    if kind in ("ws.open", "opened"):
        yield SocketOpened(conn)
    elif kind in ("ws.close", "ws.abort", "closed"):
        yield SocketClosed(conn)
    elif kind in ("ws.frame", "ws") and record.get("dir", record.get("from"))[0] == "s":
        if record["opcode"] == "text":
            yield record["text"], conn
        elif record["opcode"] == "binary":
            # A binary frame whose bytes are text is kept as text.
            packed = record.get("b64")
            yield base64.b64decode(packed) if packed else record["text"].encode(), conn


def messages_in(recording: Path) -> list[str | bytes]:
    """The messages alone."""
    return [item[0] for item in heard_in(recording) if isinstance(item, tuple)]


def stream_in(recording: Path) -> list[tuple[Event, Hashable] | SocketOpened | SocketClosed]:
    """The recording as ``check`` takes it."""
    return [
        (decode(item[0]), item[1]) if isinstance(item, tuple) else item
        for item in heard_in(recording)
    ]
