"""How long core nodes take in a lifelike run."""

from __future__ import annotations

from typing import Final

import msgspec

from fake_server.nodes.behaviour import Given, number
from fake_server.nodes.catalogue import NodeClass

__all__ = ["LIFELIKE", "Pace", "pace_of", "steps_of"]


class Pace(msgspec.Struct, frozen=True):
    """How long a class takes in a lifelike run."""

    seconds: float
    per_step: float = 0.0
    """For samplers: the time of each step, with a preview."""


LIFELIKE: Final[dict[str, Pace]] = {
    "KSampler": Pace(0.05, per_step=0.1),
    "KSamplerAdvanced": Pace(0.05, per_step=0.1),
    "SamplerCustom": Pace(0.05, per_step=0.1),
    "SamplerCustomAdvanced": Pace(0.05, per_step=0.1),
    "CheckpointLoaderSimple": Pace(0.4),
    "UNETLoader": Pace(0.4),
    "DualCLIPLoader": Pace(0.3),
    "CLIPTextEncode": Pace(0.05),
    "VAEDecode": Pace(0.15),
    "VAEEncode": Pace(0.15),
    "ImageUpscaleWithModel": Pace(0.8),
    "SaveImage": Pace(0.08),
    "PreviewImage": Pace(0.04),
}


def pace_of(node_class: NodeClass) -> Pace:
    """The pace of a class: a tenth of a second for what makes pictures, next to none else."""
    known = LIFELIKE.get(node_class.name)
    if known is not None:
        return known
    heavy = any(kind in ("IMAGE", "LATENT", "MASK") for kind in node_class.output)
    return Pace(0.1 if heavy else 0.005)


def steps_of(node_class: NodeClass, given: Given) -> int:
    """How many steps a sampler takes."""
    steps = int(number(given, "steps", 20))
    if node_class.name == "KSamplerAdvanced":
        last = int(number(given, "end_at_step", steps))
        return max(0, min(steps, last) - int(number(given, "start_at_step", 0)))
    return max(1, min(steps, 10_000))
