"""Run a client through the scenarios and report what it gets wrong.

    comfyrec check --html report.html -- python client.py {url} {workflow}

The command is run once per scenario, each time with a fresh fake server. In
the command, {url}, {ws_url}, {host}, {port}, {workflow} (a file), {out} (an
empty folder) and {token} are filled in. The usual environment variables hold
the address as well.

The client reports its outcome by its exit status (0 success, 130 interrupted,
anything else failed) or, better, by a line of its output:
{"comfyrec": {"outcome": "success", "prompt_id": "...", "outputs": {...}}}
The outcome is success, error, interrupted, cancelled, rejected, lost or
timed-out.

The scenario 'success' runs first. If the client fails it, or never contacts
the server, no other scenario is run (see --keep-going).

Exit status: 0 nothing failed, 1 something failed or could not be played,
2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from comfyrec import __version__
from comfyrec.check.advice import Fix, blocker, fixes
from comfyrec.check.case import Limits
from comfyrec.check.page import as_html
from comfyrec.check.process_tree import adopting_orphans
from comfyrec.check.recorded import choices_in
from comfyrec.check.render import (
    COLUMNS,
    Again,
    as_junit,
    count_in_words,
    fixes_in_words,
    one_line,
)
from comfyrec.check.result import ScenarioResult, Summary, summary_of
from comfyrec.check.runner import CheckOptions, check_all
from comfyrec.check.summaries import as_badge, as_markdown
from comfyrec.cli import FAILED, FINE, INTERRUPTED
from comfyrec.cli._client_command import (
    LINES,
    above_0,
    command_of,
    flags_again,
    jobs,
    seconds,
    sigterm_interrupts,
)
from comfyrec.cli._parser import AsWritten
from comfyrec.cli._server_flags import add_node_flags, with_nodes
from comfyrec.cli._versions import chosen_era
from comfyrec.cli.terminal.output import tell
from comfyrec.errors import UsageError
from comfyrec.show.page_file import page_files
from comfyrec.wording import plural
from fake_server.options import ServerOptions
from fake_server.scenarios import Choice
from fake_server.server.clock import MAX
from fake_server.surfaces.registry import NATIVE, choose_surface, surface_names

LOG_COLUMNS = 80
MIB = 1024 * 1024
DEFAULT_MEMORY = Limits().memory_bytes
_NOT_PLAYED = frozenset(
    ("scenarios", "keep_going", "jobs", "junit", "html", "badge", "table", "json", "command")
)
"""The flags that say which scenarios are played and what is shown, not how one is played."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec check``."""
    parser.formatter_class = AsWritten
    parser.usage = "comfyrec check [options] -- COMMAND ... {url} ..."
    add = parser.add_argument
    add(
        "--scenarios",
        default="*",
        metavar="GLOB",
        help="names, rows (A1?), categories, cassettes or Python files, with commas; NAME:k=v sets "
        "a parameter; 'comfyrec scenarios' lists them (default: all)",
    )
    add(
        "--surface",
        default="",
        metavar="NAME[:k=v,...]",
        help=f"which API the client speaks: {', '.join(surface_names())} (default: native); it is "
        "put through the scenarios of that, and through those of the others that show on it",
    )
    add(
        "--keep-going",
        action="store_true",
        help="run all scenarios even if the client fails 'success' or never contacts the server",
    )
    add("--timeout", type=seconds, default=30.0, metavar="S", help="seconds per run (%(default)g)")
    add(
        "--late",
        type=seconds,
        default=15.0,
        metavar="S",
        help="seconds from the end of the prompt to the client's report (%(default)g)",
    )
    add(
        "--memory",
        type=_memory,
        default=DEFAULT_MEMORY,
        metavar="MIB|off",
        help="how much a client may grow during a flood of messages (80); on Linux",
    )
    add("--lines", action="store_true", help=LINES)
    add("--jobs", type=jobs, default=1, metavar="N", help="runs at the same time (%(default)s)")
    add(
        "--speed",
        type=_speed,
        default=None,
        metavar="N|max",
        help="of virtual time (default: max, but 1 in scenarios about waiting)",
    )
    add("--seed", type=int, default=0, metavar="N", help="of everything random (%(default)s)")
    add("--comfyui-version", metavar="V", help="which ComfyUI the servers are, as for 'serve'")
    add(
        "--fact",
        action="append",
        default=[],
        metavar="NAME=on|off",
        help="turn one known difference between versions on or off, as for 'serve'",
    )
    add_node_flags(add)
    add("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    add("--html", type=Path, metavar="FILE", help="write an HTML page")
    add("--badge", type=Path, metavar="FILE", help="write a badge: an SVG with the count")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--table", action="store_true", help="print a Markdown table for a README")
    shown.add_argument("--json", action="store_true", help="print the results as JSON")
    add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help=argparse.SUPPRESS)


def _memory(text: str) -> int | None:
    if text == "off":
        return None
    mebibytes = above_0(text, f"{text!r}: memory must be a number of MiB greater than 0, or 'off'")
    return round(mebibytes * MIB)


def _speed(text: str) -> float:
    if text == "max":
        return MAX
    return above_0(text, f"{text!r}: speed must be a number greater than 0, or 'max'")


def run(arguments: argparse.Namespace) -> int:
    """Check, report, and give 1 if anything failed."""
    argv = command_of(arguments.command, "check", lines=arguments.lines)
    surface = choose_surface(arguments.surface or NATIVE)
    choices = choices_in(arguments.scenarios, surface.name)
    era = chosen_era(arguments.comfyui_version, arguments.fact, "check")
    for path in filter(None, (arguments.junit, arguments.html, arguments.badge)):
        _see_that_it_can_be_written(path)
    options = CheckOptions(
        argv=argv,
        lines=arguments.lines,
        timeout_s=arguments.timeout,
        seed=arguments.seed,
        speed=arguments.speed,
        limits=Limits(late_s=arguments.late, memory_bytes=arguments.memory),
        keep_going=arguments.keep_going,
        server=with_nodes(arguments, ServerOptions(era=era, surfaces=(surface,)), "check"),
    )
    results, interrupted = _checked(choices, options, arguments.jobs)
    if interrupted and not results:
        return INTERRUPTED
    summary = summary_of(results, not_run=len(choices) - len(results))
    blocked = (
        blocker(results[0], None if arguments.lines else argv)
        if summary.not_run and not interrupted
        else None
    )
    fixed = fixes(results) if blocked is None else (blocked,)
    again = Again(argv, _flags(arguments), {one.title: one.given for one in choices if one.given})
    about = (f"comfyrec {__version__}", f"as ComfyUI {era.version}", f"seed {arguments.seed}")
    _write(arguments, results, summary, fixed, again, about)
    if arguments.json:
        whole = msgspec.to_builtins({"summary": summary, "fixes": fixed, "results": results})
        print(msgspec.json.format(msgspec.json.encode(whole)).decode())
    elif arguments.table:
        print(as_markdown(results), end="")
    else:
        _print(results, summary, fixed, again, blocked=blocked is not None)
    if interrupted:
        left = plural(summary.not_run, "scenario")
        tell("check", f"it was interrupted: {left} of {summary.scenarios} were not run")
        return INTERRUPTED
    return FINE if all(result.fine for result in results) else FAILED


def _flags(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Those that say how scenarios are played."""
    return flags_again(
        add_arguments,
        arguments,
        but=_NOT_PLAYED,
        written={
            "timeout": "{:g}".format,
            "late": "{:g}".format,
            "memory": lambda size: "off" if size is None else f"{size / MIB:g}",
            "speed": lambda speed: "max" if speed == MAX else f"{speed:g}",
        },
    )


def _checked(
    choices: Sequence[Choice], options: CheckOptions, jobs: int
) -> tuple[list[ScenarioResult], bool]:
    """The results, and whether the check was interrupted before it had all."""
    found: list[ScenarioResult] = []
    try:
        with sigterm_interrupts(), adopting_orphans(), _progress(len(choices)) as shown:

            def keep(result: ScenarioResult) -> None:
                found.append(result)
                shown(result)

            return check_all(choices, options, jobs=jobs, on_result=keep), False
    except KeyboardInterrupt:
        order = {choice.title: number for number, choice in enumerate(choices)}
        return sorted(found, key=lambda result: order[result.name]), True


def _see_that_it_can_be_written(path: Path) -> None:
    """Find out before a long run, not after it."""
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
    """A bar on a terminal, a line for each result elsewhere; on standard error."""
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


# --- afterwards ------------------------------------------------------------------------------


def _write(
    arguments: argparse.Namespace,
    results: Sequence[ScenarioResult],
    summary: Summary,
    fixed: Sequence[Fix],
    again: Again,
    about: Sequence[str],
) -> None:
    if arguments.junit:
        arguments.junit.write_text(as_junit(results, summary), encoding="utf-8")
    if arguments.html:
        style = page_files()["check.css"]
        page = as_html(results, summary, fixed, again=again, style=style, about=about)
        arguments.html.write_text(page, encoding="utf-8")
    if arguments.badge:
        arguments.badge.write_text(as_badge(summary), encoding="utf-8")


def _print(
    results: Sequence[ScenarioResult],
    summary: Summary,
    fixed: Sequence[Fix],
    again: Again,
    *,
    blocked: bool,
) -> None:
    console = _console()
    console.print(_table(results))
    console.print(count_in_words(summary), markup=False)
    if blocked:
        console.print("The other scenarios were not run; --keep-going runs them.")
    if fixed:
        console.print("\nFix first:")
    for line in fixes_in_words(fixed, again):
        console.print(line, markup=False, soft_wrap=True)


def _table(results: Sequence[ScenarioResult]) -> Any:
    """A table for a terminal, by category."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold", box=box.SIMPLE)
    for column in COLUMNS:
        table.add_column(column.title, no_wrap=not column.wraps)
    for _, some in groupby(results, key=lambda result: result.category):
        for result in some:
            cells = [Text(column.text(result), style=column.style(result)) for column in COLUMNS]
            table.add_row(*cells)
        table.add_section()
    return table
