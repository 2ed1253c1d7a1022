"""Times as HTTP writes them (RFC 9110 section 5.6.7)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate, parsedate
from functools import lru_cache

__all__ = ["date_us", "http_date"]


@lru_cache(maxsize=64)
def http_date(seconds: int) -> str:
    """Seconds since 1970 as in a ``Date`` field."""
    return formatdate(seconds, usegmt=True)


def date_us(written: str) -> int | None:
    """A date field in microseconds since 1970, None when it is missing or is not a date."""
    parsed = parsedate(written) if written else None
    if parsed is None:
        return None
    try:
        return int(datetime(*parsed[:6], tzinfo=UTC).timestamp()) * 1_000_000
    except ValueError:
        return None
