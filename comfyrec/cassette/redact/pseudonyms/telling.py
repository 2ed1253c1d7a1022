"""A value with its name and place -> what it tells of somebody: its kind, or nothing.

``NAMES`` in ``rules`` has the names. This module adds what form and place say: files by their
endings, addresses by ``://``, texts by their length.

Whatever is decided here by the form of a value is decided alike for its stand-in, so that a replay
can compare what a client sends with a recording that was redacted.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from comfyrec.cassette.redact.pseudonyms.json_values import Mode, Value
from comfyrec.cassette.redact.pseudonyms.standins import comparable, form_of
from comfyrec.cassette.redact.pseudonyms.vocabulary import is_vocabulary
from comfyrec.cassette.redact.rules import Place, told_by_name
from comfyrec.cassette.redact.values import is_random

__all__ = ["ENDINGS", "KINDS", "is_file_name", "kind_of", "kind_of_input", "told_form"]


def _words(listed: str) -> list[str]:
    return listed.split()


KINDS: Final = {
    "id": "identity",
    "user": "identity",
    "host": "identity",
    "path": "identity",
    "device": "identity",
    "agent": "identity",
    "argument": "identity",
    "time": "identity",
    "text": "content",
    "title": "content",
    "name": "content",
    "log": "content",
    "url": "content",
    "pixels": "content",
    "bytes": "content",
}
"""Kind -> the class of redaction that it belongs to. An ``url`` has a host as well."""

_LONG: Final = 12
ENDINGS: Final = frozenset(
    _words(
        "safetensors ckpt pt pth bin gguf onnx sft pkl png jpg jpeg webp gif bmp tif tiff "
        "avif apng mp4 webm mov mkv avi m4v wav mp3 flac ogg opus m4a aac latent json jsonl "
        "txt csv tsv yaml yml pdf zip tar gz 7z glb gltf obj ply fbx stl usdz spz splat exr "
        "hdr psd svg cube srt vtt md npz npy crec har"
    )
)
_FILE: Final = re.compile(
    rf"(?is)[^\x00-\x1f\"<>|*?]{{1,400}}\.(?:{'|'.join(ENDINGS)})"
    rf"(?: \[(?:input|output|temp)\])?"
)
_URL: Final = re.compile(r"(?i)[a-z][a-z0-9+.\-]{1,20}://\S+")
_WORDS: Final = re.compile(r"\S\s+\S")
_TYPE: Final = re.compile(r"[A-Z][A-Z0-9_,*]*|\*")
_NUMBER: Final = re.compile(r"[-+]?[0-9.,:%]*")

# Members that hold the machinery of a workflow or an event, not what somebody put in.
_STRUCTURE: Final = frozenset(
    _words(
        "type class_type node_type status status_str mediaType media_type format nodeId "
        "node_id node display_node exception_type mode cnr_id aux_id ver version shape dir "
        "state revision localized_name color bgcolor frontendVersion link real_node_id "
        "parent_node_id display_node_id content_type comfyui_version python_module category "
        "hash hash_type"
    )
) | {"Node name for S&R"}
_SLOT_NAMES: Final = _STRUCTURE | {"name", "widget"}
_MODEL_TYPES: Final = frozenset(("clip_type", "weight_dtype", "device", "dtype", "sampler_name"))


def is_file_name(text: str) -> bool:
    """Whether a text is the name of a file, by its ending."""
    return _FILE.fullmatch(text) is not None and not _URL.match(text)


def kind_of(value: Value, text: str, kinds: Collection[str] = KINDS) -> str:
    """What a text in JSON tells; empty for nothing.

    Args:
        value: where it stands.
        text: what it says.
        kinds: what counts; a name of another kind says nothing.
    """
    mode, name = value.mode, value.name
    if not text or _NUMBER.fullmatch(text):
        return ""
    by_mode = _BY_MODE.get(mode)
    if by_mode is not None:
        return by_mode
    named = told_by_name(name, Place.MEMBER)
    if KINDS.get(named) == "identity":
        if named in kinds:
            return named
        named = ""
    if mode is Mode.DEVICES:
        return "device" if name == "name" else ""
    if _URL.fullmatch(text):
        return "url"
    if is_vocabulary(text):
        return ""
    if mode is Mode.CLASSES:
        is_choice = named == "name" and not _TYPE.fullmatch(text)
        return "name" if is_choice or is_file_name(text) else ""
    if mode is Mode.INPUTS:
        return kind_of_input(name, text, kinds)
    if mode is Mode.SLOTS:
        return "" if name in _SLOT_NAMES else "title"
    if mode is Mode.TOLD:
        return _told(name, named, text)
    return named or ("name" if is_file_name(text) else "")


_BY_MODE: Final = {
    Mode.ARGUMENTS: "argument",
    Mode.LOG: "log",
    Mode.TRACEBACK: "",
    Mode.NAMES: "name",
    Mode.USERS: "user",
}


def _told(name: str, named: str, text: str) -> str:
    """Of a workflow or an output: all but its machinery."""
    if name in _STRUCTURE or (name == "links" and _TYPE.fullmatch(text)):
        return ""
    return named or ("name" if is_file_name(text) else "text")


def kind_of_input(name: str, text: str, kinds: Collection[str] = KINDS) -> str:
    """What the input of a node tells: a text, a file, or nothing where it is a choice."""
    if not text or _NUMBER.fullmatch(text) or is_vocabulary(text) or name in _MODEL_TYPES:
        return ""
    if _URL.fullmatch(text):
        return "url"
    if is_file_name(text):
        return "name"
    named = told_by_name(name, Place.MEMBER)
    if named:
        return named if named in kinds or KINDS[named] == "content" else "text"
    is_long = len(text) >= _LONG or _WORDS.search(text) is not None
    return "text" if is_long or is_random(form_of(text).encode("ascii", "replace")) else ""


_PLACES: Final = re.compile(r"[/\\@{\[]|[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}|[0-9]+\.[0-9]+\.[0-9]")


def told_form(name: str, text: str) -> str:
    """What a text input and its stand-in have in common; the text itself where it tells nothing."""
    return comparable(text) if kind_of_input(name, text) or _PLACES.search(text) else text
