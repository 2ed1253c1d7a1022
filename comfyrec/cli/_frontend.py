"""The real web page, with a link in its corner to the panel of the server that it is served by."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from fake_server.options import ServerOptions
from fake_server.source import Source
from fake_server.storage.memory import StoredFile

__all__ = ["choose_for_people", "frontend_options", "with_corner", "with_page"]

_END: Final = b"</body>"
_LINK: Final = (
    b'<a href="__fake__/ui/" target="_blank" title="what this server does, and how to change it" '
    b'style="position:fixed;left:210px;bottom:6px;z-index:9999;padding:1px 8px;border-radius:9px;'
    b'background:#1c1f25;color:#b79cff;font:12px sans-serif;text-decoration:none">fake server</a>'
)


def choose_for_people(arguments: argparse.Namespace) -> None:
    """Where nothing else was asked for, nodes take their time: who looks wants to see something."""
    named = (arguments.file, arguments.speed, arguments.timing, *arguments.scenario)
    if not arguments.step and not any(named):
        arguments.scenario = ["lifelike"]


def frontend_options(epoch_us: int) -> dict[str, Any]:
    """Options of a server that serves the page.

    Args:
        epoch_us: of virtual time 0.

    Raises:
        UsageError: the page's package is not installed.
    """
    from fake_server.storage.disk import WebRoot

    page = WebRoot(epoch_us)
    return {"frontend": with_corner(page), "extension_scripts": page.scripts}


def with_page(make: Callable[[], Source], options: ServerOptions) -> Source:
    """A replay with the page before it."""
    from fake_server.replay import Player
    from fake_server.replay.web_page import PageOverReplay

    player = make()
    assert isinstance(player, Player)
    return PageOverReplay(player, options)


def with_corner(
    frontend: Callable[[str], StoredFile | None],
) -> Callable[[str], StoredFile | None]:
    """The files of a frontend, its page with the link."""

    def found(name: str) -> StoredFile | None:
        file = frontend(name)
        if file is None or name != "index.html" or _END not in file.data:
            return file
        before, _, after = file.data.rpartition(_END)
        return replace(file, data=before + _LINK + _END + after)

    return found
