"""Write a redacted copy of a cassette: stand-ins for people, machines, prompts and pictures."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from comfyrec.cassette.files import same_file, write_cassette, write_file
from comfyrec.cassette.records import AnyRecord
from comfyrec.cassette.redact.pseudonyms.standins import StandIns
from comfyrec.cassette.redact.redactor import Redactor, check_classes
from comfyrec.cassette.redact.whole_cassette import redacted_recording
from comfyrec.cassette.repair import mended
from comfyrec.cli._parser import add_cassette
from comfyrec.cli._redaction_flags import (
    add_classes_flag,
    add_header_flag,
    checked_headers,
    known_secrets,
)
from comfyrec.cli.terminal.output import opened, said, tell
from comfyrec.errors import UsageError
from comfyrec.wording import plural

__all__ = ["add_arguments", "run"]

_MAP_FORMAT: Final = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec redact``."""
    add_cassette(parser)
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="FILE", help="the new cassette"
    )
    add_classes_flag(
        parser, "what to replace in addition to secrets: identity or content (default: both)"
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="WHAT",
        help="what stays: identity, content, or kinds of them, as in pixels,name,host",
    )
    parser.add_argument(
        "--map",
        type=Path,
        metavar="FILE",
        help="a private file of values and their stand-ins: written, and used again if it is there",
    )
    add_header_flag(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(arguments: argparse.Namespace) -> int:
    """Write the new cassette; exit 3 if part of the old one could not be read."""
    for name, path in (("--output", arguments.output), ("--map", arguments.map)):
        if path is not None and same_file(arguments.file, path):
            raise UsageError(f"{name} {path} is the cassette itself; give another name")
    redactor = Redactor(
        known_secrets(),
        classes=check_classes(arguments.redact or ("identity", "content")),
        keep=arguments.keep,
        headers=checked_headers(arguments.redact_header),
    )
    others = redactor.pseudonymizer
    if arguments.map is not None and others is not None and arguments.map.exists():
        others.substitutes.take(_rows(arguments.map))
    with opened(arguments.file) as reader:
        for _ in reader:
            continue
        status = said(reader, "redact")

    def records() -> Iterator[AnyRecord]:
        with opened(arguments.file) as again:
            yield from mended(again)

    write_cassette(
        arguments.output, redacted_recording(records, redactor), overwrite=arguments.overwrite
    )
    for _, what in redactor.take_unread():
        tell("redact", f"{arguments.file}: {what} could not be looked into and were blanked")
    table = others.substitutes.table if others is not None else StandIns()
    if arguments.map is not None:
        write_file(arguments.map, _map(table), overwrite=True)
    print(f"{arguments.output}: {plural(len(table), 'value')} of {arguments.file} replaced")
    return status


class _Row(msgspec.Struct):
    kind: str
    value: str
    standin: str


class _Map(msgspec.Struct):
    comfyrec_map: int
    standins: list[_Row]


def _rows(path: Path) -> list[tuple[str, str, str]]:
    try:
        read = msgspec.json.decode(path.read_bytes(), type=_Map)
    except OSError as error:
        raise UsageError(f"--map {path} cannot be read ({error.strerror})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as why:
        raise UsageError(
            f"--map {path} is not a map of stand-ins ({why}); give another name"
        ) from None
    if read.comfyrec_map != _MAP_FORMAT:
        raise UsageError(f"--map {path} is of another version of comfyrec; give another name")
    rows = [(row.kind, row.value, row.standin) for row in read.standins]
    try:
        StandIns().take(rows)
    except ValueError as why:
        raise UsageError(f"--map {path} does not fit: {why}; give another name") from None
    return rows


def _map(table: StandIns) -> bytes:
    rows: list[dict[str, Any]] = [
        {"kind": kind, "value": value, "standin": standin} for kind, value, standin in table.items()
    ]
    told = {"comfyrec_map": _MAP_FORMAT, "standins": rows}
    return msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n"
