"""Save the undamaged part of a damaged or truncated cassette as a new one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from comfyrec.cassette.files import same_file, write_cassette
from comfyrec.cassette.records import AnyRecord
from comfyrec.cassette.repair import mended
from comfyrec.cli import FINE
from comfyrec.cli.terminal.output import opened, said
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
    """Write the new cassette; the old one is never touched."""
    if same_file(arguments.file, arguments.output):
        raise UsageError(f"--output {arguments.output} is the damaged cassette; give another name")
    with opened(arguments.file, beyond_holes=True) as reader:
        records = 0

        def counted() -> Iterator[AnyRecord]:
            nonlocal records
            for record in reader:
                records += 1
                yield record

        write_cassette(arguments.output, mended(counted()), overwrite=arguments.overwrite)
        said(reader, "recover")
    state = "nothing was damaged" if not reader.problems else "the rest could not be read"
    print(f"{arguments.output}: {plural(records, 'record')} of {arguments.file}; {state}")
    return FINE
