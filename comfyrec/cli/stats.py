"""Answer everyday questions over many recordings: run times, cache, queue, errors, silences.

FILES are cassettes or folders of them, or folders (or s3:// addresses) of tables that
'comfyrec export --to parquet' wrote. Needs the extra 'tables'.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any, Final

from comfyrec.cli import DAMAGED, FINE
from comfyrec.cli.terminal.drawing import draw, on_a_terminal, terminal_width
from comfyrec.cli.terminal.output import safe_json, tell
from comfyrec.errors import UsageError
from comfyrec.show.text import Line, duration, line
from comfyrec.tables.ask import Answer, ask
from comfyrec.tables.convert import Converted, jobs_by_default
from comfyrec.tables.questions import QUESTIONS, sql_of
from comfyrec.wording import joined, plural, shortened

__all__ = ["SkippedFiles", "add_arguments", "run"]

ROWS_SHOWN: Final = 12
"""Rows of a question for each server; ``--json`` has all."""
_WHERE: Final = 2
"""The first columns of each answer: version and server."""
_TEXT_MIN: Final = 12
_GAP: Final = 2
FILES_TOLD: Final = 20
"""Files that are named one by one when something is wrong with them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec stats``."""
    parser.add_argument(
        "files", nargs="*", metavar="FILES", help="cassettes, folders of them, or folders of tables"
    )
    parser.add_argument(
        "--question",
        action="append",
        default=[],
        metavar="NAME",
        help=f"only this one (may be repeated): {', '.join(QUESTIONS)}",
    )
    parser.add_argument("--json", action="store_true", help="one object for each question, a line")
    parser.add_argument("--sql", action="store_true", help="print the questions' SQL and stop")
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="cassettes read at once (default: cores)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask and print; exit 3 if a recording was skipped or lacks its end."""
    for name in arguments.question:
        if name not in QUESTIONS:
            raise UsageError(f"--question {name}: there is none; choose of {', '.join(QUESTIONS)}")
    questions = list(dict.fromkeys(arguments.question)) or list(QUESTIONS)
    if arguments.sql:
        print("\n".join(sql_of(name) for name in questions), end="")
        return FINE
    if not arguments.files:
        raise UsageError("name cassettes, a folder of them, or a folder of tables")
    wrong = SkippedFiles("stats")
    answers = ask(
        arguments.files, questions, jobs=arguments.jobs or jobs_by_default(), told=wrong.saw
    )
    for answer in answers:
        if arguments.json:
            print(safe_json(json.dumps(_as_json(answer)).encode()).decode())
        else:
            draw(_table(answer, terminal_width() if on_a_terminal() else 80))
    return wrong.status()


class SkippedFiles:
    """Names the files that are damaged or lack their end, and counts the rest of them."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._wrong = 0
        self.files = 0
        self.skipped = 0

    def saw(self, one: Converted) -> None:
        """The next file, whatever is with it."""
        self.files += 1
        if not one.problems:
            return
        self._wrong += 1
        self.skipped += one.skipped
        if self._wrong <= FILES_TOLD:
            for sentence in one.problems:
                tell(self._command, sentence)

    def status(self) -> int:
        """The exit status; says how many were not named."""
        more = self._wrong - FILES_TOLD
        if more > 0:
            tell(self._command, f"{plural(more, 'more file')} with damage or without an end")
        if self._wrong:
            counts = {"skipped": self.skipped, "without an end": self._wrong - self.skipped}
            words = joined([f"{count} {what}" for what, count in counts.items() if count], "and")
            tell(self._command, f"of {plural(self.files, 'file')}, {words}")
        return DAMAGED if self._wrong else FINE


def _as_json(answer: Answer) -> dict[str, Any]:
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    return {"question": answer.question, "rows": rows}


def _table(answer: Answer, width: int) -> list[Line]:
    """A question's rows; where a server has several, under a line of its own."""
    lines = [line((f"{answer.question}: {QUESTIONS[answer.question][0]}", "bold"))]
    if not answer.rows:
        return [*lines, line(("  nothing to say", "dim")), ()]
    groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for row in answer.rows:
        groups.setdefault(row[:_WHERE], []).append(row)
    skip = _WHERE
    if len(groups) == len(answer.rows):
        together = _rows(answer.columns, answer.rows, width)
        if all(len(one[0].text) <= width for one in together):
            groups, skip = {(): answer.rows}, 0
    for where, rows in groups.items():
        if where:
            lines.append(line((f"  ComfyUI {where[0]} on {where[1]}", "node")))
        lines += _rows(answer.columns[skip:], [row[skip:] for row in rows[:ROWS_SHOWN]], width)
        if len(rows) > ROWS_SHOWN:
            more = plural(len(rows) - ROWS_SHOWN, "more row")
            lines.append(line((f"  ... {more}; --json has all", "dim")))
    return [*lines, ()]


def _rows(names: Sequence[str], rows: Sequence[Sequence[Any]], width: int) -> list[Line]:
    columns = [name.removesuffix("_at_us").removesuffix("_us") for name in names]
    cells = [[_cell(n, v) for n, v in zip(names, row, strict=True)] for row in rows]
    numbers = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    widths = _widths([columns, *cells], numbers, width - _GAP)
    lines = [line((_row(columns, widths, numbers), "dim"))]
    return lines + [line(_row(row, widths, numbers)) for row in cells]


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_at_us"):
        return _day_and_time(value)
    if name.endswith("_us"):
        return duration(int(value))
    if name.endswith("_share"):
        return f"{100 * value:.1f} %"
    return " ".join(str(value).split()) or "-"


def _day_and_time(t: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(t // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M")


def _widths(rows: Sequence[Sequence[str]], numbers: Sequence[bool], room: int) -> list[int]:
    """Widths of columns; texts give way, the widest first, until a line fits."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(numbers))]
    while sum(widths) + _GAP * (len(widths) - 1) > room:
        widest = max((i for i, number in enumerate(numbers) if not number), key=widths.__getitem__)
        if widths[widest] <= _TEXT_MIN:
            break
        widths[widest] -= 1
    return widths


def _row(cells: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    fitted = (
        f"{shortened(cell, wide):>{wide}}" if number else f"{shortened(cell, wide):<{wide}}"
        for cell, wide, number in zip(cells, widths, numbers, strict=True)
    )
    return f"{'':{_GAP}}{(' ' * _GAP).join(fitted)}"
