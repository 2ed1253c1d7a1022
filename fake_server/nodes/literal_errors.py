"""How core nodes fail on a literal where a link is needed.

A server takes any literal for an input of a type that it does not check (PROTOCOL.md, section 7);
the node then fails in the way Python does when it first reaches into the value. What a node reaches
for, and in which order, was observed on 0.27.0, node by node; what comes of it is found by doing
the same to the literal. A link never fails here: nobody knows what is on it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from fake_server.nodes.behaviour import NodeFailed, Value, declared
from fake_server.nodes.catalogue import NodeClass

__all__ = ["CLASSES", "misused_literal", "own_ways"]

_Way: TypeAlias = Callable[..., object]


def _loop(value: Any) -> None:
    for one in value:
        one[0], one[1].copy()


def _first_of(value: Any) -> Any:
    len(value)
    return value[0]


def _joined(value: Any) -> None:
    if len(value):
        kind = type(value[0]).__name__
        raise TypeError(f"expected Tensor as element 0 in argument 0, but got {kind}")


def _turned(value: Any) -> Any:
    return value.flip if len(value) else value


def _split(value: Any) -> None:
    if not [one[:, :, :3] for one in value]:
        raise RuntimeError("stack expects a non-empty TensorList")


def _each_dim(value: Any) -> None:
    if not [one.dim for one in value]:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")


def _sound(value: Any) -> Any:
    # Without sound there is nothing to do, and nothing comes of it.
    return None if value is None else value["waveform"]


def _encoded(value: Any) -> Any:
    if isinstance(value, str):
        raise TypeError("encode() argument 'encoding' must be str, not Tensor")
    return value.encode


def _put_in_words(value: Any) -> Any:
    if value is None:
        raise RuntimeError(
            "ERROR: clip input is invalid: None\n\nIf the clip is from a checkpoint loader node "
            "your checkpoint does not contain a valid clip or text encoder model."
        )
    return value.tokenize


def _only_tensors(function: str, *, at: str = "'input' (position 1)") -> _Way:
    def call(value: Any) -> None:
        kind = type(value).__name__
        raise TypeError(f"{function}(): argument {at} must be Tensor, not {kind}")

    return call


_WAYS: Final[dict[str, _Way]] = {
    "first": lambda value: value[0].shape,
    "samples": lambda value: value["samples"].shape,
    "copy": lambda value: value.copy()["samples"].shape,
    "waveform": lambda value: value["waveform"],
    "rate": lambda value: value["sample_rate"],
    "sound": _sound,
    "each_dim": _each_dim,
    "loop": _loop,
    "len": len,
    "first_of": _first_of,
    "second_of_first": lambda value: _first_of(value)[1],
    "joined": _joined,
    "cut": lambda value: value[:1],
    "part": lambda value: value[:, :, :, 0],
    "frames": lambda value: value[:1].movedim,
    "nothing": lambda _: None,
    "split": _split,
    "minus": lambda value: 1.0 - value,
    "above": lambda value: (value > 0.5).float,
    "put_in_words": _put_in_words,
    "encoded": _encoded,
    "called": lambda value: value(),
    "control": lambda value: value.copy().set_extra_arg,
    "turned": _turned,
    "rot90": _only_tensors("rot90"),
    "flip": _only_tensors("flip"),
}
"""What is done to a value, other than asking for an attribute."""

_BY_TYPE: Final[dict[str, str]] = {
    "AUDIO": "waveform",
    "CLIP": ".tokenize",
    "CLIP_VISION": ".encode_image",
    "CONDITIONING": "loop",
    "CONTROL_NET": ".copy",
    "IMAGE": ".shape",
    "LATENT": "copy",
    "MASK": ".reshape",
    "MODEL": ".clone",
    "STYLE_MODEL": ".get_cond",
    "UPSCALE_MODEL": ".model",
    "VAE": ".decode",
}
"""What most nodes do first."""

_BY_CLASS: Final[dict[str, str]] = {
    "audio1:sound audio2:sound": "AudioConcat AudioMerge",
    "audio:rate vae:encoded": "VAEEncodeAudio",
    "audio:sound": "AudioAdjustVolume TrimAudioDuration",
    "clip.clone": "CLIPSetLastLayer T5TokenizerOptions",
    "clip.encode_from_tokens": "GLIGENTextBoxApply",
    "clip:put_in_words": "CLIPTextEncode CLIPTextEncodeLumina2",
    "conditioning_1+conditioning_2": "ConditioningCombine",
    "conditioning_from:first_of conditioning_to:joined": "ConditioningConcat",
    "conditioning_from:second_of_first conditioning_to:len": "ConditioningAverage",
    "control_net.concat_mask": "ControlNetInpaintingAliMamaApply",
    "control_net:control": "SetUnionControlNetType",
    "crop_region.get image.shape": "ImageCropV2",
    "image.movedim vae:encoded": "LTXVImgToVideo",
    "image.movedim": "ImageRGBToYUV ImageScale ImageScaleBy ImageScaleToTotalPixels",
    "image.movedim conditioning:loop": "ControlNetApply",
    "conditioning:nothing latent:samples": "ReferenceLatent",
    "image.movedim positive:loop negative:loop vae:nothing": "ControlNetApplyAdvanced "
    "ControlNetApplySD3",
    "image.movedim clip.tokenize": "TextEncodeQwenImageEdit",
    "image1.movedim image2.movedim image3.movedim": "TextEncodeQwenImageEditPlus",
    "image1:nothing image2.shape": "ImageStitch",
    "images:nothing audio:nothing": "CreateVideo",
    "latent:samples": "LTXVScheduler",
    "positive:nothing negative:nothing vae:nothing start_image:frames": "WanImageToVideo",
    "positive:nothing vae:nothing start_image:part": "HunyuanImageToVideo",
    "vae:nothing start_image:frames": "Wan22ImageToVideoLatent",
    "vae:nothing start_image:part end_image:part": "CosmosImageToVideoLatent",
    "image.repeat": "RepeatImageBatch",
    "image.size": "ImageAddNoise ImagePadForOutpaint",
    "image.to": "Canny ImageBlur Morphology",
    "image.to photomaker.load_device": "PhotoMakerEncode",
    "image:part": "ImageToMask",
    "image:len alpha:len": "JoinImageWithAlpha",
    "image:split": "SplitImageWithAlpha",
    "image:flip": "ImageFlip",
    "image:minus": "ImageInvert",
    "image:rot90": "ImageRotate",
    "images.dim": "ResizeImagesByShorterEdge",
    "images:each_dim": "ResizeImagesByLongerEdge",
    "images:first": "PreviewImage SaveAnimatedPNG SaveAnimatedWEBP SaveImage SaveWEBM",
    "latent_image:samples guider.model_patcher": "SamplerCustomAdvanced",
    "latent_image:samples model.get_model_object": "KSampler KSamplerAdvanced SamplerCustom",
    "latents:samples": "RebatchLatents",
    "mask.shape": "ConditioningSetMask",
    "mesh.vertices": "SaveGLB",
    "mask:above": "ThresholdMask",
    "mask:minus": "InvertMask",
    "model.get_model_object": "BasicScheduler BetaSamplingScheduler SDTurboScheduler "
    "SamplerSASolver SamplingPercentToSigma SkipLayerGuidanceDiT SkipLayerGuidanceDiTSimple "
    "SkipLayerGuidanceSD3",
    "model.model": "FreeU FreeU_V2 ImageOnlyCheckpointSave",
    "model.model_options": "BasicGuider CFGGuider DualCFGGuider",
    "pixels.shape mask.reshape vae:encoded": "InpaintModelConditioning",
    "pixels.shape vae:encoded": "InstructPixToPixConditioning",
    "samples.copy mask.reshape": "SetLatentNoiseMask",
    "samples1:copy samples2:samples": "LatentAdd LatentBatch LatentBlend LatentConcat "
    "LatentInterpolate LatentSubtract",
    "samples:copy operation:called": "LatentApplyOperation",
    "samples:samples": "SaveLatent VAEDecode",
    "samples_to:copy samples_from:samples": "LatentComposite",
    "destination.shape source.shape mask.to": "ImageCompositeMasked",
    "destination:copy source:samples mask.to": "LatentCompositeMasked",
    "sigmas.clone": "SetFirstSigma",
    "sigmas.device": "ExtendIntermediateSigmas",
    "sigmas.shape": "SplitSigmasDenoise",
    "sigmas:cut": "SplitSigmas",
    "sigmas:len latent_image:samples noise.generate_noise model.get_model_object": "AddNoise",
    "sigmas:turned": "FlipSigmas",
    "source:len source_alpha:len": "PorterDuffImageComposite",
    "style_model.get_cond": "StyleModelApply",
    "svg.data": "SaveSVGNode",
    "vae.decode": "VAEDecodeAudio",
    "vae.encode_tiled": "VAEEncodeTiled",
    "vae.spacial_compression_encode": "VAEEncodeForInpaint WanFirstLastFrameToVideo",
    "vae.temporal_compression_decode": "VAEDecodeTiled",
    "vae:encoded": "VAEEncode",
    "video.get_components": "GetVideoComponents",
    "video.get_dimensions": "SaveVideo",
}
"""Other ways -> the classes that go them, in their order: ``input.attribute``, ``input:way``, or
``input+input`` for a sum."""
_LINKED: Final[list[Any]] = []
"""Stands for what comes over a link; in a sum it is a list, as conditionings are."""
CLASSES: Final = {name: ways for ways, names in _BY_CLASS.items() for name in names.split()}
"""Class -> its ways, of those that do not go the usual ones."""


def misused_literal(node_class: NodeClass, inputs: Mapping[str, Any]) -> NodeFailed | None:
    """How a core node fails on a literal where a link is needed; None if it has none."""
    known = declared(node_class, inputs)
    # Null for an optional input is as good as leaving it out.
    given = {
        name: one.literal
        for name, one in inputs.items()
        if isinstance(one, Value) and one.known
        if one.literal is not None or name not in known or known[name].required
    }
    own = own_ways(node_class.name)
    for names, way in own.items():
        if not given.keys().isdisjoint(names):
            failed = _failed(way, *(given.get(name, _LINKED) for name in names))
            if failed is not None:
                return failed
    named = {name for names in own for name in names}
    for name, each in known.items():
        if name in given and name not in named and isinstance(each.type, str):
            usual = _USUAL.get(each.type)
            failed = None if usual is None else _failed(usual, given[name])
            if failed is not None:
                return failed
    return None


def _failed(way: _Way, *values: Any) -> NodeFailed | None:
    try:
        way(*values)
    except Exception as error:  # whatever Python says of it is what the node would say
        return NodeFailed(type(error).__name__, str(error))
    return None


@lru_cache(maxsize=1_024)
def own_ways(class_name: str) -> dict[tuple[str, ...], _Way]:
    """What a class does with inputs, in its order, if that is not the usual."""
    return dict(map(_one_way, CLASSES.get(class_name, "").split()))


def _one_way(text: str) -> tuple[tuple[str, ...], _Way]:
    if "+" in text:
        return tuple(text.split("+")), operator.add
    name, mark, way = text.partition(":" if ":" in text else ".")
    return (name,), _way(way if mark == ":" else f".{way}")


def _way(text: str) -> _Way:
    return operator.attrgetter(text[1:]) if text.startswith(".") else _WAYS[text]


_USUAL: Final = {kind: _way(text) for kind, text in _BY_TYPE.items()}
