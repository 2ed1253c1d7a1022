"""Text with styles, and how times and sizes are said. A shell gives the styles their colors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

__all__ = ["STYLES", "Line", "Span", "bytes_in_words", "duration", "instant", "line", "plain"]

STYLES: Final = ("", "bad", "good", "warn", "dim", "bold", "node", "wait")
"""Styles that a span can have; colors only repeat what the words say."""


class Span(NamedTuple):
    """A piece of a line."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


def line(*parts: str | tuple[str, str]) -> Line:
    """A line of plain texts and of (text, style) pairs."""
    return tuple(Span(part) if isinstance(part, str) else Span(*part) for part in parts)


def plain(one: Line) -> str:
    """The same without styles."""
    return "".join(span.text for span in one)


def duration(us: int | None) -> str:
    """A stretch of time with three digits that count: ``65 us``, ``27.2 ms``, ``14.3 s``."""
    if us is None:
        return "?"
    if abs(us) < 1_000:
        return f"{us} us"
    if abs(us) < 999_500:
        return f"{_three_digits(us / 1_000)} ms"
    if abs(us) < 119_500_000:
        return f"{_three_digits(us / 1_000_000)} s"
    minutes, seconds = divmod(round(us / 1_000_000), 60)
    if minutes < 120:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _three_digits(value: float) -> str:
    return (
        f"{value:.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
    )


def bytes_in_words(size: int) -> str:
    """A size: ``77 B``, ``38.0 KiB``, ``1.2 GiB``."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB"):
        value /= 1024
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} GiB"


def instant(t_us: int) -> str:
    """A moment of the calendar, in UTC, from Unix microseconds."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t_us)
    except OverflowError:
        return f"{t_us} us"
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")
