"""How nodes write files, and how those are named and shown."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.versions import Era
from fake_server.nodes.values import Given, Value, literal

__all__ = ["AUDIO", "NO_FILES", "Saves", "as_called", "described", "shown"]


class Saves(msgspec.Struct, frozen=True, kw_only=True):
    """How a node writes files."""

    kind: str = "output"
    """``output``, ``temp``, or ``websocket`` for a node that sends them instead."""
    extension: str = "png"
    chosen: bool = False
    """The input ``format`` says the extension."""
    mime: bool = False
    """The input ``format`` names a media type that ends in the extension: ``video/h264-mp4``."""
    described: bool = False
    """Each file is shown with its format, its rate and its full path; without the input
    ``save_output`` it is a temporary one."""
    shows: str = "images"
    """Under this name the files stand in the node's output."""
    single: bool = False
    """One file for the whole batch."""
    animated: bool | None = None
    """True: one moving picture of the whole batch, said so if there is more than one in it."""
    moving: bool = False
    """It is said to be animated, whatever is in it."""
    sized: bool = True
    """``%width%`` and ``%height%`` of the name are those of the picture, not 0."""
    bare: bool = False
    """Nothing stands between the number and the extension."""
    text: bool = False
    """Writes its text."""
    fresh_letters: bool = False
    """Letters of the name are drawn for each call, not once for the node."""
    texts: bool = True
    """The graph stands in its files, of those kinds that carry it here: PNG and latents."""
    result: bool = False
    """It shows what it gives, not what it is given."""
    since: tuple[str, Saves] | None = None
    """A fact of an era, and how the class writes files where it holds."""


NO_FILES: Final = Saves(kind="")
"""For an output node that looks as if it saved pictures and shows none."""
AUDIO: Final = Saves(extension="flac", shows="audio", sized=False, texts=False)
_CHOICES: Final = frozenset({"png", "exr", "flac", "mp3", "opus", "mp4", "mkv", "webm"})


def as_called(saves: Saves | None, given: Given, era: Era) -> Saves | None:
    """How a node writes files when it is called with these inputs; None if it does not."""
    if saves is None or saves is NO_FILES:
        return None
    if saves.since is not None and era.has(saves.since[0]):
        return saves.since[1]
    if saves.mime:
        kind = "temp" if literal(given, "save_output") is False else saves.kind
        extension = _extension(literal(given, "format")) or saves.extension
        return msgspec.structs.replace(saves, kind=kind, extension=extension)
    if not saves.chosen and saves.shows != "audio":
        return saves
    wanted = literal(given, "format") if saves.chosen else None
    return msgspec.structs.replace(
        saves,
        # What is no known choice is none at all: it would be a part of a path.
        extension=wanted if isinstance(wanted, str) and wanted in _CHOICES else saves.extension,
        bare=saves.bare or (saves.shows == "audio" and era.has("audio_bare_numbers")),
    )


def _extension(media_type: Any) -> str | None:
    """``video/h264-mp4`` and ``image/gif`` end in what the file's name ends in."""
    end = re.split(r"[/-]", media_type)[-1].lower() if isinstance(media_type, str) else ""
    return end if end in _CHOICES or end in ("gif", "webp", "mov", "avif") else None


def described(
    saves: Saves, files: Sequence[Mapping[str, Any]], given: Given, base: str
) -> Sequence[Mapping[str, Any]]:
    """The files of a node, with what it says of them besides their names."""
    if not saves.described:
        return files
    media_type = literal(given, "format") or f"video/{saves.extension}"
    rate = literal(given, "frame_rate")
    return [
        {
            **file,
            "format": media_type,
            "frame_rate": float(rate) if isinstance(rate, (int, float)) else 8.0,
            "fullpath": posixpath.join(base, file["type"], file["subfolder"], file["filename"]),
        }
        for file in files
    ]


def shown(
    saves: Saves, files: Sequence[Mapping[str, Any]], seen: Value | None, era: Era
) -> dict[str, Any]:
    """What a node shows of the files that it has written of ``seen``."""
    if saves.moving:
        return {saves.shows: files, "animated": [True]}
    if saves.animated is None:
        return {saves.shows: files}
    moves = saves.animated and seen is not None and seen.batch > 1
    if saves.animated and not moves and era.has("stills_unsaid"):
        return {"images": files}
    # Before, an animated PNG said so even of one frame.
    said = moves or (saves.animated and saves.extension == "png")
    return {"images": files, "animated": [said]}
