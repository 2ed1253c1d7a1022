"""Binary frames whose header is cut off, has a wrong length, or names an unknown format."""

from __future__ import annotations

import struct
from typing import Annotated

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    inject,
    one_of,
    some_node,
    threads,
)

FRAMES = {
    "short": b"\x00\x00",
    "format=0": struct.pack(">II", 1, 0) + b"pixels",
    "format=3": struct.pack(">II", 1, 3) + b"pixels",
    "len>frame": struct.pack(">II", 4, 1 << 30) + b"{}",
    "empty": b"",
}


class PreviewHeaderOddParameters(Parameters, frozen=True, kw_only=True):
    """Which of them."""

    odd: tuple[Annotated[str, one_of(FRAMES)], ...] = tuple(FRAMES)


def direct(settings: PreviewHeaderOddParameters) -> Directions:
    frames = [FRAMES[name] for name in settings.odd]
    return Directions(operators=(inject(frames, "odd binary frames", at=some_node),))


SCENARIO = Scenario(
    name="preview-header-odd",
    row="A47",
    category="binary",
    summary=__doc__,
    correct="skips what it cannot read, and goes on",
    keeps=("K6",),
    evidence=threads("FE#3761"),
    settings=PreviewHeaderOddParameters,
    direct=direct,
    shows_on=("cloud",),
)
