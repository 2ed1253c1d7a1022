"""Which core nodes write files, and how those are named and shown."""

from __future__ import annotations

from typing import Final

import msgspec

from comfyrec.versions import Era
from fake_server.nodes.behaviour import Given, literal
from fake_server.nodes.catalogue import NodeClass

__all__ = ["Saves", "saves_of"]


class Saves(msgspec.Struct, frozen=True):
    """How a node writes files."""

    kind: str = "output"
    """``output``, ``temp``, or ``websocket`` for a node that sends them instead."""
    extension: str = "png"
    chosen: bool = False
    """The input ``format`` says the extension."""
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


_AUDIO: Final = Saves(extension="flac", shows="audio", sized=False, texts=False)
_SAVES: Final[dict[str, Saves]] = {
    "SaveImage": Saves(),
    "SaveImageAdvanced": Saves(chosen=True, bare=True),
    "PreviewImage": Saves(kind="temp"),
    "MaskPreview": Saves(kind="temp"),
    "SaveAnimatedWEBP": Saves(extension="webp", animated=True, single=True),
    "SaveAnimatedPNG": Saves(animated=True, single=True),
    "SaveText": Saves(text=True),
    "ImageCropV2": Saves(kind="temp", animated=False, fresh_letters=True, texts=False, result=True),
    "SaveImageWebsocket": Saves(kind="websocket"),
    "SaveLatent": Saves(extension="latent", shows="latents", single=True, sized=False),
    "SaveAudio": _AUDIO,
    "SaveAudioAdvanced": msgspec.structs.replace(_AUDIO, chosen=True),
    "SaveAudioMP3": msgspec.structs.replace(_AUDIO, extension="mp3"),
    "SaveAudioOpus": msgspec.structs.replace(_AUDIO, extension="opus"),
    "PreviewAudio": msgspec.structs.replace(_AUDIO, kind="temp", fresh_letters=True),
    "SaveVideo": Saves(extension="mp4", chosen=True, single=True, moving=True, texts=False),
    "SaveWEBM": Saves(extension="webm", single=True, moving=True, texts=False),
    "SaveSVGNode": Saves(extension="svg", single=True, sized=False, texts=False),
    "SaveGLB": Saves(extension="glb", shows="3d", single=True, sized=False, texts=False),
}
_CHOICES: Final = frozenset({"png", "exr", "flac", "mp3", "opus", "mp4", "mkv", "webm"})
# They write, and show nothing of it.
_SILENT: Final = frozenset({"SaveImageDataSetToFolder", "SaveImageTextDataSetToFolder"})


_NEW_MASK_PREVIEW: Final = Saves(kind="temp", animated=False, fresh_letters=True, texts=False)


def saves_of(node_class: NodeClass, given: Given, era: Era, *, planned: bool) -> Saves | None:
    """How a node of this class writes files; None if it does not.

    Classes of other people are taken for what they look like: an output node with pictures and a
    ``filename_prefix`` saves. ``planned`` says that a plan wants pictures of it.
    """
    if node_class.name == "MaskPreview" and era.has("mask_preview_animated"):
        return _NEW_MASK_PREVIEW
    known = _SAVES.get(node_class.name)
    if known is not None:
        return _as_chosen(known, given, era) if known.chosen or known.shows == "audio" else known
    pictures = any(one.type == "IMAGE" for one in node_class.inputs.values())
    looks = pictures and "filename_prefix" in node_class.inputs
    if node_class.output_node and looks and node_class.name not in _SILENT:
        return Saves()
    return Saves(kind="temp") if planned else None


def _as_chosen(saves: Saves, given: Given, era: Era) -> Saves:
    wanted = literal(given, "format") if saves.chosen else None
    return msgspec.structs.replace(
        saves,
        # What is no known choice is none at all: it would be a part of a path.
        extension=wanted if isinstance(wanted, str) and wanted in _CHOICES else saves.extension,
        bare=saves.bare or (saves.shows == "audio" and era.has("audio_bare_numbers")),
    )
