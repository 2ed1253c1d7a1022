"""Write a recording for other tools: perfetto, otlp, har, jsonl or csv; or many as tables.

With --to parquet the first name is the folder that gets the tables, all others are cassettes or
folders of them; what the folder has already is not read again. Needs the extra 'tables'.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from comfyrec.cassette.files import find_cassette, write_file
from comfyrec.cassette.har.write import to_har
from comfyrec.cli.terminal.output import opened, refuse_source, said, tool
from comfyrec.cli.terminal.reading import read_story
from comfyrec.errors import UsageError
from comfyrec.show.export.otlp import otlp_lines
from comfyrec.show.export.perfetto import perfetto_trace
from comfyrec.show.export.tables import csv_lines, moment_rows
from comfyrec.show.text import bytes_in_words
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import Story

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec export``."""
    parser.add_argument(
        "file",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="a cassette, or the name of a bundled one; for parquet: DIR FILE...",
    )
    parser.add_argument("--to", required=True, choices=FORMATS, help="what to write")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: standard output, as text"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="parquet: files read at once (cores)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write it, as far as the recording can be read."""
    if arguments.to == "parquet":
        return _parquet(arguments)
    if len(arguments.file) > 1:
        raise UsageError(f"--to {arguments.to} writes one recording; name one, or use parquet")
    name = arguments.file[0]
    if arguments.output is None and arguments.to in _FOR_FILES and sys.stdout.isatty():
        raise UsageError(
            f"--to {arguments.to} {_FOR_FILES[arguments.to]}; name a file with "
            f"-o {Path(name).stem}{_ENDS[arguments.to]}"
        )
    if arguments.output is not None:
        refuse_source(arguments.output, find_cassette(name))
    if arguments.to == "har":
        data, status = _har(name)
    else:
        timeline, story, reader = read_story(name)
        data, status = _OF_STORY[arguments.to](timeline, story), said(reader, "export")
    if arguments.output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return status
    write_file(arguments.output, data, overwrite=arguments.overwrite)
    print(f"wrote {arguments.output} ({bytes_in_words(len(data))})")
    return status


def _parquet(arguments: argparse.Namespace) -> int:
    from comfyrec.cli._tables import export_tables

    folder, *files = arguments.file
    if arguments.output is not None or arguments.overwrite:
        raise UsageError("--to parquet adds to its folder; leave -o and --overwrite away")
    if not files:
        named = (folder, "FILES") if folder.is_dir() or not folder.exists() else ("DIR", folder)
        raise UsageError(
            f"--to parquet needs a folder for the tables first, and then cassettes; write "
            f"'comfyrec export --to parquet {shlex.quote(str(named[0]))} {named[1]}'"
        )
    return export_tables(folder, files, jobs=arguments.jobs)


def _har(name: Path) -> tuple[bytes, int]:
    with opened(name) as reader:
        har = to_har(reader, tool=tool())
        return json.dumps(har, ensure_ascii=True).encode(), said(reader, "export")


def _otlp(timeline: Timeline, story: Story) -> bytes:
    lines = [json.dumps(request) for request in otlp_lines(timeline, story, tool=tool())]
    return "".join(f"{line}\n" for line in lines).encode()


def _jsonl(timeline: Timeline, story: Story) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in moment_rows(timeline)).encode()


def _csv(timeline: Timeline, story: Story) -> bytes:
    return "".join(csv_lines(timeline)).encode("utf-8", "replace")


_OF_STORY: Final[dict[str, Callable[[Timeline, Story], bytes]]] = {
    "perfetto": perfetto_trace,
    "otlp": _otlp,
    "jsonl": _jsonl,
    "csv": _csv,
}
_FOR_FILES: Final = {
    "perfetto": "writes bytes, which a terminal does not show",
    "har": "writes a single line, which no person can read",
}
_ENDS: Final = {"perfetto": ".pftrace", "har": ".har"}
FORMATS: Final = (*_OF_STORY, "har", "parquet")
"""What ``--to`` takes; HAR is made of the records, the others of their story."""
