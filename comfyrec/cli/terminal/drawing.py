"""Styled lines -> standard output: colored and cut on a terminal, plain and whole in a pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from comfyrec.cli.terminal.output import Lines, safe
from comfyrec.show.text import Line

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["draw", "on_a_terminal", "terminal_width"]

_COLORS: Final = {
    "bad": "bold red",
    "good": "green",
    "warn": "yellow",
    "dim": "dim",
    "bold": "bold",
    "node": "cyan",
    "wait": "magenta",
}


def on_a_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()


def terminal_width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def draw(lines: Iterable[Line]) -> None:
    """Print lines; what a terminal may obey in them is escaped."""
    if not on_a_terminal():
        out = Lines()
        for one in lines:
            text = "".join(safe(span.text) for span in one)
            out.add(text.rstrip().encode("utf-8", "backslashreplace"))
        out.flush()
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    width = console.width
    for one in lines:
        console.print(_text(one, width), no_wrap=True, crop=False, overflow="ignore")


def _text(one: Line, width: int) -> Text:
    from rich.text import Text

    text = Text()
    for span in one:
        text.append(safe(span.text), _COLORS.get(span.style, ""))
    text.truncate(width, overflow="ellipsis")
    return text
