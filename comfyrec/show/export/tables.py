"""Moments -> rows for other tools: JSON Lines and CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import Any, Final

from comfyrec.timeline import Timeline
from comfyrec.timeline.moments import moments_of

__all__ = ["COLUMNS", "csv_lines", "moment_rows"]

COLUMNS: Final = (
    "t_us", "conn", "client", "side", "kind", "type", "prompt_id", "node", "size", "words",
)  # fmt: skip
# Tabs and line ends belong to cells; what else moves cursors or changes colors does not.
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula."""


def moment_rows(timeline: Timeline) -> Iterator[dict[str, Any]]:
    """One row for each moment, with ``COLUMNS``; ``t_us`` counts from the first record."""
    prompts = timeline.all_prompts
    for moment in moments_of(timeline):
        socket = None if moment.socket is None else timeline.sockets[moment.socket]
        prompt = None if moment.prompt is None else prompts[moment.prompt]
        yield {
            "t_us": moment.t_us,
            "conn": moment.conn,
            "client": None if socket is None else socket.name,
            "side": moment.side.name.lower(),
            "kind": moment.kind,
            "type": moment.type,
            "prompt_id": None if prompt is None else prompt.prompt_id,
            "node": moment.node,
            "size": moment.size,
            "words": moment.words,
        }


class _Line:
    """A file of one line."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def csv_lines(timeline: Timeline) -> Iterator[str]:
    """The same as CSV (RFC 4180) with a header; text that begins like a formula gets a quote, and
    control characters are written as in JSON (``\\u001b``)."""
    line = _Line()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    yield line.text
    for row in moment_rows(timeline):
        writer.writerow([_cell(row[name]) for name in COLUMNS])
        yield line.text


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    shown = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
