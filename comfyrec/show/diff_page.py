"""Differences -> one HTML page that needs nothing else: what breaks clients first."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from comfyrec.show.diff import HEADINGS, SEVERITIES, Diff, Difference, title_of
from comfyrec.show.page_file import hash_of
from comfyrec.wording import plural

__all__ = ["diff_html"]

_KINDS: Final = {"new": "new", "gone": "gone", "changed": "changed", "reordered": "order"}


def diff_html(diff: Diff, style: str) -> str:
    """The page; ``style`` is the text of ``page/diff.css``."""
    policy = f"default-src 'none'; style-src '{hash_of(style)}'; base-uri 'none'"
    parts = "".join(_part(severity, diff) for severity in reversed(SEVERITIES))
    count = plural(len(diff.differences), "difference")
    title = escape(title_of(diff))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{title}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
        f"<p>{escape(diff.a)} &rarr; {escape(diff.b)}: {count}</p>\n{parts}"
        f"{'' if diff.differences else '<p>A client would notice nothing.</p>'}"
        "</main>\n</body>\n</html>\n"
    )


def _part(severity: str, diff: Diff) -> str:
    ours = [one for one in diff.differences if one.severity == severity]
    if not ours:
        return ""
    items = "".join(_items(ours))
    return f'<h2 class="{severity}">{HEADINGS[severity][0]}</h2>\n<ul>\n{items}</ul>\n'


def _items(differences: list[Difference]) -> Iterator[str]:
    for one in differences:
        yield f"<li><b>{_KINDS[one.kind]}</b> {escape(one.sentence)}</li>\n"
