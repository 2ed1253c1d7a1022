"""The colors of the pages: text stands out by 4.5 to 1 in both themes, bars by 3 to 1 (WCAG AA)."""

from __future__ import annotations

import re

import pytest

from comfyrec.show.page_file import page_files

TEXT, BARS = 4.5, 3.0
GROUNDS = ("bg", "panel")
WRITTEN = ("text", "dim", "accent", "running", "good", "bad", "warn", "client")
DRAWN = ("node", "wait", "http", "client", "picture", "good", "bad", "warn", "accent")
PAIRS = {
    "style.css": [
        *((color, ground, TEXT) for color in WRITTEN for ground in (*GROUNDS, "chosen")),
        *((color, ground, BARS) for color in DRAWN for ground in GROUNDS),
        *(("on-node", bar, TEXT) for bar in ("node", "bad")),
        ("node", "bg", TEXT),  # figures of the inspector
    ],
    "check.css": [
        *((color, "bg", TEXT) for color in ("text", "dim", "link", "good", "bad", "warn")),
        *((color, "panel", TEXT) for color in ("text", "dim", "link", "good", "bad", "warn")),
    ],
    "diff.css": [(color, "bg", TEXT) for color in ("text", "dim", "bad", "warn")],
    "side.css": [(color, "bg", TEXT) for color in ("text", "dim")],
}


def luminance(color: str) -> float:
    """Relative luminance of ``#rgb`` or ``#rrggbb``, as WCAG 2 defines it."""
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("file", PAIRS)
def test_colors_stand_out_in_both_themes(file: str) -> None:
    style = page_files()[file]
    found = re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", style)
    colors = {name: (light, dark) for name, light, dark in found}

    faint = [
        (color, ground, theme, round(contrast(colors[color][place], colors[ground][place]), 2))
        for color, ground, least in PAIRS[file]
        for place, theme in enumerate(("light", "dark"))
        if contrast(colors[color][place], colors[ground][place]) < least
    ]

    assert faint == []


def test_white_on_black_is_the_most_there_is() -> None:
    assert contrast("#fff", "#000000") == pytest.approx(21)
