"""Results in small: a badge for a README, and a table for one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final
from xml.sax.saxutils import escape

from comfyrec.check.result import ScenarioResult, Summary
from comfyrec.wording import shortened_list

__all__ = ["as_badge", "as_markdown"]

LABEL: Final = "ComfyUI scenarios"
LETTER_PX: Final = 6.6
"""About as wide as a letter of 11 px Verdana is."""
GREEN, YELLOW, RED, GREY = "#3c8d40", "#a67c00", "#b5342c", "#6b6b6b"
GOOD: Final = 0.9
"""A client that passes so much of what it met is on the yellow side."""
FAILING_SHOWN: Final = 4


def as_badge(summary: Summary) -> str:
    """An SVG image: how many of the scenarios that the client met it passed."""
    met = summary.passed + summary.failed
    words = f"{summary.passed} of {met} passed" if met else "none run"
    share = summary.passed / met if met else 0.0
    color = GREY if not met else GREEN if share == 1 else YELLOW if share >= GOOD else RED
    left, right = (round(LETTER_PX * len(text)) + 14 for text in (LABEL, words))
    title = escape(f"{LABEL}: {words}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{title}"><title>{title}</title>'
        f'<rect width="{left + right}" height="20" rx="3" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" rx="3" fill="{color}"/>'
        f'<rect x="{left}" width="4" height="20" fill="{color}"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" '
        f'font-size="11"><text x="{left / 2:g}" y="14">{escape(LABEL)}</text>'
        f'<text x="{left + right / 2:g}" y="14">{escape(words)}</text></g></svg>\n'
    )


def as_markdown(results: Sequence[ScenarioResult]) -> str:
    """A table by category: how many passed and failed, and which failed."""
    lines = ["| scenarios | passed | failed | not exercised | fails in |", "|---|--:|--:|--:|---|"]
    for category, some in groupby(results, key=lambda result: result.category):
        lines.append(_row(category, list(some)))
    lines.append(_row("all", results, names=False))
    return "\n".join([*lines, ""])


def _row(title: str, results: Sequence[ScenarioResult], *, names: bool = True) -> str:
    failing = list(_failing(results)) if names else []
    counts = [
        _count(results, "pass"),
        _count(results, "fail") + _count(results, "error"),
        _count(results, "not exercised"),
    ]
    cells = [title, *map(str, counts), ", ".join(shortened_list(failing, FAILING_SHOWN))]
    return f"| {' | '.join(cells)} |"


def _failing(results: Iterable[ScenarioResult]) -> Iterator[str]:
    for result in results:
        if not result.fine:
            yield f"`{result.name.replace('|', chr(92) + '|')}`"


def _count(results: Iterable[ScenarioResult], status: str) -> int:
    return sum(result.status == status for result in results)
