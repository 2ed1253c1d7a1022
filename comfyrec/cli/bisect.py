"""Find what changed between two versions of ComfyUI that breaks a client.

  comfyrec bisect --good 0.27.0 --bad 0.3.40 -- python client.py {url}
  comfyrec bisect --good 0.27.0 -- python client.py {url} {workflow}

What a release changed in its messages and answers is kept as facts, such as
progress_state. The client has to pass on the good version and to fail on the
bad one. The search goes over the releases between them, then over the single
facts that changed there ('comfyrec serve --comfyui-version list' prints all
facts; docs/protocol.md describes them). Without --bad every fact is tried for
itself: what is named is all that the client depends on.

The places in the command are those of 'comfyrec check'. To compare two
versions without a client, see 'comfyrec drift'.

Exit status: 0 a fact was found (or, without --bad, searched for), 1 nothing
makes the difference, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from comfyrec.check.causes.bisect import Culprit, Found, bisect, dependencies, flags_for, where
from comfyrec.check.causes.trials import Repeat, Trial, Trials, why
from comfyrec.check.process_tree import adopting_orphans
from comfyrec.check.recorded import choices_in
from comfyrec.check.result import ScenarioResult
from comfyrec.check.runner import CheckOptions
from comfyrec.cli import FAILED, FINE
from comfyrec.cli._client_command import (
    LINES,
    command_of,
    flags_again,
    jobs,
    seconds,
    sigterm_interrupts,
)
from comfyrec.cli._parser import AsWritten
from comfyrec.cli._versions import chosen_era
from comfyrec.cli.terminal.output import safe, tell
from comfyrec.errors import UsageError
from comfyrec.versions import NEWEST_KNOWN, Era, era_of, is_beyond_known
from comfyrec.wording import plural
from fake_server.options import ServerOptions

__all__ = ["TAKES_COMMAND", "add_arguments", "run"]

TAKES_COMMAND: Final = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec bisect``."""
    parser.formatter_class = AsWritten
    parser.usage = "comfyrec bisect --good V [--bad V] [options] -- COMMAND ... {url} ..."
    add = parser.add_argument
    add("--good", required=True, metavar="V", help="a version on which the client passes")
    add("--bad", metavar="V", help="a version on which it fails, older or newer")
    add(
        "--fact",
        action="append",
        default=[],
        metavar="NAME=on|off",
        help="one fact more or less on the bad side (of --good, if there is no --bad)",
    )
    add(
        "--scenarios",
        default="success",
        metavar="GLOB",
        help="where it passes and fails: as for 'comfyrec check' (%(default)s)",
    )
    add("--timeout", type=seconds, default=10.0, metavar="S", help="seconds per run (%(default)g)")
    add("--lines", action="store_true", help=LINES)
    add("--jobs", type=jobs, default=2, metavar="N", help="runs at the same time (%(default)s)")
    add(
        "--repeat",
        default="1",
        metavar="N-of-M",
        help="for a flaky client: run each case M times; N alike failures make one (%(default)s)",
    )
    add("--seed", type=int, default=0, metavar="N", help="of everything random (%(default)s)")
    add("--json", action="store_true", help="one JSON object")
    add("command", nargs="*", metavar="-- COMMAND", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Search, and say what was found."""
    argv = command_of(arguments.command, "bisect", lines=arguments.lines)
    good = _known_era("--good", arguments.good, [])
    has_bad = arguments.bad is not None or arguments.fact
    flag, version = ("--bad", arguments.bad) if arguments.bad else ("--good", arguments.good)
    bad = _known_era(flag, version, arguments.fact) if has_bad else None
    if bad is not None and bad.facts == good.facts:
        raise UsageError(
            f"--bad {arguments.bad} has the same facts as --good {arguments.good}; give another "
            f"version, or leave --bad out to try every fact"
        )
    repeat = Repeat.from_text(arguments.repeat)
    with (
        sigterm_interrupts(),
        adopting_orphans(),
        Trials(argv, jobs=arguments.jobs, repeat=repeat, lines=arguments.lines) as trials,
    ):
        judge = _Judge(arguments, argv, trials)
        found = dependencies(good, judge) if bad is None else bisect(good, bad, judge)
    if trials.flaky:
        tell("bisect", "the client is flaky: the same server gave different results")
    if arguments.json:
        whole = {**msgspec.to_builtins(found), "runs": trials.runs}
        print(msgspec.json.format(msgspec.json.encode(whole)).decode())
    else:
        _tell(found, arguments, argv, trials.runs)
    if found.unfit:
        return FAILED
    return FINE if bad is None or any(one.facts for one in found.culprits) else FAILED


def _known_era(flag: str, version: str, facts: Sequence[str]) -> Era:
    """Between releases of which something is known there may be a difference."""
    try:
        era = era_of(version)
    except UsageError as error:
        raise UsageError(f"{flag}: {error}") from None
    if is_beyond_known(era):
        raise UsageError(
            f"{flag} {version}: nothing is known of that release; give one up to {NEWEST_KNOWN}"
        )
    return chosen_era(version, facts, "bisect")


class _Judge:
    """How the client does on some servers; each server is asked once."""

    def __init__(
        self, arguments: argparse.Namespace, argv: tuple[str, ...], trials: Trials
    ) -> None:
        self._choices = choices_in(arguments.scenarios)
        self._options = CheckOptions(
            argv=argv,
            timeout_s=arguments.timeout,
            seed=arguments.seed,
            lines=arguments.lines,
            keep_going=True,
        )
        self._trials, self._known = trials, dict[Era, str]()

    def __call__(self, eras: Sequence[Era]) -> list[str]:
        fresh = [era for era in dict.fromkeys(eras) if era not in self._known]
        asked = [self._trial(era, number) for era in fresh for number in range(len(self._choices))]
        results = self._trials.results(asked)
        each = len(self._choices)
        for at, era in enumerate(fresh):
            self._known[era] = _first_failure(results[at * each : (at + 1) * each])
            _log(era, self._known[era])
        return [self._known[era] for era in eras]

    def _trial(self, era: Era, number: int) -> Trial:
        server = ServerOptions(era=era)
        options = msgspec.structs.replace(self._options, server=server)
        return Trial(self._choices[number], options)


def _first_failure(results: Sequence[ScenarioResult]) -> str:
    failing = [result for result in results if result.status == "fail"]
    return f"in {failing[0].name} {why(failing[0])}" if failing else ""


def _log(era: Era, failure: str) -> None:
    switched = sorted(era.facts ^ era_of(era.version).facts)
    some = f" with {plural(len(switched), 'fact')} switched" if len(switched) > 1 else ""
    one = f" with {switched[0]}={'on' if era.has(switched[0]) else 'off'}" if switched else ""
    print(
        safe(f"{era.version}{some or one}: {f'fails: {failure}' if failure else 'passes'}"),
        file=sys.stderr,
        flush=True,
    )


def _tell(found: Found, arguments: argparse.Namespace, argv: Sequence[str], runs: int) -> None:
    if found.unfit:
        print(safe(f"There is nothing to search for: {found.unfit}."))
        print(_mend(found, arguments))
        return
    for number, culprit in enumerate(found.culprits, 1):
        _tell_one(number, culprit, arguments, argv)
    if not found.culprits:
        print(
            f"The client depends on none of the facts that ComfyUI {arguments.good} has or lacks."
        )
    if found.rest:
        print(safe(f"With all of this as on the good side the client still fails: {found.rest}."))
    print(plural(runs, "run"))


def _mend(found: Found, arguments: argparse.Namespace) -> str:
    if "too:" in found.unfit:
        return "Give a --good version on which the client passes."
    return (
        "Give a --bad version on which it fails, --scenarios in which it does, "
        "or leave --bad out to try every fact."
    )


def _tell_one(
    number: int, culprit: Culprit, arguments: argparse.Namespace, argv: Sequence[str]
) -> None:
    if not culprit.facts:
        print(
            f"{number}. No fact of the wire: the client passes on {culprit.passes} and fails on "
            f"{culprit.fails}, and what differs besides is the node classes."
        )
        print(safe(f"   What goes wrong: {culprit.why}."))
        return
    state = "is there" if culprit.on else "is missing"
    print(f"{number}. {' and '.join(culprit.facts)} {state} ({where(culprit)}):")
    for says, origin in zip(culprit.says, culprit.origins, strict=True):
        print(f"   {says} ({origin}).")
    print(safe(f"   What goes wrong: {culprit.why}."))
    scenarios, version = shlex.quote(arguments.scenarios), shlex.quote(arguments.good)
    case = f"--scenarios {scenarios} --comfyui-version {version}{_flags(arguments)}"
    command = safe(shlex.join(argv))
    print(f"   To reproduce: comfyrec check {case} {flags_for(culprit)} -- {command}")


def _flags(arguments: argparse.Namespace) -> str:
    """Those that say how a scenario is played, and that 'comfyrec check' has too."""
    given = flags_again(
        add_arguments,
        arguments,
        but=("good", "bad", "fact", "scenarios", "jobs", "repeat", "json", "command"),
        written={"timeout": "{:g}".format},
    )
    return "".join(f" {shlex.quote(part)}" for part in given)
