"""How core nodes fail on a picture of another shape than they can use: inputs -> an exception."""

from __future__ import annotations

from fake_server.nodes import sizes
from fake_server.nodes.values import (
    RGB,
    Given,
    NodeFailed,
    Value,
    literal,
    number,
    picture,
    value_of,
)

__all__ = ["cannot_be_joined", "cannot_be_mirrored", "cannot_be_scaled", "lacks_alpha"]


def lacks_alpha(given: Given) -> NodeFailed | None:
    if literal(given, "channel") != "alpha" or value_of(given, "image").channels != RGB:
        return None
    return NodeFailed("IndexError", "index 3 is out of bounds for dimension 3 with size 3")


def cannot_be_scaled(given: Given) -> NodeFailed | None:
    method = literal(given, "upscale_method")
    if literal(given, "crop") != "center" or method == "lanczos":
        return None
    return _cut_to_nothing(picture(given), sizes.to_size(given), by_area=method == "area")


def cannot_be_joined(given: Given) -> NodeFailed | None:
    first, second = value_of(given, "image1"), value_of(given, "image2")
    return _cut_to_nothing(second, first) if first.width and second.width else None


def cannot_be_mirrored(given: Given) -> NodeFailed | None:
    """Filters mirror the edges of a picture, which has to be bigger than what they mirror."""
    old = picture(given)
    radius = int(number(given, "blur_radius", number(given, "sharpen_radius")))
    if not old.width or not old.height or radius < min(old.width, old.height):
        return None
    argument, dimension = (4, 3) if radius >= old.width else (6, 2)
    said = (
        f"Argument #{argument}: Padding size should be less than the corresponding input "
        f"dimension, but got: padding ({radius}, {radius}) at dimension {dimension} of input "
        f"{[old.batch, old.channels or RGB, old.height, old.width]}"
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
        sizes = [old.batch, old.channels or RGB, height, width]
        said = (
            "adaptive_avg_pool2d(): Expected input to have non-zero size for non-batch "
            f"dimensions, but input has sizes {sizes} with dimension {sizes.index(0)} being empty"
        )
    return NodeFailed("RuntimeError", said)
