"""A line of ``cat`` without what differs in each recording: times, ids, ports, lengths.

Ids keep apart: the first one is ``{id 1}``, and stays so wherever it comes again. So a cassette
that is recorded anew differs, line by line, only where the server says something else.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Stable"]

_UUID: Final = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|\b[0-9a-f]{32}\b"
_ID: Final = re.compile(_UUID)
_RULES: Final = (
    (re.compile(r"^ *\d+ +-?\d+\.\d{6} "), ""),
    (
        re.compile(r"(?i)(date|last-modified|etag|content-length|age): [^|]*?(?= \||  |$)"),
        r"\1: {}",
    ),
    (re.compile(r"(?i)(sec-websocket-(?:key|accept)): \S+"), r"\1: {}"),
    (re.compile(r"(?:\d{1,3}\.){3}\d{1,3}:\d+|\blocalhost:\d+"), "{host}"),
    (re.compile(r"(?<![\w.])\d{10,17}(?![\w.])"), "{time}"),
    (re.compile(r"\d\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.?\d*"), "{time}"),
    (re.compile(r"at \{time\} us"), "at {time}"),
)


class Stable:
    """Makes the lines of one cassette stable, in order."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def line(self, text: str) -> str:
        """One line of ``cat``."""
        text = _ID.sub(self._named, text)
        for pattern, instead in _RULES:
            text = pattern.sub(instead, text)
        return text

    def _named(self, found: re.Match[str]) -> str:
        return self._ids.setdefault(found[0].lower(), f"{{id {len(self._ids) + 1}}}")
