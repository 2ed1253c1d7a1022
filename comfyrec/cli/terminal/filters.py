"""The filters that ``show`` and ``cat`` share, as flags."""

from __future__ import annotations

import argparse
import re

from comfyrec.errors import UsageError
from comfyrec.show.selection import Selection, microseconds

__all__ = ["add_filters", "selection_of"]


def add_filters(parser: argparse.ArgumentParser) -> None:
    """``--prompt`` and the others. All that are given have to fit; each may be repeated."""
    filters = parser.add_argument_group("filters")
    for flag, metavar, text in (
        ("--prompt", "ID", "a prompt, by the beginning of its id, or #1, #2, ..."),
        ("--connection", "CONN", "the number of a connection, or the name of a client"),
        ("--type", "TYPE", "an event type, method or status; * and ? stand for any letters"),
        ("--node", "NODE", "a node id or a class"),
    ):
        filters.add_argument(flag, action="append", default=[], metavar=metavar, help=text)
    filters.add_argument("--since", metavar="TIME", help="since the start: 2.5s, 800ms, 3min")
    filters.add_argument("--until", metavar="TIME", help="the same, for the end")
    filters.add_argument("--grep", metavar="REGEX", help="what is said, as a regular expression")


def selection_of(arguments: argparse.Namespace) -> Selection:
    """The filters that were given.

    Raises:
        UsageError: one of them cannot be used.
    """
    since, until = (
        None if text is None else microseconds(text, flag)
        for text, flag in ((arguments.since, "--since"), (arguments.until, "--until"))
    )
    if since is not None and until is not None and since > until:
        raise UsageError(
            f"--since {arguments.since} is later than --until {arguments.until}; swap them"
        )
    return Selection(
        prompts=tuple(arguments.prompt),
        connections=tuple(arguments.connection),
        types=tuple(arguments.type),
        nodes=tuple(arguments.node),
        since_us=since,
        until_us=until,
        grep=None if arguments.grep is None else _pattern(arguments.grep),
    )


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as wrong:
        raise UsageError(
            f"--grep {text!r} is not a regular expression ({wrong}); put \\ before signs that "
            f"are meant as they are"
        ) from None
