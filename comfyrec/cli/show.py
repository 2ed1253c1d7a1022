"""Tell the story of a cassette: its prompts as bars, then what happened, in order."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

import msgspec

from comfyrec.cassette.files import open_cassette
from comfyrec.cassette.files.bundled_cassettes import find_cassette
from comfyrec.cli import FINE
from comfyrec.cli.terminal.drawing import draw, on_a_terminal, terminal_width
from comfyrec.cli.terminal.filters import add_filters, selection_of
from comfyrec.cli.terminal.output import Lines, safe_json, said
from comfyrec.cli.terminal.reading import read_story
from comfyrec.errors import CutOff
from comfyrec.show.narrative import narrative, rows
from comfyrec.show.selection import Selection
from comfyrec.timeline import Timeline
from comfyrec.timeline.moments import moments_of
from comfyrec.timeline.story import tell

__all__ = ["add_arguments", "run"]

_PATIENCE_S: Final = 0.25
_SHARE: Final = 10
"""Following takes at most one part in so many of the time: reading a long recording anew costs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec show``."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a path or a name")
    parser.add_argument("--frames", action="store_true", help="a line for every frame")
    parser.add_argument("--json", action="store_true", help="the story as one JSON object")
    parser.add_argument(
        "--follow", action="store_true", help="follow a recording while it grows (Ctrl-C ends it)"
    )
    add_filters(parser)


def run(arguments: argparse.Namespace) -> int:
    """Tell the story, as far as the file can be read."""
    selection = selection_of(arguments)
    if arguments.follow:
        return _follow(arguments.file, selection)
    timeline, story, reader = read_story(arguments.file)
    if arguments.json:
        out = Lines()
        out.add(safe_json(msgspec.json.encode(story)))
        out.flush()
    else:
        if not selection.everything:
            selection.check(moments_of(timeline), timeline)
        width = terminal_width() if on_a_terminal() else 80
        draw(narrative(timeline, story, selection=selection, every_frame=arguments.frames,
                       width=width))  # fmt: skip
    return said(reader, "show")


def _follow(name: Path, selection: Selection) -> int:
    """Print what is new each time the file has grown, until the recording ends."""
    path, told, size = Path(find_cassette(name)), 0, -1
    while True:
        grown = path.stat().st_size
        if grown == size:
            time.sleep(_PATIENCE_S)
            continue
        began, size = time.monotonic(), grown
        told, ended = _tell_on(path, selection, told)
        if ended:
            return FINE
        time.sleep(max(_PATIENCE_S, (time.monotonic() - began) * _SHARE))


def _tell_on(path: Path, selection: Selection, told: int) -> tuple[int, bool]:
    """Print the moments behind the first ``told``; how many there are now, and whether it ended."""
    with open_cassette(path) as reader:
        timeline = Timeline.build(reader)
        ended = not any(isinstance(problem, CutOff) for problem in reader.problems)
    story = tell(timeline, whole=ended)
    moments = moments_of(timeline)
    news = selection.of(moments[told:], timeline) if len(moments) > told else []
    draw(rows(timeline, story, news, every_frame=True, earlier=moments[:told]))
    return len(moments), ended
