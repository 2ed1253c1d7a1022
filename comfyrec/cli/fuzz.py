"""Let a client do random runs, and make what it fails as small as it can be.

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
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from comfyrec.check.process_tree import adopting_orphans
from comfyrec.cli import FAILED, FINE
from comfyrec.cli._client_command import command_of, seconds, sigterm_interrupts, whole_number
from comfyrec.cli._parser import AsWritten
from comfyrec.cli.terminal.output import safe, tell
from comfyrec.errors import ComfyrecError, ScenarioError, UsageError
from comfyrec.wording import plural

if TYPE_CHECKING:
    from comfyrec.check.long_lived import Client
    from comfyrec.fuzz.search import Fuzzed, FuzzOptions
    from comfyrec.strategies.shrink import Shrunk

__all__ = ["TAKES_COMMAND", "add_arguments", "run"]

TAKES_COMMAND: Final = True
EXAMPLES_MAX: Final = 10_000_000
TOLD_EVERY_S: Final = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec fuzz``."""
    parser.formatter_class = AsWritten
    parser.usage = "comfyrec fuzz [options] -- COMMAND ..."
    add = parser.add_argument
    add(
        "--seconds",
        type=seconds,
        default=60.0,
        metavar="S",
        help="for how long runs are made up (%(default)g)",
    )
    add(
        "--examples",
        type=lambda text: whole_number(text, "examples", EXAMPLES_MAX),
        default=2_000,
        metavar="N",
        help="how many runs at most (%(default)s)",
    )
    add(
        "--scenarios",
        default="",
        metavar="GLOB",
        help="half of the runs are scenarios that fit, but those about waiting or uploads "
        "(default: none)",
    )
    add("--seed", type=int, default=0, metavar="N", help="of everything random (%(default)s)")
    add(
        "--shrink-seconds",
        type=seconds,
        metavar="S",
        help="how long a failing run is made smaller (60, or 12 times --timeout)",
    )
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
    try:
        from comfyrec.fuzz.client_process import client_for
        from comfyrec.fuzz.search import FuzzOptions
        from comfyrec.strategies import scenarios
    except ModuleNotFoundError as missing:
        if missing.name != "hypothesis":
            raise
        raise UsageError("fuzzing needs hypothesis; install comfyrec[hypothesis]") from None
    if arguments.scenarios:
        scenarios(arguments.scenarios)
    options = FuzzOptions(
        examples=arguments.examples,
        seconds=arguments.seconds,
        seed=arguments.seed,
        shrink_s=arguments.shrink_seconds,
        scenarios=arguments.scenarios,
        timeout_s=arguments.timeout,
    )
    with sigterm_interrupts(), adopting_orphans(), client_for(argv) as client:
        if arguments.corpus is not None:
            _make(arguments.corpus)
        found = _known_first(client, arguments.corpus, options) or _drawn(client, options)
        if not found.examples:
            raise UsageError(
                f"--seconds {arguments.seconds:g} ended before the first example had; "
                "give it longer"
            )
        saved = None
        if found.shrunk is not None:
            saved = _saved(client, arguments, found.shrunk, options.timeout_s)
    _tell(arguments, found, saved)
    return FAILED if found.shrunk is not None else FINE


def _make(corpus: Path) -> None:
    """Before a long search, not after it."""
    try:
        corpus.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--corpus {corpus} cannot be made ({error.strerror}); give the name of a folder"
        ) from None


# --- what was found before -----------------------------------------------------------------------


def _known_first(client: Client, corpus: Path | None, options: FuzzOptions) -> Fuzzed | None:
    """The first cassette of the corpus that the client fails."""
    from comfyrec.check.recorded import choices_in
    from comfyrec.fuzz.search import Fuzzed, judged, shrink

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
        failure = judged(client, choice, options.timeout_s)
        if failure is not None:
            took_s = time.monotonic() - began
            shrunk = shrink(client, failure, options)
            return Fuzzed(shrunk=shrunk, examples=number, took_s=took_s)
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
            words = f"{plural(number, 'example')}, {rate:.0f} a minute"
            print(words, file=sys.stderr, flush=True)

    return progress


# --- what is told, and kept ----------------------------------------------------------------------


class _Saved(NamedTuple):
    """Where a run was saved, and whether the client fails it when it is replayed."""

    path: Path
    fails: bool | None
    """None: nobody can be judged by it."""


def _saved(
    client: Client, arguments: argparse.Namespace, shrunk: Shrunk, timeout_s: float
) -> _Saved | None:
    """The run as a cassette; None for a scenario, which has a name."""
    from comfyrec.check.recorded import choices_in
    from comfyrec.fuzz.search import judged
    from comfyrec.strategies import Stream, save_example

    failure = shrunk.failure
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
    try:
        (choice,) = choices_in(str(path))
    except ScenarioError:  # the server that died does not tell how the prompt ended
        return _Saved(path, None)
    return _Saved(path, judged(client, choice, timeout_s) is not None)


def _tell(arguments: argparse.Namespace, found: Fuzzed, saved: _Saved | None) -> None:
    rate = 60 * found.examples / found.took_s if found.took_s else 0.0
    shrunk = found.shrunk
    if arguments.json:
        whole = {
            "examples": found.examples,
            "seconds": round(found.took_s, 3),
            "per_minute": round(rate),
            "seed": arguments.seed,
            "failed_once": found.once,
            "flaky": shrunk is not None and shrunk.flaky,
            "failed": [] if shrunk is None else list(shrunk.failure.failed),
            "says": None if shrunk is None else shrunk.failure.says,
            "shrink_runs": 0 if shrunk is None else shrunk.runs,
            "nothing_can_go": shrunk is not None and shrunk.whole,
            "same_runs": 0 if shrunk is None else shrunk.tried,
            "same_runs_failed": 0 if shrunk is None else shrunk.failed,
            "saved": None if saved is None else str(saved.path),
            "saved_fails": None if saved is None else saved.fails,
        }
        print(msgspec.json.format(msgspec.json.encode(whole)).decode())
        return
    if shrunk is None:
        print(f"Nothing was found in {plural(found.examples, 'example')} ({rate:.0f} a minute).")
        return
    print(
        f"Found in example {found.examples}; this is left after {plural(shrunk.runs, 'more run')}:"
    )
    for line in shrunk.failure.says.splitlines():
        print(safe(f"  {line}"))
    print(safe(_how_sure(shrunk)))
    if others := found.once - (shrunk.failed == 1):
        runs = plural(others, "other run")
        print(f"{runs} failed, and passed whenever repeated; the machine may be too busy.")
    if saved is None:
        return
    if saved.fails:
        print(f"Saved: {saved.path}; comfyrec check --scenarios {saved.path} plays it.")
        return
    why = "the client passes when that is replayed"
    if saved.fails is None:
        why = "it does not say how the prompt ended, so comfyrec serve plays it and check does not"
    again = f"'comfyrec fuzz --seed {arguments.seed}' finds the failure again."
    print(f"Saved: {saved.path}; {why}. {again}")


def _how_sure(shrunk: Shrunk) -> str:
    """What a reader may conclude of what is left."""
    if shrunk.failed == 1 and shrunk.tried > 1:
        return (
            f"It could not be reproduced: the same run passed {shrunk.tried - 1} times afterwards. "
            "So none of this is known to matter; the client is flaky, or was too slow."
        )
    if shrunk.flaky:
        return (
            f"It fails in {shrunk.failed} of {shrunk.tried} runs of just this: the client is "
            "flaky, and some of this may not matter."
        )
    if not shrunk.whole:
        return (
            "The time was over before all was tried, so some of this may not matter; "
            "--shrink-seconds gives it longer."
        )
    return "Nothing of this can be left out: without it the client does not fail like this."
