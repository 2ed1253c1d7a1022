"""``--view``: the page of what is being recorded, from a process beside the recorder.

Reading and packing rows would hold up the traffic in the recorder's own process. The other one ends
with its standard input, so also when the recorder is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["add_view_flag", "viewed"]

END_S: Final = 5.0
_STDERR: Final = 2


def add_view_flag(parser: argparse.ArgumentParser) -> None:
    """``--view``."""
    parser.add_argument(
        "--view",
        nargs="?",
        const="127.0.0.1:0",
        metavar="HOST:PORT",
        help="meanwhile, serve a live page of the traffic at this address (default: a free "
        "local port)",
    )


@contextlib.contextmanager
def viewed(path: Path | str, address: str | None) -> Iterator[None]:
    """The page of a recording is served as long as the block runs; None: it is not.

    Args:
        path: of the cassette; it is there already.
        address: HOST:PORT.
    """
    if address is None:
        yield
        return
    command = [sys.executable, "-m", "comfyrec", "view", str(path), "--serve", address]
    # Ctrl-C reaches all processes of a terminal; the page stays until the recording is closed.
    page = subprocess.Popen(
        [*command, "--exit-on-stdin-close"],
        stdin=subprocess.PIPE,
        stdout=_STDERR,  # the first line of ours tells programs where to record
        start_new_session=True,
    )
    try:
        yield
    finally:
        assert page.stdin is not None, "it has a pipe"
        page.stdin.close()
        try:
            page.wait(END_S)
        except subprocess.TimeoutExpired:
            page.kill()
            page.wait()
