"""``--timing`` and ``--workers``: nodes take as long as recorded ones, on a number of servers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from comfyrec.cli._ready import whereabouts
from comfyrec.errors import UsageError
from comfyrec.testing.handle import ComfyUI
from comfyrec.timing import Timing

__all__ = ["add_timing_flags", "other_workers", "timing_options", "what_is_where"]


def add_timing_flags(add: Any) -> None:
    """``--timing`` and ``--workers``.

    Args:
        add: ``add_argument`` of a parser or group.
    """
    add(
        "--timing",
        type=Path,
        metavar="FILE",
        help="nodes take as long as 'comfyrec learn-timing' has learned from recordings",
    )
    add(
        "--workers",
        default="1",
        metavar="N",
        help="simulated workers for --tasks; with --timing, the number of servers, on "
        "consecutive ports from --port on (%(default)s)",
    )


def timing_options(file: Path) -> dict[str, Any]:
    """What a timing file says, as fields of ``ServerOptions``.

    Raises:
        UsageError: it cannot be read, or is not a timing file.
    """
    try:
        data = file.read_bytes()
    except OSError as wrong:
        raise UsageError(f"--timing {file} cannot be read: {wrong.strerror}") from None
    timing = Timing.read(data, f"--timing {file}")
    return {"timing": timing, "worker_delay_us": timing.idle_wait_us}


def other_workers(arguments: argparse.Namespace) -> Iterator[ComfyUI]:
    """The other servers of a fleet, each with ids and chances of its own.

    Raises:
        ComfyrecError: a port is taken.
    """
    if arguments.timing is None or arguments.tasks:
        return
    for number in range(1, arguments.workers):
        port = arguments.port + number if arguments.port else 0
        yield arguments.again(port, (arguments.seed + number) % 2**64)


def what_is_where(servers: Sequence[ComfyUI], sentence: str, form: str) -> str:
    """What programs (``json``) or people (``text``) read when all are ready.

    Args:
        servers: the first is the one that ``sentence`` is about.
        sentence: what is where, of the first.
        form: of ``--print``.
    """
    urls = [one.url for one in servers]
    if form == "json":
        about = whereabouts(servers[0].handle)
        return json.dumps({**about, "urls": urls} if urls[1:] else about)
    return f"{sentence}; other workers at {', '.join(urls[1:])}" if urls[1:] else sentence
