"""Convert a cassette, a capture or a HAR file to another encoding, or a workflow to a prompt."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from comfyrec.cassette import import_capture
from comfyrec.cassette.files import (
    Encoding,
    find_cassette,
    is_cassette,
    read_lines,
    read_start,
    same_file,
    write_cassette,
    write_file,
)
from comfyrec.cassette.har.read import HarImport, NotAHar, is_har
from comfyrec.cassette.har.write import to_har
from comfyrec.cassette.records import AnyRecord, Session
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.cassette.repair import mended
from comfyrec.cli import DAMAGED, FINE
from comfyrec.cli._redaction_flags import add_header_flag, checked_headers, known_secrets
from comfyrec.cli.terminal.output import opened, safe, said, tell, tool
from comfyrec.errors import NotACassette, UsageError
from comfyrec.show.text import bytes_in_words
from comfyrec.wording import plural

__all__ = ["add_arguments", "run"]

_ZIP = b"PK\x03\x04"
_ARCHIVED_BYTES_MAX = 1 << 30
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
    parser.add_argument(
        "--host",
        metavar="HOST[:PORT]",
        help="for HAR: whose entries to take (default: those of the host that speaks ComfyUI)",
    )
    add_header_flag(parser, of="for captures and HAR files: ")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(arguments: argparse.Namespace) -> int:
    """Convert one file; exit 3 if part of it could not be read."""
    kind = arguments.to or _KINDS.get(arguments.output.suffix.lower())
    if kind is None:
        raise UsageError(
            f"--output {arguments.output}: its suffix says no encoding; end it in .crec, .jsonl, "
            f".har or .json, or give --to"
        )
    headers = checked_headers(arguments.redact_header)
    if kind == "prompt":
        from comfyrec.cli import _workflows

        if arguments.host is not None:
            raise UsageError("--host is for HAR files; leave it out to convert a workflow")
        _refuse_header_flag(arguments, "a workflow has no header fields; leave it out")
        _refuse_recording(arguments)
        return _workflows.convert(arguments)
    if arguments.object_info is not None:
        raise UsageError("--object-info is for workflows; leave it out to convert a recording")
    source = find_cassette(arguments.file)
    start = read_start(source)
    if is_cassette(start):
        return _converted(source, arguments, kind)
    redactor = Redactor(known_secrets(), headers=headers)
    if import_capture.is_capture(start):
        return _imported(source, arguments, kind, redactor)
    if is_har(start) or start.startswith(_ZIP):
        return _from_har(source, arguments, kind, redactor)
    return _converted(source, arguments, kind)


def _refuse_recording(arguments: argparse.Namespace) -> None:
    """A recording does not become a prompt."""
    if arguments.file.is_file() and is_cassette(read_start(str(arguments.file))):
        raise UsageError(
            f"{arguments.file} is a recording, which does not become a workflow; "
            f"end --output in .jsonl, .crec or .har"
        )


def _refuse_header_flag(arguments: argparse.Namespace, why: str) -> None:
    """Nobody shall think that a secret was taken out where nothing is."""
    if arguments.redact_header:
        raise UsageError(f"--redact-header {arguments.redact_header[0]}: {why}")


def _converted(source: str, arguments: argparse.Namespace, kind: str) -> int:
    _refuse_header_flag(
        arguments,
        f"a cassette is converted as it is; 'comfyrec redact {shlex.quote(source)} "
        f"--redact-header {''.join(arguments.redact_header[:1])}' takes it out",
    )
    with opened(source, of_workflow="end --output in .json to convert it") as reader:
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


def _imported(source: str, arguments: argparse.Namespace, kind: str, redactor: Redactor) -> int:
    records = import_capture.records_of_capture(read_lines(source), tool=tool())
    try:
        _write(_redacted(records, redactor), arguments, kind)
    except import_capture.NotACapture as why:
        raise NotACassette(source, str(why)) from None
    return FINE


def _from_har(source: str, arguments: argparse.Namespace, kind: str, redactor: Redactor) -> int:
    """Convert a HAR file; exit 3 if it does not hold all that it tells of."""
    data, attached = _archive(source) if read_start(source).startswith(_ZIP) else _plain(source)
    try:
        har = HarImport(data, tool=tool(), host=arguments.host, attached=attached)
    except NotAHar as why:
        raise NotACassette(source, str(why)) from None
    _write(_redacted(har.records(), redactor), arguments, kind)
    for sentence in _left_out(har):
        tell("convert", f"{source}: {sentence}")
    return DAMAGED if har.bodies_omitted or har.unreadable else FINE


def _left_out(har: HarImport) -> Iterator[str]:
    """What of a HAR file did not become records."""
    if har.other_hosts:
        entries = sum(har.other_hosts.values())
        yield (
            f"{entries} requests to other hosts than {', '.join(sorted(har.hosts or ()))} were "
            f"left out; --host chooses another"
        )
    if har.bodies_omitted:
        bodies = plural(har.bodies_omitted, "answer")
        yield (
            f"the file lacks the bodies of {bodies} (notes 'body_omitted'); save it again with "
            f"content to have them"
        )
    if har.unreadable:
        requests = plural(har.unreadable, "request")
        yield f"{requests} could not be read (notes 'unreadable_entry')"


def _plain(source: str) -> tuple[bytes, Callable[[str], bytes | None]]:
    """A HAR file, and the files that stand beside it."""
    folder = Path(source).parent

    def beside(name: str) -> bytes | None:
        path = folder / Path(name).name
        return path.read_bytes() if path.is_file() else None

    return b"".join(read_lines(source)), beside


def _archive(source: str) -> tuple[bytes, Callable[[str], bytes | None]]:
    """The HAR in an archive, as Playwright saves it, and the bodies that stand in it."""
    import zipfile

    try:
        archive = zipfile.ZipFile(source)
        names = archive.namelist()
        log = next((name for name in names if name.lower().endswith(".har")), None)
        if log is None:
            raise NotACassette(source, "is an archive without a HAR file in it")

        def read(name: str) -> bytes:
            if archive.getinfo(name).file_size > _ARCHIVED_BYTES_MAX:
                raise NotACassette(source, "holds a file that is larger than any recording")
            return archive.read(name)

        return read(log), lambda name: read(name) if name in names else None
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as why:
        raise NotACassette(source, f"is an archive that cannot be read ({why})") from None


def _redacted(records: Iterator[AnyRecord], redactor: Redactor) -> Iterator[AnyRecord]:
    return map(redactor.record, _marked(records))


def _marked(records: Iterator[AnyRecord]) -> Iterator[AnyRecord]:
    """Say in the session that secrets were taken out."""
    for record in records:
        known = isinstance(record, Session)
        yield msgspec.structs.replace(record, redacted=("secret",)) if known else record


def _write(records: Iterator[AnyRecord], arguments: argparse.Namespace, kind: str) -> None:
    if kind == "har":
        data = msgspec.json.encode(to_har(records, tool=tool()))
        write_file(arguments.output, data + b"\n", overwrite=arguments.overwrite)
    else:
        encoding: Encoding = "jsonl" if kind == "jsonl" else "packed"
        write_cassette(arguments.output, records, overwrite=arguments.overwrite, encoding=encoding)
    size = arguments.output.stat().st_size
    print(safe(f"wrote {arguments.output} ({bytes_in_words(size)})"))
