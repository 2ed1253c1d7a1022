"""Compare two recordings: what a client would notice that is new, gone, changed or reordered.

The URL of a running server may take the place of a recording: what the other recording did is done
there again, and between two servers workflows are run. Ids, times and ports do not count. Exit
status 1 if anything differs that is at least as severe as --fail-on says.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from comfyrec.cassette.files import Reader, write_file
from comfyrec.cli import FAILED, FINE
from comfyrec.cli.terminal.drawing import draw
from comfyrec.cli.terminal.output import Lines, safe_json, said, tell
from comfyrec.cli.terminal.reading import read_timeline
from comfyrec.errors import UsageError
from comfyrec.show.diff import SEVERITIES, compare, release_notes
from comfyrec.show.text import bytes_in_words
from comfyrec.timeline import Timeline
from comfyrec.wording import plural

__all__ = ["add_arguments", "run"]

LIMIT_S = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec diff``."""
    parser.add_argument("a", metavar="A", help="before: a path, a name, or the URL of a server")
    parser.add_argument("b", metavar="B", help="after")
    parser.add_argument(
        "--workflow",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="what is run on two servers (default: a small workflow without a model)",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=LIMIT_S,
        metavar="S",
        help="for each prompt on a server (%(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write a page")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing page")
    parser.add_argument(
        "--fail-on",
        choices=(*SEVERITIES, "never"),
        default="informs",
        help="the least severity that makes the exit status 1 (default: informs, so anything)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, and say what differs."""
    before, after, readers = _both(arguments)
    diff = compare(before, after, names=(arguments.a, arguments.b))
    if arguments.html is not None:
        from comfyrec.show.diff_page import diff_html
        from comfyrec.show.page_file import page_files

        page = diff_html(diff, page_files()["diff.css"]).encode()
        write_file(arguments.html, page, overwrite=arguments.overwrite)
    if arguments.json:
        out = Lines()
        out.add(safe_json(msgspec.json.encode(diff)))
        out.flush()
    else:
        draw(release_notes(diff))
        if arguments.html is not None:
            print(f"wrote {arguments.html} ({bytes_in_words(len(page))})")
    damaged = max((said(reader, "diff") for reader in readers), default=FINE)
    failed = arguments.fail_on != "never" and diff.beyond(arguments.fail_on)
    return damaged or (FAILED if failed else FINE)


def _both(arguments: argparse.Namespace) -> tuple[Timeline, Timeline, list[Reader]]:
    """What is compared, and the readers of what was read."""
    a, b = arguments.a, arguments.b
    if not (0 < arguments.timeout < float("inf")):
        raise UsageError(f"--timeout {arguments.timeout:g}: give a number of seconds above 0")
    servers = [which for which in (a, b) if _is_server(which)]
    if arguments.workflow and len(servers) < 2:
        raise UsageError(
            "--workflow is what is run on two servers; with a recording, what that one did is "
            "done again: leave it out"
        )
    if not servers:
        (before, first), (after, second) = read_timeline(a), read_timeline(b)
        return before, after, [first, second]
    from comfyrec.cli._rerecord import done_again, ran

    limit_s = arguments.timeout
    if len(servers) == 2:
        workflows = _workflows(arguments.workflow)
        for which in servers:
            tell("diff", f"running {plural(len(workflows), 'workflow')} twice on {which}")
        return ran(a, workflows, limit_s=limit_s), ran(b, workflows, limit_s=limit_s), []
    tell("diff", f"doing again on {servers[0]} what was recorded")
    if _is_server(b):
        before, reader = read_timeline(a)
        return before, done_again(b, before, limit_s=limit_s), [reader]
    after, reader = read_timeline(b)
    return done_again(a, after, limit_s=limit_s), after, [reader]


def _is_server(which: str) -> bool:
    return which.startswith(("http://", "https://"))


def _workflows(paths: Sequence[Path]) -> list[Mapping[str, Any]]:
    from comfyrec.cli._rerecord import WORKFLOW

    if not paths:
        return [WORKFLOW]
    return [_workflow(path) for path in paths]


def _workflow(path: Path) -> Mapping[str, Any]:
    from comfyrec.client import workflow

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--workflow {path}: {error.strerror}; check the name") from None
    return workflow.read(data, where=str(path)).graph
