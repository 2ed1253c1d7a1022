"""A server's journal in words, for the report of a test or command that failed."""

from __future__ import annotations

import json
from typing import Any, Final

from comfyrec.wording import shortened

__all__ = ["timeline_lines"]

REPORT_LINES_MAX: Final = 120
"""Of the timeline of one server: the first and the last ones."""
LINE_MAX: Final = 200
_NO_LIMIT: Final = 1 << 30


def timeline_lines(entries: list[dict[str, Any]], *, uncut: bool = False) -> list[str]:
    """The journal in words: requests, frames, holds and faults in order.

    Args:
        entries: of the journal.
        uncut: every line whole, and all of them; otherwise both are bounded.
    """
    if uncut:
        return [_line(entry, length_max=_NO_LIMIT) for entry in entries]
    if len(entries) > REPORT_LINES_MAX:
        half = REPORT_LINES_MAX // 2
        left_out = len(entries) - 2 * half
        return [
            *map(_line, entries[:half]),
            f"{'':>11}   ... {left_out} more ...",
            *map(_line, entries[-half:]),
        ]
    return [_line(entry) for entry in entries] or ["nothing was received, nothing was sent"]


def _line(entry: dict[str, Any], length_max: int = LINE_MAX) -> str:
    return shortened(f"{entry['t'] / 1000:>10.1f}ms  {_words(entry)}", length_max)


def _words(entry: dict[str, Any]) -> str:
    number = entry.get("number", -1)
    text = _content(entry)
    match entry["what"]:
        case "request":
            return f"-> {entry['method']} {entry['target']} {text}"
        case "answer":
            return f"<- {entry['status']} {text}"
        case "upgrade":
            return f"-> ws {number} opens {entry['target']}"
        case "received":
            return f"-> ws {number} {text}"
        case "sent":
            return f"<- ws {' '.join(map(str, entry['sockets']))} {text}"
        case "closed":
            return f"<- ws {number} closed with {entry['code']}"
        case "left":
            return f"-> ws {number} is gone ({entry['code']})"
        case "dropped":
            return f"-> the client of request {number} is gone"
        case "cut":
            return f"<- connection {number} cut"
        case what:
            return f"-- {what} {entry.get('text', '')}"


def _content(entry: dict[str, Any]) -> str:
    if "text" in entry:
        return json.dumps(entry["text"])[1:-1].replace('\\"', '"')
    return f"({entry['size_bytes']} bytes)" if entry.get("size_bytes") else ""
