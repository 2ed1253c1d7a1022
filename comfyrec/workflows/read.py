"""Bytes -> workflows: API format, the page's format, both wrapped as people wrap them, pictures.

A workflow in API format maps node ids to ``{"class_type", "inputs"}``. One in the page's format
(UI format) has ``nodes`` and ``links``. Either may stand inside other JSON (``{"prompt": ...}``,
``{"input": {"workflow": ...}}``, a list of test cases) or in the metadata of a PNG or WebP picture
that ComfyUI saved.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from comfyrec.errors import WorkflowError
from comfyrec.events.nesting import nests_deeper

__all__ = [
    "Workflow",
    "find_workflows",
    "is_prompt",
    "is_ui_workflow",
    "is_workflow_file",
    "read_workflows",
]

_NESTS_MAX: Final = 100
"""Lists and objects in each other that a workflow file may have; real ones have below 30."""
_WRAPS_MAX: Final = 8
"""How deep below the top of a file a workflow is looked for."""
_INFLATED_MAX: Final = 64 << 20
"""Bytes that a compressed text chunk of a picture may inflate to."""
_KEYS: Final = re.compile(rb'(?:class_type|nodes)\\*"')
_PNG: Final = b"\x89PNG\r\n\x1a\n"


class Workflow(msgspec.Struct, frozen=True):
    """One workflow of a file."""

    format: Literal["api", "ui"]
    graph: Mapping[str, Any]
    """As it stood in the file, without comments and other entries that are not nodes."""
    where: str = ""
    """Path inside the file (``input.workflow``, ``[3].prompt``), empty for the whole file."""


def read_workflows(data: bytes, name: str = "the file") -> list[Workflow]:
    """All workflows in a file, in the order they stand in.

    Args:
        data: the content of a JSON, PNG or WebP file.
        name: how errors name the file.

    Raises:
        WorkflowError: it is neither JSON nor a picture, or there is no workflow in it.
    """
    if data.startswith(_PNG):
        return _in_texts(_png_texts(data), name)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _in_texts(_webp_texts(data), name)
    value = _json(data, name)
    return find_workflows(value if _may_hold_workflow(data) else None, name)


def find_workflows(value: Any, name: str = "the JSON") -> list[Workflow]:
    """All workflows in JSON that was read already, in the order they stand in.

    Args:
        name: how errors name it.

    Raises:
        WorkflowError: there is no workflow in it.
    """
    found = list(_search(value, "", _WRAPS_MAX))
    if not found:
        raise WorkflowError(
            name, "there is no workflow in it: neither nodes with a class_type nor nodes and links"
        )
    return found


def _may_hold_workflow(data: bytes) -> bool:
    """A quick look: every workflow has one of these keys, also where it is JSON inside a string.

    A folder of workflows may hold translations as well, in which a search takes long.
    """
    return _KEYS.search(data) is not None or rb"\u00" in data  # a key may be written in escapes


def is_workflow_file(data: bytes) -> bool:
    """Whether a file is a workflow: of either format, as it is posted, or in a picture.

    Other JSON may have one somewhere inside, such as the default of an input.
    """
    if data[:4] in (b"\x89PNG", b"RIFF"):
        try:
            return bool(read_workflows(data))
        except WorkflowError:
            return False
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
        return False
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return False
    inside = (found.get("prompt"), found.get("workflow"))
    return any(is_prompt(one) or is_ui_workflow(one) for one in (found, *inside))


def is_prompt(value: Any) -> bool:
    """Whether this is a workflow in API format: node ids to nodes, each with a class."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(node, Mapping) for node in value.values())
        and all(isinstance(node.get("class_type"), str) for node in value.values())
    )


def is_ui_workflow(value: Any) -> bool:
    """Whether this is a workflow in the page's format."""
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("nodes"), list)
        and isinstance(value.get("links", []), list)
        and all(isinstance(node, Mapping) and "type" in node for node in value["nodes"])
        and bool(value["nodes"])
    )


def _json(data: bytes, name: str) -> Any:
    try:
        text = data.decode("utf-8-sig")
        if nests_deeper(text, _NESTS_MAX):
            raise WorkflowError(name, f"it nests more than {_NESTS_MAX} lists and objects")
        return json.loads(text)
    except (ValueError, RecursionError):
        raise WorkflowError(
            name, "this is neither JSON nor a PNG or WebP picture with a workflow"
        ) from None


def _search(value: Any, where: str, depth: int) -> Iterator[Workflow]:
    if _is_leaf(value):
        return
    if is_prompt(value):
        yield Workflow("api", value, where)
    elif is_ui_workflow(value):
        yield Workflow("ui", value, where)
    elif nodes := _nodes_in(value, depth):
        yield Workflow("api", nodes, where)
    elif depth and isinstance(value, Mapping):
        # ComfyUI saves both formats side by side; they are the same workflow.
        prompt = value.get("prompt")
        both = is_prompt(prompt)
        for key, inner in value.items():
            if both and key in ("workflow", "extra_pnginfo", "extra_data"):
                continue
            inner = _unpacked(inner)
            if not _is_leaf(inner):
                path = f"{where}.{key}" if where else str(key)
                yield from _search(inner, path, depth - 1)
    elif depth and isinstance(value, list):
        for index, inner in enumerate(value):
            inner = _unpacked(inner)
            if not _is_leaf(inner):
                yield from _search(inner, f"{where}[{index}]", depth - 1)


def _is_leaf(value: Any) -> bool:
    """Whether nothing can be inside. A folder of translations has a million of these."""
    return value is None or isinstance(value, (str, int, float))


def _nodes_in(value: Any, depth: int) -> Mapping[str, Any]:
    """The nodes of a prompt with other entries among them; nodes without a class as well."""
    if not isinstance(value, Mapping) or not any(map(_is_node, value.values())):
        return {}
    nodes = {
        key: one
        for key, one in value.items()
        if isinstance(one, Mapping) and ("class_type" in one or "inputs" in one)
    }
    others = [one for key, one in value.items() if key not in nodes]
    wrapped = depth and any(list(_search(_unpacked(one), "", depth - 1)) for one in others)
    return {} if wrapped else nodes


def _is_node(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("class_type"), str)
        and isinstance(value.get("inputs"), Mapping)
    )


def _unpacked(value: Any) -> Any:
    """JSON inside a string, as some wrappers carry a workflow; other values as they are."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            return None if nests_deeper(value, _NESTS_MAX) else json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


# --- pictures ------------------------------------------------------------------------------------


def _in_texts(texts: Mapping[str, str], name: str) -> list[Workflow]:
    """The workflow in a picture's metadata; ``prompt`` is what ran, so it goes first."""
    for key in ("prompt", "workflow"):
        value = _unpacked(texts.get(key))
        found = list(_search(value, key, 1))
        if found:
            return found
    raise WorkflowError(name, "this is a picture without a workflow in its metadata")


def _png_texts(data: bytes) -> dict[str, str]:
    texts: dict[str, str] = {}
    at = len(_PNG)
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        kind, chunk = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size
        if kind == b"tEXt":
            key, _, text = chunk.partition(b"\0")
            texts[key.decode("latin-1")] = _text(text)
        elif kind == b"zTXt":
            key, _, rest = chunk.partition(b"\0")
            texts[key.decode("latin-1")] = _text(_inflated(rest[1:]))
        elif kind == b"iTXt":
            key, _, rest = chunk.partition(b"\0")
            packed, text = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
            texts[key.decode("latin-1")] = _text(_inflated(text) if packed else text)
        elif kind == b"IEND":
            break
    return texts


def _webp_texts(data: bytes) -> dict[str, str]:
    """Texts of the EXIF chunk, where ComfyUI writes ``prompt:{...}`` and ``workflow:{...}``."""
    texts: dict[str, str] = {}
    at = 12
    while at + 8 <= len(data):
        kind, (size,) = data[at : at + 4], struct.unpack_from("<I", data, at + 4)
        if kind == b"EXIF":
            for line in data[at + 8 : at + 8 + size].split(b"\0"):
                key, mark, text = line.partition(b":")
                if mark and key.isalpha():
                    texts[key.decode("ascii").lower()] = _text(text)
        at += 8 + size + (size & 1)
    return texts


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _INFLATED_MAX)
    except zlib.error:
        return b""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
