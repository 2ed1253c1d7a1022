"""What a core node is: one row per class, as far as a client can see it.

A row says what stands on a class's outputs, which files it reads and writes, what it shows, how it
fails and how long it takes. What it leaves out, the class does as most classes do; a class without
a row is taken for what its name, inputs and outputs look like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from comfyrec.versions import Era
from fake_server.nodes import failures, sizes, text, timing
from fake_server.nodes.guess_behaviour import saves_like, shows_like, values_like
from fake_server.nodes.saving import AUDIO, NO_FILES, Saves
from fake_server.nodes.timing import Pace
from fake_server.nodes.values import Given, NodeFailed, Value, picture, previewed

__all__ = ["BEHAVIOURS", "AcceptsAny", "Behaviour", "LoadsFile", "behaviour_of"]

Gives: TypeAlias = Callable[[Given], Value | Sequence[Value]]


class LoadsFile(msgspec.Struct, frozen=True):
    """A class reads a file of the input folder."""

    input: str
    """The input that names it."""
    missing: str = "Invalid image file: "
    """What the class says, before the name, of a file that is not there."""
    inherited_from: str | None = None
    """The class whose check it has, as messages of Python name it."""

    @property
    def is_picture(self) -> bool:
        """Whether it must be one that Pillow can open."""
        return self.input == "image"


class AcceptsAny(msgspec.Struct, frozen=True):
    """A class takes any value of an input, in its list or not."""

    input: str
    owner: str | None = None
    """The class whose check breaks without the input, as messages of Python name it; None: the
    check has a default."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What a class does."""

    gives: Gives = sizes.passed_on
    """What stands on its outputs: one value for all of them, or one for each of the first."""
    splits: Callable[[Given, Value], list[Value]] = sizes.counted
    """The items on an output that is a list."""
    file: LoadsFile | None = None
    accepts: AcceptsAny | None = None
    saves: Saves | None = None
    shows: Callable[[Given, Era], Mapping[str, Any]] | None = None
    """Its output for the client, if it writes no files."""
    tells: Callable[[Given], str] | None = None
    """The text that it writes onto itself while it runs."""
    fails: Callable[[Given], NodeFailed | None] | None = None
    asks_for: Callable[[Given], Sequence[str]] | None = None
    """Which of its lazy inputs it wants; all of them without it."""
    takes_lists: bool = False
    """It takes whole lists, where object_info does not say so (older servers)."""
    changes_always: bool = False
    """It says with each prompt that it has changed (IS_CHANGED is the time)."""
    function: str | None = None
    """How it calls the function that runs it, as messages of Python name it."""
    pace: Pace | None = None


def _worded(compute: Callable[[Mapping[str, Any]], Any]) -> Gives:
    """A class that makes a text, or of one: nothing is known where too little is."""

    def gives(given: Given) -> Value | Sequence[Value]:
        known = {
            name: one.literal for name, one in given.items() if isinstance(one, Value) and one.known
        }
        made = compute(known)
        return sizes.passed_on(given) if made is None else [Value(literal=made, known=True)]

    return gives


def _switched_input(given: Given) -> Sequence[str]:
    switch = given.get("switch")
    on = isinstance(switch, Value) and bool(switch.literal)
    return ["on_true" if on else "on_false"]


def _size_in_words(given: Given) -> str:
    seen = picture(given)
    return f"width: {seen.width}, height: {seen.height}\n batch size: {seen.batch}"


def _text_of_anything(given: Given, era: Era) -> Mapping[str, Any]:
    indent = 4 if era.has("previews_indented") else None
    ascii_only = not era.has("previews_unescaped")
    return {"text": [previewed(given.get("source"), indent=indent, ascii_only=ascii_only)]}


_as: Final = msgspec.structs.replace
_LOADS_PICTURE: Final = LoadsFile("image", inherited_from="LoadImage")
_SAMPLER: Final = Pace(0.05, per_step=0.1)
_SHOWN_RESULT: Final = Saves(kind="temp", animated=False, fresh_letters=True, texts=False)

BEHAVIOURS: Final[dict[str, Behaviour]] = {
    "BatchImagesNode": Behaviour(gives=sizes.joined),
    "CLIPLoader": Behaviour(function="load_clip"),
    "CLIPSetLastLayer": Behaviour(function="set_last_layer"),
    "CLIPTextEncode": Behaviour(function="encode", pace=Pace(0.05)),
    "CLIPVisionEncode": Behaviour(function="encode"),
    "CLIPVisionLoader": Behaviour(function="load_clip"),
    "CaseConverter": Behaviour(gives=_worded(text.cased)),
    "CheckpointLoader": Behaviour(function="load_checkpoint"),
    "CheckpointLoaderSimple": Behaviour(function="load_checkpoint", pace=Pace(0.4)),
    "ComfySwitchNode": Behaviour(gives=sizes.switched, asks_for=_switched_input),
    "ConditioningAverage": Behaviour(function="addWeighted"),
    "ConditioningCombine": Behaviour(function="combine"),
    "ConditioningConcat": Behaviour(function="concat"),
    "ConditioningSetArea": Behaviour(function="append"),
    "ConditioningSetAreaPercentage": Behaviour(function="append"),
    "ConditioningSetAreaStrength": Behaviour(function="append"),
    "ConditioningSetMask": Behaviour(function="append"),
    "ConditioningSetTimestepRange": Behaviour(function="set_range"),
    "ConditioningZeroOut": Behaviour(function="zero_out"),
    "ControlNetApply": Behaviour(function="apply_controlnet"),
    "ControlNetApplyAdvanced": Behaviour(function="apply_controlnet"),
    "ControlNetLoader": Behaviour(function="load_controlnet"),
    "CropMask": Behaviour(gives=sizes.mask_cropped),
    # The page makes the list (comfy_extras/nodes_logic.py, in every version that has the class).
    "CustomCombo": Behaviour(
        gives=_worded(lambda known: known.get("choice")),
        accepts=AcceptsAny("choice", "CustomComboNode"),
    ),
    "DiffControlNetLoader": Behaviour(function="load_controlnet"),
    "DiffusersLoader": Behaviour(function="load_checkpoint"),
    "DualCLIPLoader": Behaviour(function="load_clip", pace=Pace(0.3)),
    "EmptyFlux2LatentImage": Behaviour(gives=sizes.empty),
    "EmptyImage": Behaviour(function="generate", gives=sizes.empty_image),
    "EmptyLatentImage": Behaviour(function="generate", gives=sizes.empty),
    "EmptySD3LatentImage": Behaviour(gives=sizes.empty),
    "FluxKontextImageScale": Behaviour(gives=sizes.to_preferred),
    "GLIGENLoader": Behaviour(function="load_gligen"),
    "GLIGENTextBoxApply": Behaviour(function="append"),
    "GetImageSize": Behaviour(gives=sizes.measured, tells=_size_in_words),
    "ImageBatch": Behaviour(function="batch", gives=sizes.joined, fails=failures.cannot_be_joined),
    "ImageBlur": Behaviour(fails=failures.cannot_be_mirrored),
    "ImageCrop": Behaviour(gives=sizes.image_cropped),
    "ImageCropV2": Behaviour(gives=sizes.region, saves=_as(_SHOWN_RESULT, result=True)),
    "ImageFlip": Behaviour(gives=picture),
    "ImageFromBatch": Behaviour(gives=sizes.taken),
    "ImageInvert": Behaviour(function="invert", gives=picture),
    "ImagePadForOutpaint": Behaviour(function="expand_image", gives=sizes.padded),
    "ImageRotate": Behaviour(gives=sizes.turned),
    "ImageScale": Behaviour(
        function="upscale", gives=sizes.to_size, fails=failures.cannot_be_scaled
    ),
    "ImageScaleBy": Behaviour(function="upscale", gives=sizes.by_factor),
    "ImageScaleToMaxDimension": Behaviour(gives=sizes.to_longest),
    "ImageScaleToTotalPixels": Behaviour(gives=sizes.to_pixels),
    "ImageSharpen": Behaviour(fails=failures.cannot_be_mirrored),
    "ImageToMask": Behaviour(fails=failures.lacks_alpha),
    "ImageUpscaleWithModel": Behaviour(gives=sizes.by_model, pace=Pace(0.8)),
    "InpaintModelConditioning": Behaviour(function="encode"),
    "JoinImageWithAlpha": Behaviour(gives=sizes.with_alpha),
    "KSampler": Behaviour(function="sample", pace=_SAMPLER),
    "KSamplerAdvanced": Behaviour(
        function="sample", pace=Pace(0.05, per_step=0.1, steps=timing.advanced_steps)
    ),
    "LatentBatch": Behaviour(gives=sizes.joined),
    "LatentBlend": Behaviour(function="blend"),
    "LatentComposite": Behaviour(function="composite"),
    "LatentCrop": Behaviour(function="crop", gives=sizes.cropped),
    "LatentFlip": Behaviour(function="flip"),
    "LatentFromBatch": Behaviour(function="frombatch", gives=sizes.taken),
    "LatentRotate": Behaviour(function="rotate"),
    "LatentUpscale": Behaviour(function="upscale", gives=sizes.to_size),
    "LatentUpscaleBy": Behaviour(function="upscale", gives=sizes.by_factor),
    "LoadAudio": Behaviour(file=LoadsFile("audio", missing="Invalid audio file: ")),
    "LoadImage": Behaviour(function="load_image", file=_LOADS_PICTURE),
    "LoadImageMask": Behaviour(function="load_image_mask", file=_LOADS_PICTURE),
    "LoadImageOutput": Behaviour(function="load_image", file=_LOADS_PICTURE),
    "LoadLatent": Behaviour(
        function="load", file=LoadsFile("latent", missing="Invalid latent file: ")
    ),
    "LoadVideo": Behaviour(file=LoadsFile("file", missing="Invalid video file: ")),
    "LoraLoader": Behaviour(function="load_lora"),
    "LoraLoaderModelOnly": Behaviour(function="load_lora_model_only"),
    "MaskPreview": Behaviour(
        saves=Saves(kind="temp", since=("mask_preview_animated", _SHOWN_RESULT))
    ),
    "MaskToImage": Behaviour(gives=sizes.from_mask),
    "PorterDuffImageComposite": Behaviour(gives=sizes.composed),
    "PreviewAny": Behaviour(gives=sizes.shown_text, shows=_text_of_anything),
    "PreviewAudio": Behaviour(saves=_as(AUDIO, kind="temp", fresh_letters=True)),
    "PreviewImage": Behaviour(function="save_images", saves=Saves(kind="temp"), pace=Pace(0.04)),
    "PrimitiveBoolean": Behaviour(gives=sizes.same_literal),
    "PrimitiveFloat": Behaviour(gives=sizes.same_literal),
    "PrimitiveInt": Behaviour(gives=sizes.same_literal),
    "PrimitiveString": Behaviour(gives=sizes.same_literal),
    "PrimitiveStringMultiline": Behaviour(gives=sizes.same_literal),
    "RebatchImages": Behaviour(gives=picture, splits=sizes.rebatched, takes_lists=True),
    "RebatchLatents": Behaviour(splits=sizes.rebatched, takes_lists=True),
    "RepeatImageBatch": Behaviour(gives=sizes.repeated),
    "RepeatLatentBatch": Behaviour(function="repeat", gives=sizes.repeated),
    "ResizeAndPadImage": Behaviour(gives=sizes.to_target),
    "ResizeImageMaskNode": Behaviour(gives=sizes.resized),
    "ResizeImagesByLongerEdge": Behaviour(gives=sizes.to_edge),
    "ResizeImagesByShorterEdge": Behaviour(gives=sizes.to_edge),
    "ModelAttentionBackend": Behaviour(
        function="patch", accepts=AcceptsAny("attention", "ModelAttentionBackend")
    ),
    "SamplerCustom": Behaviour(pace=_SAMPLER),
    "SamplerCustomAdvanced": Behaviour(pace=_SAMPLER),
    "SaveAnimatedPNG": Behaviour(saves=Saves(single=True, animated=True)),
    "SaveAnimatedWEBP": Behaviour(saves=Saves(extension="webp", single=True, animated=True)),
    "SaveAudio": Behaviour(saves=AUDIO),
    "SaveAudioAdvanced": Behaviour(saves=_as(AUDIO, chosen=True)),
    "SaveAudioMP3": Behaviour(saves=_as(AUDIO, extension="mp3")),
    "SaveAudioOpus": Behaviour(saves=_as(AUDIO, extension="opus")),
    "SaveGLB": Behaviour(
        saves=Saves(extension="glb", shows="3d", single=True, sized=False, texts=False)
    ),
    "SaveImage": Behaviour(function="save_images", saves=Saves(), pace=Pace(0.08)),
    "SaveImageAdvanced": Behaviour(saves=Saves(chosen=True, bare=True)),
    "SaveImageDataSetToFolder": Behaviour(saves=NO_FILES),
    "SaveImageTextDataSetToFolder": Behaviour(saves=NO_FILES),
    "SaveImageWebsocket": Behaviour(saves=Saves(kind="websocket"), changes_always=True),
    "SaveLatent": Behaviour(
        function="save", saves=Saves(extension="latent", shows="latents", single=True, sized=False)
    ),
    "SaveSVGNode": Behaviour(saves=Saves(extension="svg", single=True, sized=False, texts=False)),
    "SaveText": Behaviour(saves=Saves(text=True)),
    "SaveVideo": Behaviour(
        saves=Saves(extension="mp4", chosen=True, single=True, moving=True, texts=False)
    ),
    "SaveWEBM": Behaviour(saves=Saves(extension="webm", single=True, moving=True, texts=False)),
    # A workflow made where there are other devices (comfy_extras/nodes_multigpu.py).
    "SelectCLIPDevice": Behaviour(accepts=AcceptsAny("device")),
    "SelectModelDevice": Behaviour(accepts=AcceptsAny("device")),
    "SelectVAEDevice": Behaviour(accepts=AcceptsAny("device")),
    "SetLatentNoiseMask": Behaviour(function="set_mask"),
    "SolidMask": Behaviour(gives=sizes.mask),
    "SplitImageWithAlpha": Behaviour(gives=sizes.without_alpha),
    "StringCompare": Behaviour(gives=_worded(text.compared)),
    "StringConcatenate": Behaviour(gives=_worded(text.joined)),
    "StringContains": Behaviour(gives=_worded(text.contains)),
    "StringLength": Behaviour(gives=_worded(text.length)),
    "StringReplace": Behaviour(gives=_worded(text.replaced)),
    "StringSubstring": Behaviour(gives=_worded(text.cut)),
    "StringTrim": Behaviour(gives=_worded(text.trimmed)),
    "StyleModelApply": Behaviour(function="apply_stylemodel"),
    "StyleModelLoader": Behaviour(function="load_style_model"),
    "UNETLoader": Behaviour(function="load_unet", pace=Pace(0.4)),
    "VAEDecode": Behaviour(function="decode", pace=Pace(0.15)),
    "VAEDecodeTiled": Behaviour(function="decode"),
    "VAEEncode": Behaviour(function="encode", pace=Pace(0.15)),
    "VAEEncodeForInpaint": Behaviour(function="encode"),
    "VAEEncodeTiled": Behaviour(function="encode"),
    "VAELoader": Behaviour(function="load_vae"),
    "WebcamCapture": Behaviour(file=_LOADS_PICTURE),
    "unCLIPCheckpointLoader": Behaviour(function="load_checkpoint"),
    "unCLIPConditioning": Behaviour(function="apply_adm"),
}
"""Class -> what it does. The names of functions are those of the older node interface."""


def behaviour_of(
    name: str,
    *,
    inputs: Mapping[str, Any],
    output: Sequence[Any],
    output_node: bool,
    core: bool = True,
) -> Behaviour:
    """What a class does: its row, or what it looks like.

    Args:
        inputs: name -> type, or a list to choose from.
        output: the types of its outputs.
        core: whether it comes with ComfyUI.
    """
    found = BEHAVIOURS.get(name)
    pace = timing.pace_by_outputs(output) if found is None or found.pace is None else found.pace
    if found is not None:
        return found if found.pace is pace else _as(found, pace=pace)
    if not output_node:
        return Behaviour(pace=pace, gives=values_like(output))
    return Behaviour(
        pace=pace,
        gives=values_like(output),
        saves=saves_like(name, inputs, core=core),
        shows=None if core else shows_like(name, inputs),
    )
