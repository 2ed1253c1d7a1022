"""Make a recording as small as it can be while a client still fails on it.

    comfyrec shrink session.jsonl -- python client.py {url} {workflow}
    comfyrec shrink foreign-executing-null -- python client.py {url} {workflow}

The recording is replayed to the client again and again, each time with less
of it: prompts, connections and HTTP exchanges, then messages, then their
fields, then delays. A cut counts only if the client fails as it did on the
whole, and a correct client (comfyrec's own) passes. Of a scenario a run of
the correct client is recorded first.

What is left is saved as a cassette, and if asked as a scenario or a test.
The places in the command are those of 'comfyrec check'.

Exit status: 0 it was shrunk, 1 the client does not fail on it, 2 wrong use,
3 the cassette is damaged, 130 interrupted (what was found so far is saved).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from comfyrec.cassette.files import bundled, write_cassette
from comfyrec.cassette.records import AnyRecord, Session
from comfyrec.check.causes.parts import Cut, Parts
from comfyrec.check.causes.shrink import shrunk
from comfyrec.check.causes.shrink_files import Remains, scenario_file, test_file
from comfyrec.check.causes.shrink_trials import Failing, NeverFails
from comfyrec.check.causes.trials import Repeat, Trials
from comfyrec.check.process_tree import adopting_orphans
from comfyrec.cli import FAILED, FINE
from comfyrec.cli._client_command import (
    LINES,
    command_of,
    jobs,
    seconds,
    sigterm_interrupts,
    whole_number,
)
from comfyrec.cli._parser import AsWritten
from comfyrec.cli.terminal.output import opened, safe, said, tell
from comfyrec.errors import CassetteExists, UsageError
from comfyrec.wording import plural
from fake_server.scenarios import ALIASES, Choice, choose, names

__all__ = ["TAKES_COMMAND", "add_arguments", "run"]

TAKES_COMMAND: Final = True

RUNS_MAX: Final = 10_000
LEFT_SHOWN: Final = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec shrink``."""
    parser.formatter_class = AsWritten
    parser.usage = "comfyrec shrink FILE|SCENARIO [options] -- COMMAND ... {url} ..."
    add = parser.add_argument
    add("what", metavar="FILE|SCENARIO", help="a cassette, or a scenario as NAME[:k=v,...]")
    add("-o", "--output", type=Path, metavar="FILE", help="the cassette (NAME.shrunk.jsonl)")
    add("--scenario", type=Path, metavar="FILE.py", help="write what is left as a scenario, too")
    add("--test", type=Path, metavar="FILE.py", help="write it as a pytest test of the command")
    add("--overwrite", action="store_true", help="replace files that exist")
    add("--timeout", type=seconds, default=6.0, metavar="S", help="seconds per run (%(default)g)")
    add("--lines", action="store_true", help=LINES)
    add("--jobs", type=jobs, default=4, metavar="N", help="runs at the same time (%(default)s)")
    add(
        "--runs",
        type=lambda text: whole_number(text, "runs", RUNS_MAX),
        default=60,
        metavar="N",
        help="most runs of the client (%(default)s)",
    )
    add(
        "--repeat",
        default="1",
        metavar="N-of-M",
        help="for a flaky client: run each cut M times; N alike failures make one (%(default)s)",
    )
    add("--seed", type=int, default=0, metavar="N", help="of everything random (%(default)s)")
    add("--json", action="store_true", help="one JSON object")
    add("command", nargs="*", metavar="-- COMMAND", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Shrink, save, and tell what is left."""
    argv = command_of(arguments.command, "shrink", lines=arguments.lines)
    output = arguments.output or Path(f"{_stem(arguments.what)}.shrunk.jsonl")
    for path in filter(None, (output, arguments.scenario, arguments.test)):
        if path.exists() and not arguments.overwrite:
            raise CassetteExists(str(path))
    repeat = Repeat.from_text(arguments.repeat)
    status = FINE
    with sigterm_interrupts(), adopting_orphans():
        trials = Trials(argv, jobs=arguments.jobs, repeat=repeat, lines=arguments.lines)
        with trials:
            records, choice, status = _recording(arguments)
            parts = Parts(records)
            failing = Failing(
                parts,
                trials,
                argv,
                choice=choice,
                where=arguments.what,
                timeout_s=arguments.timeout,
                seed=arguments.seed,
                lines=arguments.lines,
                runs_max=arguments.runs,
                on_tried=_log,
            )
            interrupted = False
            try:
                failing.begin()
                cut, whole = shrunk(parts, failing, ends_stay=failing.hangs, width=arguments.jobs)
            except NeverFails as never:
                print(safe(f"{arguments.what}: {never}"))
                return FAILED
            except KeyboardInterrupt:
                interrupted, cut, whole = True, failing.best, False
    if trials.flaky:
        tell("shrink", "the client is flaky: the same cut gave different results; see --repeat")
    left = _Left(arguments, parts, failing, cut, whole, trials.runs)
    left.save(argv, output)
    print(left.json() if arguments.json else safe_lines(left.lines(output)))
    return 130 if interrupted else status


def safe_lines(lines: Sequence[str]) -> str:
    """Lines for a terminal."""
    return "\n".join(map(safe, lines))


def _stem(what: str) -> str:
    return Path(what).stem if Path(what).suffix else what.partition(":")[0]


def _log(parts_left: str, failed: bool) -> None:
    print(f"{parts_left}: {'still fails' if failed else 'no'}", file=sys.stderr, flush=True)


# --- what is shrunk ------------------------------------------------------------------------------


def _recording(
    arguments: argparse.Namespace,
) -> tuple[list[AnyRecord], Choice | None, int]:
    """The records of a cassette, or of a run in a scenario."""
    what = arguments.what
    is_file = Path(what).suffix in (".jsonl", ".crec") or Path(what).exists()
    is_scenario = what.partition(":")[0] in (*names(), *ALIASES)
    if is_file or (what in bundled() and not is_scenario):
        with opened(what) as reader:
            records = list(reader)
            return records, None, said(reader, "shrink")
    from comfyrec.testing.record_scenario import recorded_scenario_run

    choice = choose(what)
    return recorded_scenario_run(choice, arguments.seed), choice, FINE


# --- what is left --------------------------------------------------------------------------------


class _Left:
    """What came of it, in words and in files."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        parts: Parts,
        failing: Failing,
        cut: Cut,
        whole: bool,
        runs: int,
    ) -> None:
        self._arguments, self._parts, self._failing = arguments, parts, failing
        self._cut, self._whole, self._runs = cut, whole, runs
        self.exchanges, self.messages = parts.left(cut)

    def lines(self, output: Path) -> list[str]:
        """The story."""
        all_exchanges, all_messages = self._parts.left(Cut())
        were = (
            f"{plural(len(all_messages), 'message')} and {plural(len(all_exchanges), 'exchange')}"
        )
        lines = [
            f"Of {were}, {plural(len(self.messages), 'message')} and "
            f"{plural(len(self.exchanges), 'exchange')} are left after {plural(self._runs, 'run')}:"
        ]
        lines += [f"  {part.says}" for part in self.exchanges[:LEFT_SHOWN]]
        lines += [f"  <- {part.says}" for part in self.messages[:LEFT_SHOWN]]
        more = len(self.messages) - LEFT_SHOWN
        lines += [f"  and {plural(more, 'more message')}"] if more > 0 else []
        lines += list(self._failing.story(self._cut, len(self.messages)))
        if not self._whole:
            lines.append(
                f"It may not be the least: the search ended after {plural(self._runs, 'run')} "
                f"(--runs {self._arguments.runs})."
            )
        lines.append(f"Saved: {', '.join(map(str, self._files(output)))}")
        return lines

    def _files(self, output: Path) -> list[Path]:
        asked = (output, self._arguments.scenario, self._arguments.test)
        return [path for path in asked if path is not None]

    def json(self) -> str:
        """The same for a program."""
        whole: dict[str, Any] = {
            "runs": self._runs,
            "complete": self._whole,
            "why": self._failing.why,
            "exchanges": [part.says for part in self.exchanges],
            "messages": [part.says for part in self.messages],
            "needs_delays": not self._cut.at_once,
        }
        return msgspec.json.format(msgspec.json.encode(whole)).decode()

    def save(self, argv: Sequence[str], output: Path) -> None:
        """Write the files."""
        records = self._parts.records(self._cut)
        first = records[0]
        if isinstance(first, Session):
            about = {**first.about, "note": f"shrunk: {self._failing.why}"}
            records[0] = msgspec.structs.replace(first, about=about)
        write_cassette(output, records, overwrite=self._arguments.overwrite)
        remains = Remains(
            name=_stem(output.name.replace(".shrunk", "")),
            summary=self._failing.why,
            truth=self._failing.truth,
            cassette=output,
            argv=tuple(argv),
            lines=self._arguments.lines,
            story=tuple(self.lines(output)[:-1]),
        )
        for path, text in (
            (self._arguments.scenario, scenario_file),
            (self._arguments.test, test_file),
        ):
            if path is not None:
                try:
                    path.write_text(text(path, remains), encoding="utf-8")
                except OSError as error:
                    raise UsageError(
                        f"{path} cannot be written ({error.strerror}); give another file"
                    ) from None
