"""Make one archive for a bug report: the redacted cassette, its story, its page, what it tells."""

from __future__ import annotations

import argparse
import io
import platform
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from comfyrec import __version__
from comfyrec.cassette.files import same_file, write_cassette, write_file
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.cassette.redact.whole_cassette import findings_in, redacted_recording
from comfyrec.cassette.repair import mended
from comfyrec.cli._parser import add_cassette
from comfyrec.cli._redaction_flags import add_header_flag, checked_headers, known_secrets
from comfyrec.cli.scan import lines_of, records_of
from comfyrec.cli.terminal.output import opened, said, tell
from comfyrec.cli.terminal.reading import read_story
from comfyrec.cli.view import fill_page
from comfyrec.errors import UsageError
from comfyrec.show.narrative import narrative
from comfyrec.show.page_file import PageFile, page_files
from comfyrec.show.text import bytes_in_words, plain

__all__ = ["add_arguments", "run"]

_WIDTH: Final = 100
_PACKAGES: Final = ("aiohttp", "websockets", "msgspec", "pillow", "rich")
_README: Final = """\
{name}: a recording for a bug report, made by comfyrec {version}.

cassette.crec   the recording; `comfyrec serve cassette.crec` plays it back
story.txt       what happened, as text
page.html       the same as a page, for a browser
versions.json   of the recorded server and of this machine
scan.txt        what the recording still tells, by place

Replaced in it: {classes}.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec report``."""
    add_cassette(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="ZIP",
        help="default: the name of FILE with .report.zip",
    )
    parser.add_argument(
        "--content",
        action=argparse.BooleanOptionalAction,
        help="include prompts, file names and pictures as they are (asked if not given)",
    )
    add_header_flag(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing archive")


def run(arguments: argparse.Namespace) -> int:
    """Write the archive, as far as the recording can be read."""
    output = arguments.output or Path(Path(arguments.file).name).with_suffix(".report.zip")
    if same_file(arguments.file, output):
        raise UsageError(f"--output {output} is the cassette itself; give another name")
    headers = checked_headers(arguments.redact_header)
    classes = ("identity",) if _includes_content(arguments.content) else ("identity", "content")
    redactor = Redactor(known_secrets(), classes=classes, headers=headers)
    with opened(arguments.file) as reader:
        for _ in reader:
            continue
        status = said(reader, "report")
    records = records_of(arguments.file)
    with tempfile.TemporaryDirectory() as folder:
        cassette = Path(folder) / "cassette.crec"
        write_cassette(cassette, redacted_recording(lambda: mended(records()), redactor))
        parts = _parts(cassette, redactor)
        data = _archive({"cassette.crec": cassette.read_bytes(), **parts})
    write_file(output, data, overwrite=arguments.overwrite)
    print(f"wrote {output} ({bytes_in_words(len(data))}); replaced: {', '.join(redactor.classes)}")
    return status


def _includes_content(chosen: bool | None) -> bool:
    """Whether prompts and pictures stay: as was said, else as a person answers, else not."""
    if chosen is not None:
        return chosen
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        tell("report", "prompts, names and pictures are replaced; --content includes them")
        return False
    print("Include prompts, file names and pictures as they are? [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _parts(cassette: Path, redactor: Redactor) -> dict[str, bytes]:
    """All but the cassette, made from the cassette as it is in the archive."""
    timeline, story, _ = read_story(cassette)
    text = "\n".join(plain(one) for one in narrative(timeline, story, width=_WIDTH))
    page: list[bytes] = []
    with opened(cassette) as reader:
        file = PageFile(page.append, page_files(), title=cassette.name)
        fill_page(file, reader, cassette.name)
    found = findings_in(records_of(cassette), known_secrets())
    readme = _README.format(
        name=cassette.name, version=__version__, classes=", ".join(redactor.classes)
    )
    return {
        "README.txt": readme.encode(),
        "story.txt": text.encode() + b"\n",
        "page.html": b"".join(page),
        "versions.json": msgspec.json.format(_versions(timeline.comfyui_version), indent=1) + b"\n",
        "scan.txt": "\n".join(lines_of(found)).encode() + b"\n",
    }


def _versions(comfyui: str | None) -> bytes:
    packages = {name: _version(name) for name in _PACKAGES}
    return msgspec.json.encode(
        {
            "comfyui": comfyui,
            "comfyrec": __version__,
            "python": platform.python_version(),
            "system": platform.system(),
            "packages": packages,
        }
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _archive(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()
