"""Say what a cassette still tells of people, machines and prompts; exit 1 if it holds a secret."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from comfyrec.cassette.records import AnyRecord
from comfyrec.cassette.redact.whole_cassette import PERHAPS, Finding, Records, findings_in
from comfyrec.cli import FAILED
from comfyrec.cli._parser import add_cassette
from comfyrec.cli._redaction_flags import known_secrets
from comfyrec.cli.terminal.output import opened, safe, said
from comfyrec.wording import joined, plural

__all__ = ["add_arguments", "lines_of", "records_of", "run"]

_WIDTH: Final = 80
_NAMES_SHOWN: Final = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec scan``."""
    add_cassette(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object for each place")


def run(arguments: argparse.Namespace) -> int:
    """Print what is told, by place; values are not shown."""
    found = findings_in(records_of(arguments.file), known_secrets())
    with opened(arguments.file) as reader:
        for _ in reader:
            continue
        status = said(reader, "scan")
    if arguments.json:
        for one in found:
            print(msgspec.json.encode(one._asdict()).decode())
    else:
        print("\n".join(lines_of(found)))
    return FAILED if any(one.redaction == "secret" for one in found) else status


def records_of(name: Path) -> Records:
    """All records of a cassette that can be read, as often as they are asked for."""

    def records() -> Iterator[AnyRecord]:
        with opened(name) as reader:
            yield from reader

    return records


def lines_of(found: list[Finding]) -> list[str]:
    """A table, and one sentence about all of it."""
    lines = [_line(one) for one in found]
    secrets = sum(one.times for one in found if one.redaction == "secret")
    unsure = sorted({name for one in found if one.redaction == PERHAPS for name in one.names})
    told = sum(one.times for one in found if one.redaction not in ("secret", PERHAPS))
    if secrets:
        lines.append(
            f"{plural(secrets, 'record')} with secrets; 'comfyrec redact' takes them out, and "
            f"who may have seen them should make new ones"
        )
    elif told:
        lines.append(f"no secrets; {plural(told, 'place')} that tell something, as above")
    elif not unsure:
        lines.append("nothing is told: no secrets, no identity, no content")
    if unsure:
        flags = " ".join(f"--redact-header {name}" for name in unsure)
        lines.append(
            f"what stands in {joined(unsure, 'and')} looks like a credential, and only you know "
            f"whether it is one; 'comfyrec redact {flags}' takes it out"
        )
    return lines


def _line(one: Finding) -> str:
    names = ", ".join(one.names[:_NAMES_SHOWN]) + (", ..." if len(one.names) > _NAMES_SHOWN else "")
    row = f"{one.redaction:<9}{one.kind:<9}{one.times:>6}  {one.place}"
    row = f"{row}: {names}" if names else row
    return safe(row if len(row) <= _WIDTH else row[: _WIDTH - 3] + "...")
