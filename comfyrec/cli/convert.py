"""Convert a cassette, a capture or a HAR file to another encoding, or a workflow to a prompt."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from comfyrec.cassette import capture, har
from comfyrec.cassette.files import (
    Encoding,
    find_cassette,
    is_cassette,
    open_cassette,
    read_lines,
    read_start,
    same_file,
    write_cassette,
    write_file,
)
from comfyrec.cassette.records import AnyRecord, Session
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.cassette.repair import mended
from comfyrec.cli import FINE
from comfyrec.cli.terminal.output import said, tool
from comfyrec.errors import NotACassette, UsageError

__all__ = ["add_arguments", "run"]

_KINDS = {".crec": "packed", ".jsonl": "jsonl", ".har": "har", ".json": "prompt"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec convert``."""
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="a cassette, a raw capture, a HAR file, or a workflow",
    )
    parser.add_argument(
        "-o", "--output", required=True, type=Path, metavar="FILE", help="the new file"
    )
    parser.add_argument(
        "--to",
        choices=["packed", "jsonl", "har", "prompt"],
        help="by default what the suffix of the output says: .crec, .jsonl, .har, or .json for a "
        "workflow in API format",
    )
    parser.add_argument(
        "--object-info",
        metavar="FILE",
        help="for workflows: the node classes of your server: a file, a cassette or its URL",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(arguments: argparse.Namespace) -> int:
    """Convert one file; exit 3 if part of it could not be read."""
    kind = arguments.to or _KINDS.get(arguments.output.suffix.lower())
    if kind is None:
        raise UsageError(
            f"--output {arguments.output}: its suffix says no encoding; end it in .crec, .jsonl, "
            f".har or .json, or give --to"
        )
    if kind == "prompt":
        from comfyrec.cli import _workflows

        return _workflows.convert(arguments)
    if arguments.object_info is not None:
        raise UsageError("--object-info is for workflows; leave it out to convert a recording")
    source = find_cassette(arguments.file)
    start = read_start(source)
    if is_cassette(start):
        return _converted(source, arguments, kind)
    if capture.is_capture(start):
        return _imported(source, arguments, kind, _captured)
    if har.is_har(start):
        return _imported(source, arguments, kind, _from_har)
    return _converted(source, arguments, kind)


def _converted(source: str, arguments: argparse.Namespace, kind: str) -> int:
    with open_cassette(source) as reader:
        records: Iterator[AnyRecord] = mended(reader)
        if same_file(source, arguments.output):
            records = _only_whole(records, reader, arguments.output)
        _write(records, arguments, kind)
        return said(reader, "convert")


def _only_whole(records: Iterator[AnyRecord], reader: object, output: Path) -> Iterator[AnyRecord]:
    """Nothing that cannot be read is overwritten: stop before the output takes its place."""
    yield from records
    if getattr(reader, "problems", None):
        raise UsageError(f"{output} is damaged and would be overwritten; give another --output")


def _imported(
    source: str,
    arguments: argparse.Namespace,
    kind: str,
    read: Callable[[str], Iterator[AnyRecord]],
) -> int:
    redactor = Redactor()
    try:
        _write(map(redactor.record, read(source)), arguments, kind)
    except (capture.NotACapture, har.NotAHar) as misfit:
        raise NotACassette(source, str(misfit)) from None
    return FINE


def _captured(source: str) -> Iterator[AnyRecord]:
    return _marked(capture.records_of_capture(read_lines(source), tool=tool()))


def _from_har(source: str) -> Iterator[AnyRecord]:
    return _marked(har.records_of_har(b"".join(read_lines(source)), tool=tool()))


def _marked(records: Iterator[AnyRecord]) -> Iterator[AnyRecord]:
    """Say in the session that secrets were taken out."""
    for record in records:
        known = isinstance(record, Session)
        yield msgspec.structs.replace(record, redacted=("secret",)) if known else record


def _write(records: Iterator[AnyRecord], arguments: argparse.Namespace, kind: str) -> None:
    if kind == "har":
        data = msgspec.json.encode(har.to_har(records, tool=tool()))
        write_file(arguments.output, data + b"\n", overwrite=arguments.overwrite)
        return
    encoding: Encoding = "jsonl" if kind == "jsonl" else "packed"
    write_cassette(arguments.output, records, overwrite=arguments.overwrite, encoding=encoding)
