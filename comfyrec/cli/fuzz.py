"""Draw random runs, let a client do them, and make what it fails as small as it can be.

    comfyrec fuzz -- python my_lines.py
    comfyrec fuzz -- python client.py {url} {workflow}

A run is a random graph and all that a server says of it, most with one fault:
frames that are lost, twice, torn, unknown, somebody else's; silence, a cut, a
restart; somebody interrupts; now and then a flood of messages. The client is
judged as by 'comfyrec check'.

A client that lives on does thousands of runs in one process: it speaks a
small line protocol on standard input and output (docs/fuzzing.md has it, with
adapters for Python and JavaScript). A command with {url} in it is started for
each run instead.

Exit status: 0 nothing was found, 1 the client failed, 2 wrong use,
130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from comfyrec.check.process_tree import adopting_orphans
from comfyrec.cli import FAILED, FINE
from comfyrec.cli._client_command import command_of, seconds, sigterm_interrupts, whole_number
from comfyrec.cli.terminal.output import safe, tell
from comfyrec.errors import ComfyrecError, UsageError
from comfyrec.wording import plural
from fake_server.scenarios import select

if TYPE_CHECKING:
    from comfyrec.fuzz.client_process import Client
    from comfyrec.fuzz.search import Failure, Fuzzed, FuzzOptions

__all__ = ["TAKES_COMMAND", "add_arguments", "run"]

TAKES_COMMAND: Final = True
EXAMPLES_MAX: Final = 10_000_000
TOLD_EVERY_S: Final = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec fuzz``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "comfyrec fuzz [options] -- COMMAND ..."
    add = parser.add_argument
    add(
        "--seconds",
        type=seconds,
        default=60.0,
        metavar="S",
        help="how long runs are drawn (%(default)g)",
    )
    add(
        "--examples",
        type=lambda text: whole_number(text, "examples", EXAMPLES_MAX),
        default=2_000,
        metavar="N",
        help="how many at most (%(default)s)",
    )
    add(
        "--scenarios",
        default="",
        metavar="GLOB",
        help="half of the runs are scenarios that fit, but those about waiting (default: none)",
    )
    add("--seed", type=int, default=0, metavar="N", help="of everything random (%(default)s)")
    add("--timeout", type=seconds, default=5.0, metavar="S", help="seconds per run (%(default)g)")
    add(
        "--corpus",
        type=Path,
        metavar="DIR",
        help="a folder of cassettes that are tried first; it is made if it is not there, and "
        "what fails is kept in it (default: ./)",
    )
    add("--json", action="store_true", help="one JSON object")
    add("command", nargs="*", metavar="-- COMMAND", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Fuzz, tell, and keep what was found."""
    argv = command_of(arguments.command, "fuzz")
    if arguments.scenarios:
        select(arguments.scenarios)
    try:
        from comfyrec.fuzz.client_process import client_for
        from comfyrec.fuzz.search import FuzzOptions
    except ModuleNotFoundError as missing:
        if missing.name != "hypothesis":
            raise
        raise UsageError("fuzzing needs hypothesis; install comfyrec[hypothesis]") from None
    options = FuzzOptions(
        examples=arguments.examples,
        seconds=arguments.seconds,
        seed=arguments.seed,
        scenarios=arguments.scenarios,
        timeout_s=arguments.timeout,
    )
    with sigterm_interrupts(), adopting_orphans(), client_for(argv) as client:
        if arguments.corpus is not None:
            _make(arguments.corpus)
        found = _known_first(client, arguments.corpus, options.timeout_s) or _drawn(client, options)
    if not found.examples:
        raise UsageError(
            f"--seconds {arguments.seconds:g} ended before the first example had; give it longer"
        )
    _tell(arguments, found)
    return FAILED if found.failure is not None else FINE


def _make(corpus: Path) -> None:
    """Before a long search, not after it."""
    try:
        corpus.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--corpus {corpus} cannot be made ({error.strerror}); give the name of a folder"
        ) from None


# --- what was found before -----------------------------------------------------------------------


def _known_first(client: Client, corpus: Path | None, timeout_s: float) -> Fuzzed | None:
    """The first cassette of the corpus that the client fails."""
    from comfyrec.check.recorded import choices_in
    from comfyrec.fuzz.search import Fuzzed, judged

    if corpus is None:
        return None
    began = time.monotonic()
    files = sorted([*corpus.glob("*.jsonl"), *corpus.glob("*.crec")])
    for number, file in enumerate(files, 1):
        try:
            (choice,) = choices_in(str(file))
        except ComfyrecError as error:
            tell("fuzz", f"left out of the corpus: {error}")
            continue
        failure = judged(client, choice, timeout_s)
        if failure is not None:
            took_s = time.monotonic() - began
            return Fuzzed(failure=failure, examples=number, took_s=took_s)
    return None


# --- what is drawn -------------------------------------------------------------------------------


def _drawn(client: Client, options: FuzzOptions) -> Fuzzed:
    from comfyrec.fuzz.search import fuzz

    return fuzz(client, options, on_example=_progress())


def _progress() -> Callable[[int], None]:
    told_s = began_s = time.monotonic()

    def progress(number: int) -> None:
        nonlocal told_s
        now = time.monotonic()
        if now - told_s >= TOLD_EVERY_S:
            told_s = now
            rate = 60 * number / (now - began_s)
            print(f"{number} examples, {rate:.0f} a minute", file=sys.stderr, flush=True)

    return progress


def _tell(arguments: argparse.Namespace, found: Fuzzed) -> None:
    rate = 60 * found.examples / found.took_s if found.took_s else 0.0
    saved = None if found.failure is None else _saved(arguments, found.failure)
    if arguments.json:
        failure = found.failure
        whole = {
            "examples": found.examples,
            "seconds": round(found.took_s, 3),
            "per_minute": round(rate),
            "seed": arguments.seed,
            "flaky": found.flaky,
            "failed": [] if failure is None else list(failure.failed),
            "says": None if failure is None else failure.says,
            "saved": None if saved is None else str(saved),
        }
        print(msgspec.json.format(msgspec.json.encode(whole)).decode())
        return
    if found.failure is None:
        print(f"Nothing was found in {plural(found.examples, 'example')} ({rate:.0f} a minute).")
        return
    print(f"Found in example {found.examples}, made smaller in {plural(found.shrinks, 'run')}:")
    for line in found.failure.says.splitlines():
        print(safe(f"  {line}"))
    if found.flaky:
        print("The same run did not always fail: the client is flaky, or it is a matter of time.")
    if saved is not None:
        print(f"Saved: {saved}; comfyrec check --scenarios {saved} plays it.")


def _saved(arguments: argparse.Namespace, failure: Failure) -> Path | None:
    """The run as a cassette; None for a scenario, which has a name."""
    from comfyrec.strategies import Stream, save_example

    if not isinstance(failure.drawn, Stream):
        return None
    folder = arguments.corpus or Path()
    label = "-".join((failure.drawn.label, *failure.failed)).lower()
    path = next(
        one
        for number in range(1_000)
        if not (one := folder / f"fuzz-{label}{f'-{number}' if number else ''}.jsonl").exists()
    )
    save_example(failure.drawn, path)
    return path
