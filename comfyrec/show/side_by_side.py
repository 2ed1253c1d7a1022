"""Pages of several recordings -> one page that shows them side by side, with one cursor.

Each page is a frame of its own, which may run its script and nothing else. Frames tell each other
which window they show and which moment is selected, counted from the first prompt of each.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from comfyrec.show.page_file import hash_of, script_of

__all__ = ["SidePage", "side_by_side"]


class SidePage(NamedTuple):
    """The page of one recording."""

    name: str
    html: bytes
    summary: str


def side_by_side(pages: Sequence[SidePage], parts: Mapping[str, str]) -> bytes:
    """The page of all.

    Args:
        pages: in the order from left to right.
        parts: the texts of the files in ``page/``, by name.
    """
    script = f'"use strict";\n(() => {{\n{parts["side.js"]}\n}})();\n'
    style = parts["side.css"]
    # A frame is held to the policy of the page that it stands in as well as to its own.
    policy = (
        f"default-src 'none'; script-src '{hash_of(script)}' '{hash_of(script_of(parts))}'; "
        f"style-src '{hash_of(style)}' '{hash_of(parts['style.css'])}'; img-src data:; "
        f"base-uri 'none'; form-action 'none'"
    )
    title = escape(" | ".join(page.name for page in pages))
    frames = "".join(
        f'<iframe sandbox="allow-scripts allow-modals" title="{escape(page.name)}"></iframe>\n'
        for page in pages
    )
    summaries = escape("\n\n\n".join(page.summary for page in pages))
    data = [
        f'<script type="text/plain" id="f{number}">{base64.b64encode(page.html).decode()}</script>'
        for number, page in enumerate(pages)
    ]
    head = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{title}</h1><p>Times are lined up at the first prompt of each.</p>"
        f'<label><input type="checkbox" id="linked" checked> one cursor for all</label></header>\n'
        f"<main>\n{frames}</main>\n<pre>{summaries}</pre>\n"
    )
    end = f"<script>{script}</script>\n</body>\n</html>\n"
    return "\n".join([head, *data, end]).encode()
