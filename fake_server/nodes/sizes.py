"""How large, how many and of which channels is what a core node gives: inputs -> values.

Each function takes the inputs of one call. It gives one value for all outputs of a class, or a
value for each of its first outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from fake_server.nodes.values import (
    ITEMS_MAX,
    NOTHING,
    RGB,
    RGBA,
    SIDE_MAX,
    Given,
    Value,
    batch,
    literal,
    number,
    picture,
    previewed,
    side,
    value_of,
)

__all__ = [
    "by_factor",
    "by_model",
    "composed",
    "counted",
    "cropped",
    "empty",
    "empty_image",
    "from_mask",
    "image_cropped",
    "joined",
    "mask",
    "mask_cropped",
    "measured",
    "padded",
    "passed_on",
    "rebatched",
    "region",
    "repeated",
    "resized",
    "same_literal",
    "shown_text",
    "switched",
    "taken",
    "to_edge",
    "to_longest",
    "to_pixels",
    "to_preferred",
    "to_size",
    "to_target",
    "turned",
    "with_alpha",
    "without_alpha",
]

_KONTEXT_SIZES: Final = (
    (672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184),
    (944, 1104), (1024, 1024), (1104, 944), (1184, 880), (1248, 832), (1328, 800), (1392, 752),
    (1456, 720), (1504, 688), (1568, 672),
)  # fmt: skip
"""Sizes that Kontext was trained for (comfy_extras/nodes_flux.py)."""


def passed_on(given: Given) -> Value:
    """What a class that nobody knows makes of it: the same size, and who knows what else."""
    old = picture(given)
    return msgspec.structs.replace(old, channels=0) if old.channels else old


def empty(given: Given) -> Value:
    return Value(
        side(number(given, "width", 512)),
        side(number(given, "height", 512)),
        batch(number(given, "batch_size", 1)),
    )


def empty_image(given: Given) -> Value:
    return msgspec.structs.replace(empty(given), channels=RGB)


def from_mask(given: Given) -> Value:
    return msgspec.structs.replace(picture(given), channels=RGB)


def mask(given: Given) -> Value:
    return Value(side(number(given, "width", 512)), side(number(given, "height", 512)))


def to_size(given: Given) -> Value:
    return _to_sides(picture(given), number(given, "width"), number(given, "height"))


def _to_sides(old: Value, width: float, height: float) -> Value:
    """In a new size, of which one side may be 0: it follows from the other."""
    if not width and not height:
        return old
    return old.sized(
        width or old.width * height / max(1, old.height),
        height or old.height * width / max(1, old.width),
    )


def by_factor(given: Given) -> Value:
    old = picture(given)
    factor = number(given, "scale_by", number(given, "scale_factor", 1.0))
    return old.sized(old.width * factor, old.height * factor)


def by_model(given: Given) -> Value:
    old = picture(given)
    return old.sized(old.width * 4, old.height * 4)


def to_pixels(given: Given) -> Value:
    old = picture(given)
    wanted = max(0.0, number(given, "megapixels", 1.0)) * 1024 * 1024
    factor = math.sqrt(wanted / max(1, old.width * old.height))
    step = max(1, int(number(given, "resolution_steps", 1)))
    return old.sized(
        round(old.width * factor / step) * step, round(old.height * factor / step) * step
    )


def to_longest(given: Given) -> Value:
    old = picture(given)
    factor = number(given, "largest_size", 512) / max(1, old.width, old.height)
    return old.sized(old.width * factor, old.height * factor)


def resized(given: Given) -> Value:
    old = value_of(given, "input")
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
    other = value_of(given, "resize_type.match")
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


def to_edge(given: Given) -> Value:
    """Longer or shorter edges of a wanted length; parts of pixels are cut off."""
    old = picture(given)
    if not old.width:
        return old
    longer = "longer_edge" in given
    wanted = int(number(given, "longer_edge" if longer else "shorter_edge", 512))
    if (old.width > old.height) == longer:
        return old.sized(wanted, int(old.height * (wanted / old.width)))
    return old.sized(int(old.width * (wanted / old.height)), wanted)


def to_target(given: Given) -> Value:
    return picture(given).sized(number(given, "target_width"), number(given, "target_height"))


def to_preferred(given: Given) -> Value:
    old = picture(given)
    ratio = old.width / max(1, old.height)
    width, height = min(_KONTEXT_SIZES, key=lambda size: abs(ratio - size[0] / size[1]))
    return old.sized(width, height)


def with_alpha(given: Given) -> Value:
    return msgspec.structs.replace(picture(given), channels=RGBA)


def without_alpha(given: Given) -> Value:
    return msgspec.structs.replace(picture(given), channels=RGB)


def cropped(given: Given) -> Value:
    old = picture(given)
    return old.sized(
        min(old.width or SIDE_MAX, number(given, "width", old.width)),
        min(old.height or SIDE_MAX, number(given, "height", old.height)),
    )


def mask_cropped(given: Given) -> Value:
    """A region of a mask; one that begins outside of it is nothing, which a fake does not show."""
    old = picture(given)
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


def image_cropped(given: Given) -> Value:
    places = (number(given, name) for name in "xy")
    sides = (number(given, name, 512) for name in ("width", "height"))
    return _cut_out(picture(given), *places, *sides)


def region(given: Given) -> Value:
    box = given.get("crop_region")
    region = box.literal if isinstance(box, Value) and isinstance(box.literal, Mapping) else {}
    return _cut_out(
        picture(given),
        *(region.get(name, 0) for name in "xy"),
        *(region.get(name, 512) for name in ("width", "height")),
    )


def padded(given: Given) -> Sequence[Value]:
    old = picture(given)
    new = old.sized(
        old.width + number(given, "left") + number(given, "right"),
        old.height + number(given, "top") + number(given, "bottom"),
    )
    return [new, msgspec.structs.replace(new, batch=1)]  # one mask for all pictures


def composed(given: Given) -> Value:
    pictures = [one for one in given.values() if isinstance(one, Value) and one.width]
    fewest = min((one.batch for one in pictures), default=1)
    return msgspec.structs.replace(picture(given), batch=fewest)


def joined(given: Given) -> Value:
    pictures = [one for one in given.values() if isinstance(one, Value) and one.width]
    first = pictures[0] if pictures else NOTHING
    channels = first.channels if len({one.channels for one in pictures}) == 1 else 0
    total = sum(one.batch for one in pictures)
    return msgspec.structs.replace(first, batch=batch(total), channels=channels)


def repeated(given: Given) -> Value:
    old = picture(given)
    return msgspec.structs.replace(old, batch=batch(old.batch * number(given, "amount", 1)))


def taken(given: Given) -> Value:
    old = picture(given)
    first = int(number(given, "batch_index"))
    first = max(0, min(old.batch - 1, first + old.batch if first < 0 else first))
    length = max(1, min(old.batch - first, int(number(given, "length", 1))))
    return msgspec.structs.replace(old, batch=length)


def same_literal(given: Given) -> Value:
    return value_of(given, "value")


def switched(given: Given) -> Value:
    switch = given.get("switch")
    on = isinstance(switch, Value) and bool(switch.literal)
    return value_of(given, "on_true" if on else "on_false")


def shown_text(given: Given) -> Value:
    return Value(literal=previewed(given.get("source")), known=True)


def measured(given: Given) -> Sequence[Value]:
    seen = picture(given)
    sizes = (seen.width, seen.height, seen.batch)
    return [Value(literal=size, known=True) for size in sizes]


def turned(given: Given) -> Value:
    old, angle = picture(given), str(literal(given, "rotation"))
    return old.sized(old.height, old.width) if angle.startswith(("90", "270")) else old


# --- lists -------------------------------------------------------------------------------------


def counted(given: Given, one: Value) -> list[Value]:
    """Nodes that fan out by a number name that number ``count``."""
    return [one] * max(0, min(ITEMS_MAX, int(number(given, "count", 1))))


def rebatched(given: Given, one: Value) -> list[Value]:
    """A batch in parts of a wanted size."""
    size = max(1, int(number(given, "batch_size", 1)))
    total = max(1, one.batch)
    parts = [min(size, total - start) for start in range(0, total, size)]
    return [msgspec.structs.replace(one, batch=part) for part in parts]
