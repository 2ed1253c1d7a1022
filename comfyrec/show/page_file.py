"""Page data and the files of ``page/`` -> one HTML file that needs nothing else.

What was recorded never becomes markup: it stands in blocks of base64, and the page writes it with
``textContent``. A content security policy lets nothing run but the page's own script, by its hash,
and lets nothing be loaded.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from typing import Final

from comfyrec.show.page_data import PageData

__all__ = ["SCRIPTS", "page_html"]

SCRIPTS: Final = ("data.js", "lanes.js", "list.js", "inspector.js", "main.js")
"""In the order in which they are put together."""


def page_html(data: PageData, files: Mapping[str, str], *, title: str, summary: str) -> str:
    """The page.

    Args:
        data: what it shows.
        files: the texts of the files in ``page/``, by name.
        title: of the window.
        summary: plain text for printing, and for browsers that run no scripts.
    """
    scripts = "\n".join(files[name] for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{scripts}\n}})();\n'
    style = files["style.css"]
    blocks = [_block("columns", data.columns)]
    blocks += [_block(f"b{number}", block) for number, block in enumerate(data.blocks)]
    blocks += [
        _block(f"p{number}", f"data:{media_type};base64,{picture}")
        for number, (media_type, picture) in enumerate(data.pictures)
    ]
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        f"img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": escape(title),
        "style": style,
        "summary": escape(summary),
        "data": "\n".join(blocks),
        "script": script,
    }
    html = files["page.html"]
    for name, text in parts.items():
        before, mark, after = html.partition(f"<!--{name}-->")
        assert mark, f"page.html has a place for the {name}"
        html = before + text + after
    return html


def _block(name: str, text: str) -> str:
    return f'<script type="text/plain" id="{name}">{text}</script>'


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"
