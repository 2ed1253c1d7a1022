"""What the core nodes do, as far as a client can see it: sizes, texts, failures.

Nothing is computed. A value knows how wide, high and many it is, so that a saved picture has the
size that the graph asks for; a literal knows itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.versions import Era
from fake_server.nodes import text as words
from fake_server.nodes.catalogue import Input, NodeClass

__all__ = [
    "ITEMS_MAX",
    "Blocker",
    "Given",
    "NodeFailed",
    "Value",
    "as_text",
    "changes_always",
    "chosen_inputs",
    "declared",
    "file_input",
    "function_of",
    "literal",
    "misread",
    "missing_file",
    "number",
    "progress_text",
    "results",
    "shown",
    "told_message",
    "unexpected",
    "whole",
]

SIDE_MAX: Final = 16_384
ITEMS_MAX: Final = 4_096
"""Of one batch, one list, and the calls of one node; beyond that a graph only fills memory."""
_NUMBER_MAX: Final = 1e9


class NodeFailed(Exception):
    """A node raises: the exception's qualified type name and its text."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind, self.message = kind, message


class Value(msgspec.Struct, frozen=True):
    """One item on a link. Latents are measured in the pixels they stand for."""

    width: int = 0
    height: int = 0
    batch: int = 1
    literal: Any = None
    """What it is, if it is a text or number (``known``)."""
    known: bool = False
    channels: int = 0
    """Of a picture, where there is no doubt about it."""

    def sized(self, width: float, height: float) -> Value:
        """The same in another size."""
        return msgspec.structs.replace(self, width=_side(width), height=_side(height))


class Blocker(msgspec.Struct, frozen=True):
    """Stops every node that receives it; one with a message is reported first."""

    message: str | None = None


def _batch(value: float) -> int:
    return max(1, min(ITEMS_MAX, int(value)))


def _side(value: float) -> int:
    return max(1, min(SIDE_MAX, round(value)))


Given = Mapping[str, Any]
"""The inputs of one call: ``Value`` items, literals as ``Value(literal=..., known=True)``."""

NOTHING: Final = Value()
_RGB: Final = 3
_RGBA: Final = 4
_PREFERRED: Final = (
    (672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184),
    (944, 1104), (1024, 1024), (1104, 944), (1184, 880), (1248, 832), (1328, 800), (1392, 752),
    (1456, 720), (1504, 688), (1568, 672),
)  # fmt: skip
"""Sizes that Kontext was trained for (comfy_extras/nodes_flux.py)."""


def number(given: Given, name: str, default: float = 0) -> float:
    """A number that is known, and of a sane size; else the default."""
    one = given.get(name)
    value = one.literal if isinstance(one, Value) and one.known else None
    # A catalogue of somebody's own may set no bounds.
    return (
        value if isinstance(value, (int, float)) and -_NUMBER_MAX < value < _NUMBER_MAX else default
    )


def _value(given: Given, name: str) -> Value:
    one = given.get(name)
    return one if isinstance(one, Value) else NOTHING


def _picture(given: Given) -> Value:
    """The first input that has a size: what a filter works on."""
    return next((one for one in given.values() if isinstance(one, Value) and one.width), NOTHING)


def _other(given: Given) -> Value:
    """What a class that nobody knows makes of it: the same size, and who knows what else."""
    old = _picture(given)
    return msgspec.structs.replace(old, channels=0) if old.channels else old


# --- sizes: class -> the value on its outputs --------------------------------------------------


def _empty(given: Given) -> Value:
    return Value(
        _side(number(given, "width", 512)),
        _side(number(given, "height", 512)),
        _batch(number(given, "batch_size", 1)),
    )


def _empty_image(given: Given) -> Value:
    return msgspec.structs.replace(_empty(given), channels=_RGB)


def _from_mask(given: Given) -> Value:
    return msgspec.structs.replace(_picture(given), channels=_RGB)


def _mask(given: Given) -> Value:
    return Value(_side(number(given, "width", 512)), _side(number(given, "height", 512)))


def _to_size(given: Given) -> Value:
    return _to_sides(_picture(given), number(given, "width"), number(given, "height"))


def _to_sides(old: Value, width: float, height: float) -> Value:
    """In a new size, of which one side may be 0: it follows from the other."""
    if not width and not height:
        return old
    return old.sized(
        width or old.width * height / max(1, old.height),
        height or old.height * width / max(1, old.width),
    )


def _by_factor(given: Given) -> Value:
    old = _picture(given)
    factor = number(given, "scale_by", number(given, "scale_factor", 1.0))
    return old.sized(old.width * factor, old.height * factor)


def _by_model(given: Given) -> Value:
    old = _picture(given)
    return old.sized(old.width * 4, old.height * 4)


def _to_pixels(given: Given) -> Value:
    old = _picture(given)
    wanted = max(0.0, number(given, "megapixels", 1.0)) * 1024 * 1024
    factor = math.sqrt(wanted / max(1, old.width * old.height))
    step = max(1, int(number(given, "resolution_steps", 1)))
    return old.sized(
        round(old.width * factor / step) * step, round(old.height * factor / step) * step
    )


def _to_longest(given: Given) -> Value:
    old = _picture(given)
    factor = number(given, "largest_size", 512) / max(1, old.width, old.height)
    return old.sized(old.width * factor, old.height * factor)


def _resized(given: Given) -> Value:
    old = _value(given, "input")
    resize = _RESIZES.get(str(literal(given, "resize_type")))
    return resize(old, given) if resize is not None and old.width and old.height else old


def _asked(given: Given, name: str, default: float = 512) -> float:
    return number(given, f"resize_type.{name}", default)


def _to_one_edge(old: Value, wanted: float, *, longer: bool) -> Value:
    if (old.width > old.height) == longer:
        return old.sized(wanted, old.height / old.width * wanted)
    return old.sized(old.width / old.height * wanted, wanted)


def _by_total(old: Value, given: Given) -> Value:
    total = int(max(0.0, _asked(given, "megapixels", 1.0)) * 1024 * 1024)
    factor = math.sqrt(total / (old.width * old.height))
    return old.sized(old.width * factor, old.height * factor)


def _to_multiple(old: Value, given: Given) -> Value:
    step = max(1, int(_asked(given, "multiple", 8)))
    width, height = old.width // step * step, old.height // step * step
    return old.sized(width, height) if width and height else old


def _as_another(old: Value, given: Given) -> Value:
    other = _value(given, "resize_type.match")
    return old.sized(other.width, other.height) if other.width else old


_RESIZES: Final[dict[str, Callable[[Value, Given], Value]]] = {
    "scale dimensions": lambda old, given: _to_sides(
        old, _asked(given, "width"), _asked(given, "height")
    ),
    "scale by multiplier": lambda old, given: old.sized(
        old.width * _asked(given, "multiplier", 1.0), old.height * _asked(given, "multiplier", 1.0)
    ),
    "scale longer dimension": lambda old, given: _to_one_edge(
        old, _asked(given, "longer_size"), longer=True
    ),
    "scale shorter dimension": lambda old, given: _to_one_edge(
        old, _asked(given, "shorter_size"), longer=False
    ),
    "scale width": lambda old, given: _to_sides(old, _asked(given, "width"), 0),
    "scale height": lambda old, given: _to_sides(old, 0, _asked(given, "height")),
    "scale total pixels": _by_total,
    "match size": _as_another,
    "scale to multiple": _to_multiple,
}


def _to_edge(given: Given) -> Value:
    """Longer or shorter edges of a wanted length; parts of pixels are cut off."""
    old = _picture(given)
    if not old.width:
        return old
    longer = "longer_edge" in given
    wanted = int(number(given, "longer_edge" if longer else "shorter_edge", 512))
    if (old.width > old.height) == longer:
        return old.sized(wanted, int(old.height * (wanted / old.width)))
    return old.sized(int(old.width * (wanted / old.height)), wanted)


def _to_target(given: Given) -> Value:
    return _picture(given).sized(number(given, "target_width"), number(given, "target_height"))


def _to_preferred(given: Given) -> Value:
    old = _picture(given)
    ratio = old.width / max(1, old.height)
    width, height = min(_PREFERRED, key=lambda size: abs(ratio - size[0] / size[1]))
    return old.sized(width, height)


def _with_alpha(given: Given) -> Value:
    return msgspec.structs.replace(_picture(given), channels=_RGBA)


def _without_alpha(given: Given) -> Value:
    return msgspec.structs.replace(_picture(given), channels=_RGB)


def _cropped(given: Given) -> Value:
    old = _picture(given)
    return old.sized(
        min(old.width or SIDE_MAX, number(given, "width", old.width)),
        min(old.height or SIDE_MAX, number(given, "height", old.height)),
    )


def _mask_cropped(given: Given) -> Value:
    """A region of a mask; one that begins outside of it is nothing, which a fake does not show."""
    old = _picture(given)
    x, y = number(given, "x"), number(given, "y")
    wanted = number(given, "width", old.width), number(given, "height", old.height)
    if not old.width:
        return old.sized(*wanted)
    return old.sized(min(wanted[0], old.width - x), min(wanted[1], old.height - y))


def _cut_out(old: Value, x: Any, y: Any, width: Any, height: Any) -> Value:
    """A region of a picture, which begins inside of it and ends at its edge at the latest."""
    if not all(isinstance(one, (int, float)) for one in (x, y, width, height)):
        return old
    if not old.width:
        return old.sized(width, height)
    x, y = min(x, old.width - 1), min(y, old.height - 1)
    return old.sized(min(width, old.width - x), min(height, old.height - y))


def _image_cropped(given: Given) -> Value:
    places = (number(given, name) for name in "xy")
    sides = (number(given, name, 512) for name in ("width", "height"))
    return _cut_out(_picture(given), *places, *sides)


def _region(given: Given) -> Value:
    box = given.get("crop_region")
    region = box.literal if isinstance(box, Value) and isinstance(box.literal, Mapping) else {}
    return _cut_out(
        _picture(given),
        *(region.get(name, 0) for name in "xy"),
        *(region.get(name, 512) for name in ("width", "height")),
    )


def _padded(given: Given) -> Sequence[Value]:
    old = _picture(given)
    new = old.sized(
        old.width + number(given, "left") + number(given, "right"),
        old.height + number(given, "top") + number(given, "bottom"),
    )
    return [new, msgspec.structs.replace(new, batch=1)]  # one mask for all pictures


def _composed(given: Given) -> Value:
    pictures = [one for one in given.values() if isinstance(one, Value) and one.width]
    batch = min((one.batch for one in pictures), default=1)
    return msgspec.structs.replace(_picture(given), batch=batch)


def _joined(given: Given) -> Value:
    pictures = [one for one in given.values() if isinstance(one, Value) and one.width]
    first = pictures[0] if pictures else NOTHING
    channels = first.channels if len({one.channels for one in pictures}) == 1 else 0
    batch = _batch(sum(one.batch for one in pictures))
    return msgspec.structs.replace(first, batch=batch, channels=channels)


def _repeated(given: Given) -> Value:
    old = _picture(given)
    return msgspec.structs.replace(old, batch=_batch(old.batch * number(given, "amount", 1)))


def _taken(given: Given) -> Value:
    old = _picture(given)
    first = int(number(given, "batch_index"))
    first = max(0, min(old.batch - 1, first + old.batch if first < 0 else first))
    length = max(1, min(old.batch - first, int(number(given, "length", 1))))
    return msgspec.structs.replace(old, batch=length)


def _same_literal(given: Given) -> Value:
    return _value(given, "value")


def _switched(given: Given) -> Value:
    switch = given.get("switch")
    on = isinstance(switch, Value) and bool(switch.literal)
    return _value(given, "on_true" if on else "on_false")


def _shown_text(given: Given) -> Value:
    return Value(literal=_previewed(given.get("source")), known=True)


def literal(given: Given, name: str) -> Any:
    """What an input is, if that is known; else None."""
    one = given.get(name)
    return one.literal if isinstance(one, Value) and one.known else None


def _measured(given: Given) -> Sequence[Value]:
    seen = _picture(given)
    sizes = (seen.width, seen.height, seen.batch)
    return [Value(literal=size, known=True) for size in sizes]


def _turned(given: Given) -> Value:
    old, angle = _picture(given), str(literal(given, "rotation"))
    return old.sized(old.height, old.width) if angle.startswith(("90", "270")) else old


def _inverted(given: Given) -> Value:
    one = given.get("image")
    if isinstance(one, Value) and one.known and isinstance(one.literal, (int, float)):
        return Value(literal=1.0 - one.literal, known=True)  # a number passes, and fails later
    return _picture(given)


_RESULTS: Final[dict[str, Callable[[Given], Value]]] = {
    "EmptyImage": _empty_image,
    "EmptyLatentImage": _empty,
    "EmptySD3LatentImage": _empty,
    "EmptyFlux2LatentImage": _empty,
    "SolidMask": _mask,
    "MaskToImage": _from_mask,
    "ImageInvert": _inverted,
    "ImageScale": _to_size,
    "LatentUpscale": _to_size,
    "ImageScaleBy": _by_factor,
    "LatentUpscaleBy": _by_factor,
    "ImageUpscaleWithModel": _by_model,
    "ImageScaleToTotalPixels": _to_pixels,
    "ImageScaleToMaxDimension": _to_longest,
    "ResizeImageMaskNode": _resized,
    "ResizeImagesByLongerEdge": _to_edge,
    "ResizeImagesByShorterEdge": _to_edge,
    "ResizeAndPadImage": _to_target,
    "FluxKontextImageScale": _to_preferred,
    "ImageFlip": _picture,
    "JoinImageWithAlpha": _with_alpha,
    "SplitImageWithAlpha": _without_alpha,
    "RebatchImages": _picture,
    "ImageCrop": _image_cropped,
    "ImageCropV2": _region,
    "LatentCrop": _cropped,
    "CropMask": _mask_cropped,
    "PorterDuffImageComposite": _composed,
    "ImageBatch": _joined,
    "BatchImagesNode": _joined,
    "LatentBatch": _joined,
    "RepeatImageBatch": _repeated,
    "RepeatLatentBatch": _repeated,
    "ImageFromBatch": _taken,
    "LatentFromBatch": _taken,
    "PrimitiveInt": _same_literal,
    "PrimitiveFloat": _same_literal,
    "PrimitiveString": _same_literal,
    "PrimitiveStringMultiline": _same_literal,
    "PrimitiveBoolean": _same_literal,
    "ComfySwitchNode": _switched,
    "PreviewAny": _shown_text,
    "ImageRotate": _turned,
}
# Classes whose outputs are not all the same.
_SEVERAL: Final[dict[str, Callable[[Given], Sequence[Value]]]] = {
    "GetImageSize": _measured,
    "ImagePadForOutpaint": _padded,
}
_PLAIN: Final[dict[str, Value]] = {
    kind: Value(literal=literal)
    for kind, literal in (("STRING", ""), ("INT", 0), ("FLOAT", 0.0), ("BOOLEAN", False))
}


def results(
    node_class: NodeClass, given: Given, items: int | None, *, loaded: Sequence[Value] = ()
) -> list[Any]:
    """The outputs of one call: an item for each, or a list of items where that is declared.

    ``loaded`` holds what stands on the first outputs of a loader.
    """
    several = _SEVERAL.get(node_class.name)
    values = several(given) if several is not None else loaded or _worded(node_class, given)
    value = NOTHING if values else _RESULTS.get(node_class.name, _other)(given)
    found: list[Any] = []
    for slot, kind in enumerate(node_class.output):
        is_list = slot < len(node_class.output_is_list) and node_class.output_is_list[slot]
        one = _fitting(kind, values[slot] if slot < len(values) else value)
        found.append(_many(node_class, given, one, items) if is_list else one)
    return found


def _worded(node_class: NodeClass, given: Given) -> Sequence[Value]:
    if node_class.name not in words.CLASSES:
        return ()
    literals = {n: one.literal for n, one in given.items() if isinstance(one, Value) and one.known}
    made = words.computed(node_class.name, literals)
    return () if made is None else (Value(literal=made, known=True),)


def _fitting(kind: Any, value: Value) -> Value:
    if value.known:
        return value
    # Nothing is computed; but a text is no picture, and is not shown as one.
    plain = _PLAIN.get(kind) if isinstance(kind, str) else None
    return plain or value


def _many(node_class: NodeClass, given: Given, one: Value, items: int | None) -> list[Value]:
    if items is not None:
        return [one] * items
    if node_class.name in ("RebatchImages", "RebatchLatents"):
        return _rebatched(given, one)
    # Nodes that fan out by a number name that number 'count'.
    return [one] * max(0, min(ITEMS_MAX, int(number(given, "count", 1))))


def _rebatched(given: Given, one: Value) -> list[Value]:
    size = max(1, int(number(given, "batch_size", 1)))
    total = max(1, one.batch)
    parts = [min(size, total - start) for start in range(0, total, size)]
    return [msgspec.structs.replace(one, batch=part) for part in parts]


def whole(values: Sequence[Any]) -> Any:
    """What a node that takes lists sees: the items of one input as one value."""
    pictures = [one for one in values if isinstance(one, Value) and one.width]
    if pictures:
        total = sum(one.batch for one in pictures)
        return msgspec.structs.replace(pictures[0], batch=_batch(total))
    return values[0] if values else NOTHING


# --- texts, checks and failures ----------------------------------------------------------------


def as_text(one: Any) -> str:
    """An item as ``str()`` shows it; pictures and models have no text of their own."""
    if isinstance(one, Value) and (one.known or one.literal is not None):
        return one.literal if isinstance(one.literal, str) else _json_like(one.literal)
    return "None" if one is None else "tensor(...)"


def _json_like(value: Any) -> str:
    return "None" if value is None else str(value)


def _previewed(one: Any, indent: int | None = 4, escaped: bool = True) -> str:
    """The text of PreviewAny: lists and objects as JSON."""
    if isinstance(one, Value) and one.known and isinstance(one.literal, (dict, list)):
        try:
            return json.dumps(one.literal, indent=indent, ensure_ascii=escaped)
        except RecursionError:
            return "source exists, but could not be serialized."
    return as_text(one)


def shown(node_class: NodeClass, given: Given, era: Era) -> dict[str, Any] | None:
    """What a core node shows besides pictures; None if nothing."""
    if node_class.name == "PreviewAny":
        indent = 4 if era.has("previews_indented") else None
        escaped = not era.has("previews_unescaped")
        return {"text": [_previewed(given.get("source"), indent, escaped)]}
    return None


def progress_text(node_class: NodeClass, given: Given) -> str | None:
    """The text that a core node writes onto itself while it runs."""
    if node_class.name == "GetImageSize":
        seen = _picture(given)
        return f"width: {seen.width}, height: {seen.height}\n batch size: {seen.batch}"
    return None


def told_message(node_class: NodeClass, given: Given, planned: str) -> str:
    """The text of an exception.

    A test node that is told by its inputs what to raise (``kind`` among exception names, and
    ``message``) says that text; all others say what the plan has.
    """
    kind, said = given.get("kind"), given.get("message")
    told = node_class.inputs.keys() >= {"kind", "message"}
    if not told or not isinstance(kind, Value) or not isinstance(said, Value) or not said.known:
        return planned
    return repr(said.literal) if kind.literal == "KeyError" else str(said.literal)


def chosen_inputs(node_class: NodeClass, given: Given) -> Sequence[str]:
    """The lazy inputs that a node asks for when no plan says so: all, or what a switch picks."""
    if node_class.name == "ComfySwitchNode":
        switch = given.get("switch")
        on = isinstance(switch, Value) and bool(switch.literal)
        return ["on_true" if on else "on_false"]
    return [name for name in node_class.inputs if name in node_class.lazy]


def changes_always(name: str) -> bool:
    """Whether a class says with each prompt that it has changed (IS_CHANGED is the time)."""
    return name == "SaveImageWebsocket"


_FILE_INPUTS: Final[dict[str, str]] = {
    "LoadImage": "image",
    "LoadImageMask": "image",
    "LoadImageOutput": "image",
    "LoadLatent": "latent",
    "LoadAudio": "audio",
    "LoadVideo": "file",
    "WebcamCapture": "image",
}
_FILE_WORDS: Final[dict[str, str]] = {
    "LoadLatent": "Invalid latent file: ",
    "LoadAudio": "Invalid audio file: ",
    "LoadVideo": "Invalid video file: ",
}


def file_input(name: str) -> str | None:
    """The input of a loader class that names a file in the input folder."""
    return _FILE_INPUTS.get(name)


def missing_file(name: str, file: Any) -> str:
    """What a loader class says of a file that is not there."""
    return f"{_FILE_WORDS.get(name, 'Invalid image file: ')}{file}"


# function -> the core classes that call theirs so, as far as they are of the older interface.
_FUNCTIONS: Final = {
    "addWeighted": "ConditioningAverage",
    "append": "ConditioningSetArea ConditioningSetAreaPercentage ConditioningSetAreaStrength "
    "ConditioningSetMask GLIGENTextBoxApply",
    "apply_adm": "unCLIPConditioning",
    "apply_controlnet": "ControlNetApply ControlNetApplyAdvanced",
    "apply_stylemodel": "StyleModelApply",
    "batch": "ImageBatch",
    "blend": "LatentBlend",
    "combine": "ConditioningCombine",
    "composite": "LatentComposite",
    "concat": "ConditioningConcat",
    "crop": "LatentCrop",
    "decode": "VAEDecode VAEDecodeTiled",
    "encode": "CLIPTextEncode CLIPVisionEncode InpaintModelConditioning VAEEncode "
    "VAEEncodeForInpaint VAEEncodeTiled",
    "expand_image": "ImagePadForOutpaint",
    "flip": "LatentFlip",
    "frombatch": "LatentFromBatch",
    "generate": "EmptyImage EmptyLatentImage",
    "invert": "ImageInvert",
    "load": "LoadLatent",
    "load_checkpoint": "CheckpointLoader CheckpointLoaderSimple DiffusersLoader "
    "unCLIPCheckpointLoader",
    "load_clip": "CLIPLoader CLIPVisionLoader DualCLIPLoader",
    "load_controlnet": "ControlNetLoader DiffControlNetLoader",
    "load_gligen": "GLIGENLoader",
    "load_image": "LoadImage LoadImageOutput",
    "load_image_mask": "LoadImageMask",
    "load_lora": "LoraLoader",
    "load_lora_model_only": "LoraLoaderModelOnly",
    "load_style_model": "StyleModelLoader",
    "load_unet": "UNETLoader",
    "load_vae": "VAELoader",
    "repeat": "RepeatLatentBatch",
    "rotate": "LatentRotate",
    "sample": "KSampler KSamplerAdvanced",
    "save": "SaveLatent",
    "save_images": "PreviewImage SaveImage",
    "set_last_layer": "CLIPSetLastLayer",
    "set_mask": "SetLatentNoiseMask",
    "set_range": "ConditioningSetTimestepRange",
    "upscale": "ImageScale ImageScaleBy LatentUpscale LatentUpscaleBy",
    "zero_out": "ConditioningZeroOut",
}
_FUNCTION_OF: Final = {
    name: function for function, names in _FUNCTIONS.items() for name in names.split()
}


def function_of(node_class: NodeClass) -> str:
    """How a class calls the function that runs it; most custom ones call it ``run``."""
    if node_class.v3 or node_class.name in _FUNCTION_OF:
        return _FUNCTION_OF.get(node_class.name, "execute")
    return "execute" if node_class.core else "run"


def declared(node_class: NodeClass, given: Given) -> Mapping[str, Input]:
    """The inputs of a node that is called with these; dynamic ones are spelled out."""
    if not node_class.dynamic:
        return node_class.inputs
    return node_class.finalized({name: literal(given, name) for name in given})


def unexpected(node_class: NodeClass, given: Given) -> NodeFailed | None:
    """How a core node fails on a link to an input that it does not have, or without a choice."""
    if node_class.dynamic:
        for each in node_class.inputs.values():
            # What is none of a dynamic combo's choices does not reach the node at all.
            if each.chooses and each.required and each.name not in given:
                said = f"missing 1 required positional argument: {each.name!r}"
                return _miscalled(node_class, said)
    known = declared(node_class, given)
    for name in given:
        if name not in known and name not in node_class.inputs and name not in node_class.hidden:
            return _miscalled(node_class, f"got an unexpected keyword argument {name!r}")
    return None


def _miscalled(node_class: NodeClass, said: str) -> NodeFailed:
    return NodeFailed("TypeError", f"{node_class.name}.{function_of(node_class)}() {said}")


def misread(node_class: NodeClass, given: Given) -> NodeFailed | None:
    """How a core node fails on a picture of another shape than it can use; None if it does not."""
    check = _MISREADS.get(node_class.name)
    return None if check is None else check(given)


def _lacks_alpha(given: Given) -> NodeFailed | None:
    if literal(given, "channel") != "alpha" or _value(given, "image").channels != _RGB:
        return None
    return NodeFailed("IndexError", "index 3 is out of bounds for dimension 3 with size 3")


def _cannot_be_scaled(given: Given) -> NodeFailed | None:
    method = literal(given, "upscale_method")
    if literal(given, "crop") != "center" or method == "lanczos":
        return None
    return _cut_to_nothing(_picture(given), _to_size(given), by_area=method == "area")


def _cannot_be_joined(given: Given) -> NodeFailed | None:
    first, second = _value(given, "image1"), _value(given, "image2")
    return _cut_to_nothing(second, first) if first.width and second.width else None


def _cannot_be_mirrored(given: Given) -> NodeFailed | None:
    """Filters mirror the edges of a picture, which has to be bigger than what they mirror."""
    old = _picture(given)
    radius = int(number(given, "blur_radius", number(given, "sharpen_radius")))
    if not old.width or not old.height or radius < min(old.width, old.height):
        return None
    argument, dimension = (4, 3) if radius >= old.width else (6, 2)
    said = (
        f"Argument #{argument}: Padding size should be less than the corresponding input "
        f"dimension, but got: padding ({radius}, {radius}) at dimension {dimension} of input "
        f"{[old.batch, old.channels or _RGB, old.height, old.width]}"
    )
    return NodeFailed("RuntimeError", said)


def _cut_to_nothing(old: Value, new: Value, *, by_area: bool = False) -> NodeFailed | None:
    """How a picture fails that is cut to the proportions of another, and nothing is left of it."""
    width, height = old.width, old.height
    if not width or not height or (width, height) == (new.width, new.height):
        return None
    is_, wanted = width / height, new.width / new.height
    if is_ > wanted:
        width -= 2 * round((width - width * (wanted / is_)) / 2)
    elif is_ < wanted:
        height -= 2 * round((height - height * (is_ / wanted)) / 2)
    if width > 0 and height > 0:
        return None
    said = (
        "Input and output sizes should be greater than 0, but got "
        f"input (H: {height}, W: {width}) output (H: {new.height}, W: {new.width})"
    )
    if by_area:
        sizes = [old.batch, old.channels or _RGB, height, width]
        said = (
            "adaptive_avg_pool2d(): Expected input to have non-zero size for non-batch "
            f"dimensions, but input has sizes {sizes} with dimension {sizes.index(0)} being empty"
        )
    return NodeFailed("RuntimeError", said)


_MISREADS: Final[dict[str, Callable[[Given], NodeFailed | None]]] = {
    "ImageBatch": _cannot_be_joined,
    "ImageBlur": _cannot_be_mirrored,
    "ImageScale": _cannot_be_scaled,
    "ImageSharpen": _cannot_be_mirrored,
    "ImageToMask": _lacks_alpha,
}
