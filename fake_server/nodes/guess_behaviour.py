"""What a class without a row of its own does, by its name, its inputs and its outputs.

Savers and viewers show outputs of the kind that clients of the field look for; nodes that make
texts and numbers pass on what they are given. Nothing here knows a class: words in names and names
of inputs decide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.versions import Era
from fake_server.nodes import sizes
from fake_server.nodes.saving import AUDIO, Saves
from fake_server.nodes.values import Given, Value, as_text, literal, number

__all__ = ["saves_like", "shows_like", "values_like"]

_as: Final = msgspec.structs.replace
_SAVER: Final = re.compile(r"save|export|write|download|upload|combine", re.IGNORECASE)
_VIEWER: Final = re.compile(r"preview|show|display|view|compare|inspect|print", re.IGNORECASE)
# The type of an input that nobody knows the type of, by its name.
_NAMED: Final = {
    "image": "IMAGE", "images": "IMAGE", "image_a": "IMAGE", "image1": "IMAGE", "pixels": "IMAGE",
    "frames": "IMAGE", "mask": "MASK", "masks": "MASK", "audio": "AUDIO", "video": "VIDEO",
    "latent": "LATENT", "samples": "LATENT", "mesh": "MESH", "trimesh": "MESH",
    "text": "STRING", "string": "STRING",
}  # fmt: skip
_TEXTS: Final = ("text", "string", "anything", "any", "input", "value", "source", "prompt")
_VIDEO: Final = Saves(extension="mp4", chosen=True, single=True, moving=True, texts=False)
_CLIP: Final = Saves(
    extension="mp4", mime=True, shows="gifs", single=True, bare=True, texts=False, described=True
)
_MODEL: Final = Saves(extension="glb", shows="3d", single=True, sized=False, texts=False)
_KINDS: Final = {
    "VIDEO": _VIDEO,
    "AUDIO": AUDIO,
    "MESH": _MODEL,
    "IMAGE": Saves(),
    "MASK": Saves(),
    "LATENT": Saves(extension="latent", shows="latents", single=True, sized=False),
}
"""Type of the input -> how it is saved; the first that a class has decides."""


def saves_like(name: str, inputs: Mapping[str, Any], *, core: bool) -> Saves | None:
    """How an output node writes files; None if it does not look as if it did.

    Args:
        inputs: name -> type, or a list to choose from.
        core: whether it comes with ComfyUI; then only what saves pictures is taken for a saver.
    """
    prefixed = "filename_prefix" in inputs
    if core:
        return Saves() if prefixed and "IMAGE" in inputs.values() else None
    types = {_NAMED.get(key.lower(), "") if kind == "*" else kind for key, kind in _plain(inputs)}
    if {"format", "frame_rate"} <= inputs.keys() and "IMAGE" in types:
        return _CLIP
    kind = next((saves for kind, saves in _KINDS.items() if kind in types), None)
    if prefixed or _SAVER.search(name):
        return kind
    return _as(kind, kind="temp") if kind is not None and _VIEWER.search(name) else None


def _plain(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(key, kind) for key, kind in inputs.items() if isinstance(kind, str)]


def shows_like(
    name: str, inputs: Mapping[str, Any]
) -> Callable[[Given, Era], Mapping[str, Any]] | None:
    """What an output node shows that writes no files: viewers show the text they are given."""
    key = next((one for one in _TEXTS if one in inputs), None)
    key = key or next((one for one, kind in inputs.items() if kind == "STRING"), None)
    if key is None or not _VIEWER.search(name):
        return None

    def shows(given: Given, era: Era) -> Mapping[str, Any]:
        return {"text": [as_text(given.get(key))]}

    return shows


def values_like(output: Sequence[Any]) -> Callable[[Given], Value | Sequence[Value]]:
    """What stands on outputs of these types: texts and numbers as they were given, pictures in the
    size that was asked for, or that of the first picture."""
    if not any(kind in _LITERALS for kind in output if isinstance(kind, str)):
        return _sized

    def gives(given: Given) -> Sequence[Value]:
        other = _sized(given)
        return [_passed(kind, given) or other for kind in output]

    return gives


def _sized(given: Given) -> Value:
    width, height = (literal(given, name) for name in ("width", "height"))
    old = sizes.passed_on(given)
    if type(width) is int and type(height) is int and width > 0 and height > 0:
        return old.sized(number(given, "width"), number(given, "height"))
    return old


_LITERALS: Final[dict[str, tuple[type, ...]]] = {
    "STRING": (str,),
    "INT": (int,),
    "FLOAT": (float, int),
    "BOOLEAN": (bool,),
}


def _passed(kind: Any, given: Given) -> Value | None:
    """The first text or number of the type that is given; None where none is."""
    wanted = _LITERALS.get(kind, ()) if isinstance(kind, str) else ()
    for one in given.values():
        if isinstance(one, Value) and one.known and type(one.literal) in wanted:
            return one
    return None
