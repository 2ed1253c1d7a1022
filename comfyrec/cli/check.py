"""Run a client once per scenario on a fresh fake server, and say what it did well and what not.

The command stands behind --. In it {url}, {ws_url}, {host}, {port}, {workflow} (a file), {out} (an
empty folder) and {token} are filled in; the address is in the usual environment variables as well.
The outcome is the exit status (0 success, 130 interrupted, else failed), or better a line of its
output: {"comfyrec": {"outcome": "success", "prompt_id": "...", "outputs": {...}}} with one of
success, error, interrupted, cancelled, rejected, lost, timed-out.

    comfyrec check --jobs 4 --html report.html -- python client.py {url} {workflow}

The exit status is 0 when nothing is broken, 1 when something is or could not be played, 2 for wrong
use, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import math
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from comfyrec.check.invariants import Bounds
from comfyrec.check.process_tree import adopting_orphans
from comfyrec.check.render import (
    as_html,
    as_junit,
    fixes_in_words,
    in_words,
    one_line,
    told_in_words,
)
from comfyrec.check.result import ScenarioResult, Summary, summary_of
from comfyrec.check.runner import CheckOptions, check_all
from comfyrec.errors import UsageError
from fake_server.scenarios import select
from fake_server.server.clock import MAX

JOBS_MAX = 64
LOG_COLUMNS = 120
MIB = 1024 * 1024
DEFAULT_MEMORY = Bounds().memory_bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec check``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "comfyrec check [options] -- COMMAND ... {url} ..."
    add = parser.add_argument
    add(
        "--scenarios",
        default="*",
        metavar="GLOB",
        help="names, rows (A1?) or categories, with commas between; NAME:k=v sets a parameter; "
        "'comfyrec scenarios' lists them",
    )
    add("--timeout", type=_seconds, default=30.0, metavar="S", help="for each run (%(default)g)")
    add("--late", type=_seconds, default=15.0, metavar="S", help="how long after the true end a "
        "report may come (%(default)g)")  # fmt: skip
    add("--memory", type=_memory, default=DEFAULT_MEMORY, metavar="MIB|off", help="how much a "
        "client may grow while messages pour in (80); needs /proc")  # fmt: skip
    add("--jobs", type=_jobs, default=1, metavar="N", help="runs at a time (%(default)s)")
    add("--speed", type=_speed, default=None, metavar="N|max", help="of virtual time; max if not "
        "given, but 1 where a scenario is about waiting")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="of all chance (%(default)s)")
    add("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    add("--html", type=Path, metavar="FILE", help="write a page")
    add("--json", action="store_true", help="print the results as JSON instead of a table")
    add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help=argparse.SUPPRESS)


def _seconds(text: str) -> float:
    seconds = _number(text)
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number of seconds above 0")
    return seconds


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return number


def _memory(text: str) -> int | None:
    if text == "off":
        return None
    mebibytes = _number(text)
    if mebibytes <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number of MiB above 0, or off")
    return round(mebibytes * MIB)


def _jobs(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= JOBS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number from 1 to {JOBS_MAX}")
    return int(text)


def _speed(text: str) -> float:
    if text == "max":
        return MAX
    speed = _number(text)
    if speed <= 0:
        raise argparse.ArgumentTypeError(f"{text!r}: speed is a number above 0, or max")
    return speed


def run(arguments: argparse.Namespace) -> int:
    """Check, report, and give 1 when anything was not kept."""
    argv = _command(arguments.command)
    choices = select(arguments.scenarios)
    for path in filter(None, (arguments.junit, arguments.html)):
        _see_that_it_can_be_written(path)
    order = CheckOptions(
        argv=argv,
        timeout_s=arguments.timeout,
        seed=arguments.seed,
        speed=arguments.speed,
        bounds=Bounds(late_s=arguments.late, memory_bytes=arguments.memory),
    )
    with _sigterm_interrupts(), adopting_orphans(), _progress(len(choices)) as shown:
        results = check_all(choices, order, jobs=arguments.jobs, on_result=shown)
    summary = summary_of(results)
    _write(arguments, results, summary, argv)
    _print(arguments, results, summary)
    return 0 if all(result.fine for result in results) else 1


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Whoever ends the check ends its commands with it, by Ctrl-C or by SIGTERM."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _command(given: Sequence[str]) -> tuple[str, ...]:
    command = tuple(given[1:] if given[:1] == ["--"] else given)
    if not command:
        raise UsageError(
            "there is no command to check; write it behind '--', as in "
            "comfyrec check -- python client.py {url} {workflow}"
        )
    if command[0].startswith("-"):
        raise UsageError(
            f"'{command[0]}' is no option of check; 'comfyrec check --help' lists them"
        )
    return command


def _see_that_it_can_be_written(path: Path) -> None:
    """Find out before a long run, not behind it."""
    try:
        with path.open("a", encoding="utf-8"):
            return
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}); give another file"
        ) from None


# --- while it runs ---------------------------------------------------------------------------


@contextmanager
def _progress(total: int) -> Iterator[Callable[[ScenarioResult], None]]:
    """A bar on a terminal, a line for each result elsewhere; beside the output, on stderr."""
    if not sys.stderr.isatty():
        yield _log
        return
    from rich.progress import Progress

    with Progress(transient=True, console=_console(stderr=True)) as progress:
        task = progress.add_task("scenarios", total=total)

        def advance(result: ScenarioResult) -> None:
            progress.update(task, advance=1, description=result.name)

        yield advance


def _log(result: ScenarioResult) -> None:
    print(one_line(result), file=sys.stderr, flush=True)


def _console(*, stderr: bool = False) -> Any:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # A log has no width of its own; a terminal has.
    return Console(file=stream, highlight=False, width=None if stream.isatty() else LOG_COLUMNS)


# --- behind it -------------------------------------------------------------------------------


def _write(
    arguments: argparse.Namespace,
    results: Sequence[ScenarioResult],
    summary: Summary,
    argv: Sequence[str],
) -> None:
    if arguments.junit:
        arguments.junit.write_text(as_junit(results, summary), encoding="utf-8")
    if arguments.html:
        page = as_html(results, summary, command=shlex.join(argv))
        arguments.html.write_text(page, encoding="utf-8")


def _print(
    arguments: argparse.Namespace, results: Sequence[ScenarioResult], summary: Summary
) -> None:
    if arguments.json:
        whole = msgspec.to_builtins({"summary": summary, "results": results})
        print(msgspec.json.format(msgspec.json.encode(whole)).decode())
        return
    console = _console()
    console.print(_table(results))
    console.print(
        f"{summary.scenarios} scenarios: {summary.kept} kept, {summary.broken} broken "
        f"({summary.hung} hung, {summary.lies} lies), {summary.not_exercised} not exercised"
        + (f", {summary.errors} could not be played" if summary.errors else "")
    )
    if summary.fixes:
        console.print("\nWhat to mend first:")
    for line in fixes_in_words(summary):
        console.print(line, markup=False)


_STYLES = {
    "kept": "green",
    "broken": "bold red",
    "not exercised": "dim",
    "error": "bold yellow",
}


def _table(results: Sequence[ScenarioResult]) -> Any:
    """A table for a terminal, by category."""
    from rich import box
    from rich.table import Table

    table = Table(header_style="bold", box=box.SIMPLE)
    for name in ("scenario", "result", "it said", "after", "what was wrong"):
        table.add_column(name, no_wrap=name == "scenario")
    for _, some in groupby(results, key=lambda result: result.category):
        for result in some:
            table.add_row(*_cells(result))
        table.add_section()
    return table


def _cells(result: ScenarioResult) -> Iterator[Any]:
    from rich.text import Text

    yield Text(result.name)
    yield Text(result.status, style=_STYLES[result.status])
    yield Text(told_in_words(result))
    yield Text("" if result.after_end_s is None else f"{result.after_end_s:.2f} s")
    yield Text(in_words(result) if result.status != "kept" else "")
