"""Save the undamaged part of a damaged or truncated cassette as a new one."""

from __future__ import annotations

import argparse
from pathlib import Path

from comfyrec.cassette.files import same_file, write_cassette
from comfyrec.cassette.repair import mended
from comfyrec.cli.terminal.output import opened, said
from comfyrec.cli.terminal.reading import LostRecords
from comfyrec.errors import UsageError
from comfyrec.wording import plural

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec recover``."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the damaged cassette")
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="FILE", help="the new cassette"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(arguments: argparse.Namespace) -> int:
    """Write the new cassette; the old one is never touched. Exit 3 if anything is missing in it."""
    if same_file(arguments.file, arguments.output):
        raise UsageError(f"--output {arguments.output} is the damaged cassette; give another name")
    with opened(arguments.file, beyond_holes=True) as reader:
        lost = LostRecords()
        records = mended(map(lost.seen, reader))
        write_cassette(arguments.output, records, overwrite=arguments.overwrite)
        status = said(reader, "recover")
    state = "the rest could not be read" if status else "nothing was damaged"
    print(f"{arguments.output}: {plural(lost.seen_count, 'record')} of {arguments.file}; {state}")
    return max(status, lost.say(reader.path, "recover"))
