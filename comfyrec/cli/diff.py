"""Compare two recordings: what a client would notice that is new, gone, changed or reordered.

Ids, times and ports do not count. Exit status 1 if anything differs that is at least as severe as
--fail-on says.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from comfyrec.cli import FAILED, FINE
from comfyrec.cli.terminal.drawing import draw
from comfyrec.cli.terminal.output import Lines, safe_json, said
from comfyrec.cli.terminal.reading import read_timeline
from comfyrec.show.diff import SEVERITIES, compare, release_notes

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec diff``."""
    parser.add_argument("a", type=Path, metavar="A", help="the recording before: a path or a name")
    parser.add_argument("b", type=Path, metavar="B", help="the recording after")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--fail-on",
        choices=(*SEVERITIES, "never"),
        default="informs",
        help="the least severity that makes the exit status 1 (default: informs, so anything)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, and say what differs."""
    (before, a), (after, b) = read_timeline(arguments.a), read_timeline(arguments.b)
    diff = compare(before, after, names=(str(arguments.a), str(arguments.b)))
    if arguments.json:
        out = Lines()
        out.add(safe_json(msgspec.json.encode(diff)))
        out.flush()
    else:
        draw(release_notes(diff))
    damaged = max(said(a, "diff"), said(b, "diff"))
    failed = arguments.fail_on != "never" and diff.beyond(arguments.fail_on)
    return damaged or (FAILED if failed else FINE)
