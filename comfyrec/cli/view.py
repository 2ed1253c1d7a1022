"""Write a recording as one HTML page that needs no network: time line, frames, pictures."""

from __future__ import annotations

import argparse
import webbrowser
from importlib.resources import files
from pathlib import Path

from comfyrec.cassette.files import write_file
from comfyrec.cli.terminal.output import refuse_source, said, tell
from comfyrec.cli.terminal.reading import read_story
from comfyrec.show.page_data import page_data
from comfyrec.show.page_file import page_html
from comfyrec.show.summary import summary
from comfyrec.show.text import bytes_in_words, plain

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec view``."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a path or a name")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="HTML", help="default: the name of FILE with .html"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing page")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(arguments: argparse.Namespace) -> int:
    """Write the page, as far as the recording can be read."""
    timeline, story, reader = read_story(arguments.file)
    name = Path(reader.path).name
    data = page_data(timeline, story, name=name, redacted=reader.header.redacted)
    text = "\n".join(plain(one) for one in summary(story))
    page = page_html(data, page_files(), title=name, summary=f"{name}\n\n{text}")
    output = arguments.output or Path(name).with_suffix(".html")
    refuse_source(output, reader.path)
    write_file(output, page.encode(), overwrite=arguments.overwrite)
    if data.pictures_left_out:
        tell("view", f"{data.pictures_left_out} pictures are left out, there is room for 20 MiB")
    print(f"wrote {output} ({bytes_in_words(len(page))})")
    if arguments.open:
        webbrowser.open(output.resolve().as_uri())
    return said(reader, "view")


def page_files() -> dict[str, str]:
    """The files that a page is put together from, by name."""
    folder = files("comfyrec.show") / "page"
    return {one.name: one.read_text("utf-8") for one in folder.iterdir() if one.is_file()}
