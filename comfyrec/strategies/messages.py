"""era -> single messages of its server, as they are on the wire: known, unknown, misfit, broken.

protocol.md sections 2 and 12. A message is ``str`` for a text frame and ``bytes`` for a binary one,
so it can be handed to the code under test just as its websocket library would hand it over.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from hypothesis import strategies as st

from comfyrec.events import KNOWN
from comfyrec.events.frames import text_frame
from comfyrec.versions import ERAS, Era, era_of
from fake_server.storage.pictures import picture

__all__ = ["Message", "events", "malformed_messages", "misfit_events", "unknown_events"]

Message = str | bytes
Data = st.SearchStrategy[Any]

IDS: Final = st.uuids(version=4).map(str)
NODES: Final = st.one_of(st.integers(1, 30).map(str), st.sampled_from(["3.0.0.1", "10:4", "save"]))
TEXTS: Final = st.text(max_size=12)
TIMES: Final = st.integers(1_700_000_000_000, 1_900_000_000_000)
NUMBERS: Final = st.one_of(
    st.integers(0, 10_000),
    st.floats(),
    st.sampled_from([0.11003184318542480, 2.384185791015625e-07]),
)
PLAIN: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
"""Values that JSON holds."""
FILES: Final = st.fixed_dictionaries(
    {
        "filename": st.integers(1, 99_999).map(lambda n: f"ComfyUI_{n:05}_.png"),
        "subfolder": st.sampled_from(["", "video"]),
        "type": st.sampled_from(["output", "temp", "input"]),
    }
)
_IMAGES: Final = {"jpeg": 1, "png": 2}


# --- text events ---------------------------------------------------------------------------------


def _status(era: Era) -> Data:
    queue = {"exec_info": st.fixed_dictionaries({"queue_remaining": st.integers(0, 1_000)})}
    return st.fixed_dictionaries(
        {"status": st.fixed_dictionaries(queue)},
        optional={"sid": st.uuids().map(lambda sid: sid.hex)},
    )


def _flags(era: Era) -> Data:
    return st.just({**era.server_flags, "max_upload_size": 104_857_600})


def _moment(era: Era) -> dict[str, Data]:
    return {"timestamp": TIMES} if era.has("success_event") else {}


def _display(era: Era, node: str = "display_node") -> dict[str, Data]:
    return {node: NODES} if era.has("display_node") else {}


def _prompt_time(era: Era) -> Data:
    return st.fixed_dictionaries({"prompt_id": IDS, **_moment(era)})


def _cached(era: Era) -> Data:
    nodes = st.lists(NODES, max_size=4, unique=True)
    return st.fixed_dictionaries({"nodes": nodes, "prompt_id": IDS, **_moment(era)})


def _executing(era: Era) -> Data:
    node = st.fixed_dictionaries({"node": NODES, **_display(era), "prompt_id": IDS})
    last = st.fixed_dictionaries({"node": st.none(), "prompt_id": IDS})
    reconnect = st.fixed_dictionaries({"node": NODES})
    return st.one_of(node, last, reconnect)


def _state(era: Era) -> Data:
    return st.builds(
        lambda prompt_id, nodes: {
            "prompt_id": prompt_id,
            "nodes": {
                each["node_id"]: {**each, "prompt_id": prompt_id}
                | {f"{whose}_node_id": each["node_id"] for whose in ("display", "real")}
                for each in nodes
            },
        },
        IDS,
        st.lists(_entry(), max_size=3, unique_by=lambda each: str(each["node_id"])),
    )


def _entry() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "value": NUMBERS,
            "max": NUMBERS,
            "state": st.sampled_from(["running", "finished"]),
            "node_id": NODES,
            "parent_node_id": st.none() | NODES,
        }
    )


def _progress(era: Era) -> Data:
    numbers = {"value": NUMBERS, "max": NUMBERS, "prompt_id": IDS}
    # Null on servers up to 0.3.40 when the prompt has no client_id.
    node = NODES if era.has("progress_state") else NODES | st.none()
    return st.fixed_dictionaries({**numbers, "node": node})


def _executed(era: Era) -> Data:
    shown = st.dictionaries(
        st.sampled_from(["images", "gifs", "audio"]), st.lists(FILES, max_size=2), max_size=2
    )
    output = st.one_of(shown, st.none(), st.dictionaries(TEXTS, st.lists(PLAIN, max_size=2)))
    return st.fixed_dictionaries(
        {"node": NODES, **_display(era), "output": output, "prompt_id": IDS}
    )


def _where(era: Era) -> dict[str, Data]:
    return {
        "prompt_id": IDS,
        "node_id": NODES,
        "node_type": st.sampled_from(["KSampler", "SaveImage"]),
        "executed": st.lists(NODES, max_size=3, unique=True),
    }


def _error(era: Era) -> Data:
    failed = {
        "exception_message": TEXTS,
        "exception_type": st.sampled_from(["ValueError", "torch.OutOfMemoryError"]),
        "traceback": st.lists(TEXTS, max_size=2),
        "current_inputs": st.dictionaries(TEXTS, st.lists(PLAIN, max_size=2), max_size=2),
        "current_outputs": st.lists(NODES, max_size=3, unique=True),
    }
    blocked = {
        "exception_message": TEXTS.map(lambda text: f"Execution Blocked: {text}"),
        "exception_type": st.just("ExecutionBlocked"),
        "traceback": st.just([]),
        "current_inputs": st.just([]),
        "current_outputs": st.just([]),
    }
    return st.one_of(
        st.fixed_dictionaries({**_where(era), **failed, **_moment(era)}),
        st.fixed_dictionaries({**_where(era), **blocked}),
    )


def _interrupted(era: Era) -> Data:
    return st.fixed_dictionaries({**_where(era), **_moment(era)})


def _logs(era: Era) -> Data:
    line = st.fixed_dictionaries(
        {"t": st.datetimes().map(lambda when: when.isoformat()), "m": TEXTS}
    )
    size = st.fixed_dictionaries({"cols": st.integers(1, 500), "rows": st.integers(1, 500)})
    return st.fixed_dictionaries({"entries": st.lists(line, max_size=3), "size": st.none() | size})


def _seed(*counts: str) -> Any:
    def data(era: Era) -> Data:
        roots = st.lists(st.sampled_from(["models", "input", "output"]), unique=True)
        return st.fixed_dictionaries(
            {"roots": roots, **{name: st.integers(0, 10_000) for name in counts}}
        )

    return data


def _seed_totals(era: Era) -> Data:
    names = ("total", "created", "enriched", "skipped")
    counts = {name: st.integers(0, 10_000) for name in names}
    elapsed = st.floats(0, 1e6)
    return st.fixed_dictionaries(
        {"phase": st.sampled_from(["fast", "full"]), **counts, "elapsed": elapsed}
    )


# type -> the fact of an era that brought it ("" for always), and what its data is.
_TEXT: Final[Mapping[str, tuple[str, Any]]] = {
    "status": ("", _status),
    "feature_flags": ("progress_state", _flags),
    "execution_start": ("", _prompt_time),
    "execution_cached": ("", _cached),
    "executing": ("", _executing),
    "progress_state": ("progress_state", _state),
    "progress": ("", _progress),
    "executed": ("", _executed),
    "execution_success": ("success_event", _prompt_time),
    "execution_error": ("", _error),
    "execution_interrupted": ("", _interrupted),
    "logs": ("internal_routes", _logs),
    "assets.seed.started": ("assets_events", _seed("total")),
    "assets.seed.fast_complete": ("assets_events", _seed("created", "skipped", "total")),
    "assets.seed.enrich_complete": ("assets_events", _seed("enriched")),
    "assets.seed.completed": ("assets_events", _seed_totals),
}


# --- binary events -------------------------------------------------------------------------------


def _image(format: str) -> bytes:
    return picture(width=8, height=8, seed=1, format=format.upper())


def _headed(kind: int, head: bytes, rest: bytes) -> bytes:
    return struct.pack(">II", kind, len(head)) + head + rest


def _previews(era: Era) -> st.SearchStrategy[bytes]:
    return st.sampled_from([*_IMAGES]).map(
        lambda format: struct.pack(">II", 1, _IMAGES[format]) + _image(format)
    )


def _texts(era: Era) -> st.SearchStrategy[bytes]:
    return st.builds(lambda node, text: _headed(3, node.encode(), text.encode()), NODES, TEXTS)


def _previews_with_metadata(era: Era) -> st.SearchStrategy[bytes]:
    def frame(node: str, prompt_id: str, format: str) -> bytes:
        ids = {"node_id": node, "prompt_id": prompt_id, "display_node_id": node}
        more = {"parent_node_id": None, "real_node_id": node, "image_type": f"image/{format}"}
        return _headed(4, json.dumps({**ids, **more}).encode(), _image(format))

    return st.builds(frame, NODES, IDS, st.sampled_from([*_IMAGES]))


_BINARY: Final[Mapping[str, tuple[str, Any]]] = {
    "PREVIEW_IMAGE": ("", _previews),
    "TEXT": ("text_frames", _texts),
    "PREVIEW_IMAGE_WITH_METADATA": ("progress_state", _previews_with_metadata),
}


# --- what is public ------------------------------------------------------------------------------


def events(version: str | None = None, *, type: str | None = None) -> st.SearchStrategy[Message]:
    """Single messages of every type that a server of this version sends.

    Each is right for itself; what came before and what follows is another matter: ``streams``.

    Args:
        version: of ComfyUI, as ``comfyrec.versions.era_of`` takes it; None: any generation's.
        type: only messages of this type, ``executing`` or, for binary frames, ``PREVIEW_IMAGE``,
            ``TEXT`` or ``PREVIEW_IMAGE_WITH_METADATA``.

    Raises:
        UsageError: it is not a version of ComfyUI.
        ValueError: servers of this version send no messages of that type.
    """
    if version is None:
        return st.sampled_from(ERAS[::-1]).flatmap(lambda each: _of(each, type))
    return _of(version, type)


Makers = Mapping[str, st.SearchStrategy[Message]]


@lru_cache
def types_of(version: str) -> Makers:
    """type -> its messages, for the types that the version sends."""
    era = era_of(version)
    texts = {
        kind: data(era).map(lambda value, kind=kind: text_frame(kind, value))
        for kind, (fact, data) in _TEXT.items()
        if not fact or era.has(fact)
    }
    frames = {
        kind: made(era) for kind, (fact, made) in _BINARY.items() if not fact or era.has(fact)
    }
    return {**texts, **frames}


@lru_cache
def _of(version: str, type: str | None) -> st.SearchStrategy[Message]:
    # Kept, as hypothesis looks at a strategy for long when it first sees it.
    made = types_of(version)
    if type is None:
        return st.one_of(*made.values())
    if type not in made:
        raise ValueError(f"no message of type {type!r}; there are {', '.join(made)}")
    return made[type]


def unknown_events() -> st.SearchStrategy[Message]:
    """Messages of types that ComfyUI does not have: an extension's, or a newer server's.

    A client skips them. Sizes go up to a few kB.
    """
    names = st.sampled_from(["crystools.monitor", "x", "execution_complete", "cg.queue"])
    texts = st.builds(text_frame, names | st.text(max_size=8).filter(_is_unknown), PLAIN)
    without = names.map(lambda name: json.dumps({"type": name}))
    kinds = st.integers(5, 2**32 - 1)
    frames = st.builds(
        lambda kind, rest: struct.pack(">I", kind) + rest, kinds, st.binary(max_size=2_000)
    )
    return st.one_of(without, texts, frames)


def _is_unknown(name: str) -> bool:
    return name not in KNOWN


def misfit_events() -> st.SearchStrategy[Message]:
    """Messages of a known type whose payload is another than the server's.

    Data that is missing or null, fields of another kind; metadata of a preview that is not an
    object.
    A client skips them, and keeps its place.
    """
    wrong: st.SearchStrategy[Any] = st.one_of(st.none(), st.integers(), TEXTS, st.just([]))
    texts = st.builds(text_frame, st.sampled_from([*_MUST_BE_OBJECTS]), wrong)
    in_fields = st.sampled_from(sorted(_MISFITS.items())).flatmap(
        lambda row: st.sampled_from(row[1]).map(lambda data: text_frame(row[0], data))
    )
    frames = st.sampled_from([b"42", b"[]", b"{}", b"\xff", b""]).map(
        lambda head: _headed(4, head, b"")
    )
    return st.one_of(in_fields, texts, frames)


_MUST_BE_OBJECTS: Final = (
    "status", "execution_start", "execution_cached", "executing", "progress", "executed",
    "execution_success", "execution_error", "execution_interrupted", "progress_state",
)  # fmt: skip
_ID: Final = "00000000-0000-4000-8000-000000000000"
_MISFITS: Final[Mapping[str, list[Any]]] = {
    "status": [{"status": "busy"}, {"status": {"exec_info": {"queue_remaining": "1"}}}],
    "executing": [{"node": {}, "prompt_id": _ID}, {"node": "1", "prompt_id": 7}],
    "progress": [{"value": "1", "max": 2}, {"value": 1, "max": [], "prompt_id": _ID}],
    "executed": [{"node": "1", "output": [], "prompt_id": _ID}, {"node": {}, "prompt_id": _ID}],
    "execution_cached": [{"nodes": "1", "prompt_id": _ID}, {"nodes": [None], "prompt_id": _ID}],
    "execution_success": [{"prompt_id": {}}, {"prompt_id": _ID, "timestamp": "now"}],
    "execution_error": [{"prompt_id": _ID, "exception_message": 7}],
}


def malformed_messages() -> st.SearchStrategy[Message]:
    """Messages that are not ComfyUI messages at all: ``decode`` raises ``DecodeError`` for each.

    Not JSON, no object, no ``type`` that is a text, a binary frame that ends in its own header.
    """
    no_json = st.sampled_from(
        ["", "{", "<html>502 Bad Gateway</html>", "NaN}", '{"type": "status"']
    )
    no_event = st.sampled_from(
        ["null", "42", "[]", "{}", '{"data": {"node": null}}', '{"type": 1}']
    )
    glued = st.just('{"type": "x", "data": {}}{"type": "x", "data": {}}')
    torn = st.sampled_from([b"", b"\0", b"\0\0\0", b"\0\0\0\1", b"\0\0\0\3\0\0\0\7abc"])
    return st.one_of(no_json, no_event, glued, torn)
