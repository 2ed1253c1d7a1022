"""Write a recording as one HTML page that needs no network: time line, frames, pictures.

--serve shows it on an address of this machine instead, live while the recording grows.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import webbrowser
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from comfyrec.cassette.files import (
    Reader,
    find_cassette,
    is_being_written,
    write_file,
    writing_file,
)
from comfyrec.cli import FINE
from comfyrec.cli._lifetime import when_stdin_closes
from comfyrec.cli._page_server import served_page
from comfyrec.cli.terminal.output import opened, refuse_source, said, tell
from comfyrec.errors import CutOff, UsageError
from comfyrec.proxy.relay import listen, listen_address
from comfyrec.show.page_data import PICTURES_BYTES_MAX, PageRows, Seen, packed_rows
from comfyrec.show.page_file import PageFile, page_files
from comfyrec.show.side_by_side import SidePage, side_by_side
from comfyrec.show.summary import summary
from comfyrec.show.text import bytes_in_words, plain
from comfyrec.timeline.live import Live

__all__ = ["add_arguments", "fill_page", "run"]

TOGETHER_MAX: Final = 4
"""Recordings side by side; more would be slivers."""
LAST_NEWS_S: Final = 3.0
"""For reading what was recorded last."""
LAST_ANSWERS_S: Final = 0.3
"""For answers that are under way."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec view``."""
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a cassette, or the name of a bundled one; several are shown side by side",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="HTML", help="default: the name of FILE with .html"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing page")
    parser.add_argument(
        "--open",
        action="store_true",
        help="open the page in a browser; one that is still recorded is served",
    )
    parser.add_argument(
        "--serve",
        nargs="?",
        const="127.0.0.1:0",
        metavar="HOST:PORT",
        help="serve the page, live while FILE grows, until Ctrl-C (default: a free port)",
    )
    parser.add_argument("--exit-on-stdin-close", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Write the page, as far as the recording can be read, or serve it."""
    paths = [find_cassette(file) for file in arguments.files]
    if len(paths) > 1:
        return _write_several(paths, arguments)
    (path,) = paths
    if arguments.serve is not None:
        if arguments.output is not None:
            raise UsageError("--serve writes no file; leave out -o, or --serve")
        return _serve(path, arguments)
    if arguments.open and arguments.output is None and is_being_written(path):
        tell("view", f"{path} is still recorded, so its page is served; Ctrl-C ends that")
        arguments.serve = "127.0.0.1:0"
        return _serve(path, arguments)
    return _write(path, arguments)


# --- a file ------------------------------------------------------------------------------------


def _write(path: str, arguments: argparse.Namespace) -> int:
    name = Path(path).name
    output = arguments.output or Path(name).with_suffix(".html")
    refuse_source(output, path)
    with opened(path) as reader, writing_file(output, overwrite=arguments.overwrite) as write:
        file = PageFile(write, page_files(), title=name)
        rows = fill_page(file, reader, name).rows
    print(f"wrote {output} ({bytes_in_words(file.size)})")
    if rows.pictures_left_out:
        tell("view", f"{rows.pictures_left_out} pictures are left out, there is room for 20 MiB")
    if arguments.open:
        webbrowser.open(output.resolve().as_uri())
    return said(reader, "view")


def _write_several(paths: list[str], arguments: argparse.Namespace) -> int:
    if arguments.serve is not None:
        raise UsageError("--serve shows one recording; leave it out, or name one FILE")
    if len(paths) > TOGETHER_MAX:
        raise UsageError(f"{len(paths)} recordings have no room beside each other; name up to 4")
    output = arguments.output or Path("-".join(Path(path).stem for path in paths) + ".html")
    status, pages, parts = FINE, [], page_files()
    for path in paths:
        refuse_source(output, path)
        name, pieces = Path(path).name, list[bytes]()
        with opened(path) as reader:
            room = PICTURES_BYTES_MAX // len(paths)
            filled = fill_page(PageFile(pieces.append, parts, title=name), reader, name, room)
        pages.append(SidePage(name, b"".join(pieces), filled.summary))
        status = max(status, said(reader, "view"))
    page = side_by_side(pages, parts)
    write_file(output, page, overwrite=arguments.overwrite)
    print(f"wrote {output} ({bytes_in_words(len(page))})")
    if arguments.open:
        webbrowser.open(output.resolve().as_uri())
    return status


class _Filled(NamedTuple):
    """What a page holds."""

    rows: PageRows
    summary: str


def fill_page(
    file: PageFile, reader: Reader, name: str, pictures_max: int = PICTURES_BYTES_MAX
) -> _Filled:
    """Write the recording into the page, a few records at a time."""
    live = Live()
    rows = PageRows(
        live, file, name=name, redacted=reader.header.redacted, pictures_max=pictures_max
    )
    for record in reader:
        rows.add(live.take(record))
    rows.add(live.finish())
    rows.finish()
    whole = not any(isinstance(problem, CutOff) for problem in reader.problems)
    text = "\n".join(plain(one) for one in summary(live.story(whole=whole)))
    filled = _Filled(rows, f"{name}\n\n{text}")
    file.finish(packed_rows(rows, Seen(), whole=whole), summary=filled.summary)
    return filled


# --- served ------------------------------------------------------------------------------------


def _serve(path: str, arguments: argparse.Namespace) -> int:
    listener = listen(*listen_address(arguments.serve, "--serve"), flag="--serve")
    with listener:
        asyncio.run(_until_stopped(path, listener, arguments))
    return FINE


async def _until_stopped(path: str, listener: socket.socket, arguments: argparse.Namespace) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: loop.call_soon_threadsafe(stopped.set))
    if arguments.exit_on_stdin_close:
        when_stdin_closes(partial(_stop, loop, stopped))
    async with served_page(path, listener, say=partial(tell, "view")) as page:
        print(f"Showing {path} at {page.url}", flush=True)
        if arguments.open:
            webbrowser.open(page.url)
        await stopped.wait()
        if arguments.exit_on_stdin_close:
            # The recording has ended with its recorder: whoever looks on is told, then it is over.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(page.over.wait(), LAST_NEWS_S)
                await asyncio.sleep(LAST_ANSWERS_S)


def _stop(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    loop.call_soon_threadsafe(stopped.set)
