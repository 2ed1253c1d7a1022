"""Page data and the files of ``page/`` -> one HTML file that needs nothing else.

What was recorded never becomes markup: it stands in blocks of base64, and the page writes it with
``textContent``. A content security policy lets nothing run but the page's own script, by its hash,
and lets nothing be loaded.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Final

__all__ = ["SCRIPTS", "PageFile", "hash_of", "live_html", "page_files", "script_of"]

SCRIPTS: Final = ("data.js", "lanes.js", "list.js", "inspector.js", "main.js")
"""In the order in which they are put together."""
_PLACES: Final = ("policy", "title", "style", "data", "summary", "script")
"""In the order in which they stand in ``page.html``."""


def page_files() -> dict[str, str]:
    """The files that a page is put together from, by name."""
    folder = files("comfyrec.show") / "page"
    return {one.name: one.read_text("utf-8") for one in folder.iterdir() if one.is_file()}


class PageFile:
    """Writes a page piece by piece: blocks and pictures as they come, then the columns.

    Args:
        write: takes the next bytes of the file.
        parts: the texts of the files in ``page/``, by name.
        title: of the window.
    """

    def __init__(
        self, write: Callable[[bytes], object], parts: Mapping[str, str], *, title: str
    ) -> None:
        self._write = write
        self.size = 0
        script = script_of(parts)
        style = parts["style.css"]
        policy = (
            f"default-src 'none'; script-src '{hash_of(script)}'; style-src '{hash_of(style)}'; "
            f"img-src data:; base-uri 'none'; form-action 'none'"
        )
        self._pieces = _cut_at_places(parts["page.html"])
        for text in (policy, escape(title), style):
            self._text(self._pieces.pop(0) + text)
        self._text(self._pieces.pop(0))
        self._script = script

    def _text(self, text: str) -> None:
        data = text.encode()
        self.size += len(data)
        self._write(data)

    def block(self, number: int, packed: bytes) -> None:
        """Payloads of rows."""
        self._text(_block(f"b{number}", _base64(packed)))

    def picture(self, number: int, media_type: str, data: bytes) -> None:
        """A picture."""
        self._text(_block(f"p{number}", f"data:{media_type};base64,{_base64(data)}"))

    def finish(self, columns: bytes, *, summary: str) -> None:
        """Write what is left.

        Args:
            columns: of ``packed_rows``.
            summary: plain text for printing, and for browsers that run no scripts.
        """
        self._text(_block("columns", _base64(columns)))
        before_script, end = self._pieces[0], self._pieces[1:]
        self._text(before_script + escape(summary) + end[0] + self._script + end[1])


def live_html(parts: Mapping[str, str], *, title: str, panel: str = "") -> tuple[str, str]:
    """(HTML, content security policy) of a page that asks its server for what it shows.

    Args:
        parts: the texts of the files in ``page/``, by name.
        title: of the window.
        panel: JSON for the column of controls; empty: there is none.
    """
    script, style = script_of(parts, panel=bool(panel)), parts["style.css"]
    policy = (
        f"default-src 'none'; script-src '{hash_of(script)}'; style-src '{hash_of(style)}'; "
        f"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'self'"
    )
    in_file = policy.partition("; frame-ancestors")[0]  # which a file cannot say
    data = _block("live", "rows") + (_block("panel-data", _base64(panel.encode())) if panel else "")
    texts = (in_file, escape(title), style, data, "", script)
    pieces = _cut_at_places(parts["page.html"])
    html = "".join(before + text for before, text in zip(pieces, texts, strict=False)) + pieces[-1]
    return html, policy


def _cut_at_places(html: str) -> list[str]:
    """The pieces between the places of ``_PLACES``."""
    pieces = []
    for name in _PLACES:
        before, mark, html = html.partition(f"<!--{name}-->")
        assert mark, f"page.html has a place for the {name}"
        pieces.append(before)
    return [*pieces, html]


def script_of(parts: Mapping[str, str], *, panel: bool = False) -> str:
    """The script of a page, put together."""
    names = (*SCRIPTS[:-1], "panel.js", SCRIPTS[-1]) if panel else SCRIPTS
    scripts = "\n".join(parts[name] for name in names)
    return f'"use strict";\n(() => {{\n{scripts}\n}})();\n'


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _block(name: str, text: str) -> str:
    return f'<script type="text/plain" id="{name}">{text}</script>\n'


def hash_of(text: str) -> str:
    """What a content security policy calls a script or style of this text."""
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"
