"""Files -> one zip of them, stored and not deflated."""

from __future__ import annotations

import io
from collections.abc import Iterable

__all__ = ["zipped"]

# The earliest moment that a zip can name: entries that say when they were made would differ.
_DATE = (1980, 1, 1, 0, 0, 0)


def zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip of files: name in the zip, and content."""
    import zipfile  # imported by those who export something, which few servers are asked to

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
    return buffer.getvalue()
