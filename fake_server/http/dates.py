"""Times as HTTP writes them (RFC 9110 section 5.6.7)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate
from functools import lru_cache
from typing import Final

__all__ = ["date_us", "http_date"]

# strftime would use the names of the machine's language.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # fmt: skip


@lru_cache(maxsize=64)
def http_date(seconds: int) -> str:
    """Seconds since 1970 as in a ``Date`` field."""
    when = datetime.fromtimestamp(seconds, UTC)
    return (
        f"{_DAYS[when.weekday()]}, {when.day:02d} {_MONTHS[when.month - 1]} {when.year:04d} "
        f"{when:%H:%M:%S} GMT"
    )


def date_us(written: str) -> int | None:
    """A date field in microseconds since 1970, None when it is missing or no date."""
    parsed = parsedate(written) if written else None
    if parsed is None:
        return None
    try:
        return int(datetime(*parsed[:6], tzinfo=UTC).timestamp()) * 1_000_000
    except ValueError:
        return None
