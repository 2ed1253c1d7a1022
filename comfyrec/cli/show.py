"""Tell the story of a cassette: its prompts as bars, then what happened, in order."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from comfyrec.cassette.files import Tail, find_cassette
from comfyrec.cli import DAMAGED, FINE
from comfyrec.cli._growth import growth_of
from comfyrec.cli._parser import add_cassette
from comfyrec.cli.terminal.drawing import draw, on_a_terminal, terminal_width
from comfyrec.cli.terminal.filters import add_filters, selection_of
from comfyrec.cli.terminal.output import PROBLEMS_SHOWN, Lines, safe_json, said, tell
from comfyrec.cli.terminal.reading import read_story
from comfyrec.show.narrative import Following, narrative
from comfyrec.show.selection import Selection
from comfyrec.timeline.live import Live
from comfyrec.timeline.moments import moments_of

__all__ = ["add_arguments", "run"]

PATIENCE_S: Final = 2.0
"""How long nothing may happen to a file before it is looked at all the same."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec show``."""
    add_cassette(parser)
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
            moments = moments_of(timeline)
            selection.check(moments, timeline)
            if not selection.of(moments, timeline):
                tell("show", f"{reader.path}: {selection.nothing_fits(moments)}")
        width = terminal_width() if on_a_terminal() else 80
        draw(narrative(timeline, story, selection=selection, every_frame=arguments.frames,
                       width=width))  # fmt: skip
    return said(reader, "show")


def _follow(name: Path, selection: Selection) -> int:
    """Print what is new each time the file has grown, until the recording ends."""
    path = find_cassette(name)
    tail, live = Tail(path), Live()
    following = Following(live, selection)
    shown = 0
    with closing(tail), growth_of(Path(path)) as growth:
        while True:
            told = [told for record in tail.more() for told in live.take(record)]
            if tail.ended:
                told += live.finish()
            lines = list(following.lines(told))
            draw(lines)
            shown += len(lines)
            if tail.ended:
                break
            growth.wait(PATIENCE_S)
    if not (shown or selection.everything):
        tell("show", f"{path}: nothing has fitted {selection.in_words()}")
    for problem in tail.problems[:PROBLEMS_SHOWN]:
        tell("show", problem)
    return DAMAGED if tail.problems else FINE
