"""Check a cassette: all checksums and numbers, and that it replays what it recorded."""

from __future__ import annotations

import argparse
import math
import os
import shlex
from pathlib import Path
from typing import Any

from comfyrec.cassette.files.body_file import BodyFile
from comfyrec.check.command import find_command, run_command
from comfyrec.cli import FAILED, FINE
from comfyrec.cli._parser import add_cassette
from comfyrec.cli.terminal.output import opened, said, tell
from comfyrec.cli.terminal.reading import LostRecords
from comfyrec.errors import UsageError
from comfyrec.timeline import Timeline
from comfyrec.wording import plural

__all__ = ["add_arguments", "run"]

_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec doctor``."""
    add_cassette(parser, several=True)
    parser.add_argument(
        "--client",
        metavar="COMMAND",
        help="replay each file to this command as well; {url} in it becomes the replay's address",
    )
    parser.add_argument(
        "--timeout",
        default="300",
        metavar="S",
        help="how long the command may take (%(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Check each file; exit 3 if something is missing in one, 1 if one does not replay itself."""
    argv = _client(arguments.client)
    timeout_s = _seconds(arguments.timeout)
    statuses = []
    for name in arguments.files:
        statuses.append(_checked(name))
        if argv:
            statuses.append(_replayed_to(argv, name, timeout_s))
    return max(statuses)


def _client(command: str | None) -> list[str]:
    if command is None:
        return []
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--client {command!r}: {error}; close every quote") from None
    if not any("{url}" in word for word in argv):
        raise UsageError(
            f"--client {command!r} does not say where the address goes; write {{url}} in its place"
        )
    find_command(argv)
    return argv


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"--timeout {text}: give a number of seconds above 0")
    return seconds


def _checked(name: Path) -> int:
    with opened(name) as reader:
        lost = LostRecords()
        timeline = Timeline.build(map(lost.seen, reader), store=BodyFile())
        status = said(reader, "doctor")
        misses = _replay_misses(timeline)
    for miss in misses[:_SHOWN]:
        tell("doctor", f"{reader.path}: {miss}")
    if len(misses) > _SHOWN:
        tell("doctor", f"{reader.path}: {len(misses) - _SHOWN} more")
    state = "damaged or cut off" if status else "every checksum and number fits"
    missing = max(status, lost.say(reader.path, "doctor"))
    print(f"{reader.path}: {_verdict(timeline, state, misses, missing=bool(missing))}")
    return missing or (FAILED if misses else FINE)


def _verdict(timeline: Timeline, state: str, misses: list[str], *, missing: bool) -> str:
    held = f"{plural(timeline.records, 'record')}, {plural(len(timeline.all_prompts), 'prompt')}"
    proof = "does not replay itself" if misses else "replays itself"
    return f"{held}; {state}; {'what there is of it ' if missing else ''}{proof}"


def _replayed_to(argv: list[str], name: Path, timeout_s: float) -> int:
    """Serve the file to a command, and say what it asked that was not recorded."""
    from fake_server.replay import Player
    from fake_server.server.thread import serve

    with opened(name) as reader:
        timeline, path = Timeline.build(reader, store=BodyFile()), reader.path
    with serve(Player(timeline, takes_stored=True)) as handle:
        command = [word.replace("{url}", handle.url) for word in argv]
        ran = run_command(command, env=os.environ, timeout_s=timeout_s)
        entries = handle.call(list, handle.server.journal.entries())
    for sentence in _said_of(entries):
        tell("doctor", f"{path}: {sentence}")
    status = "was ended after its time" if ran.status is None else f"ended with {ran.status}"
    asked = sum(entry["what"] == "request" for entry in entries)
    print(f"{path}: the client {status}; {plural(asked, 'request')}")
    return FINE if ran.status == 0 else FAILED


def _said_of(entries: list[dict[str, Any]]) -> list[str]:
    """One sentence for each kind of request that the recording has no answer of its own for."""
    asked = {
        entry["number"]: f"{entry['method']} {entry['target'].partition('?')[0]}"
        for entry in entries
        if entry["what"] == "request"
    }
    found: dict[str, None] = {}
    for entry in entries:
        if entry["what"] != "answer":
            continue
        what = asked.get(entry["number"], "")
        if "unmatched" in entry:
            found[f"{what}: {entry['unmatched']}"] = None
        elif "matched" in entry:
            found[f"{what}: stands for a recorded prompt ({entry['matched']})"] = None
        elif "synthesized" in entry:
            found[f"{what}: not recorded, answered from what was ({entry['synthesized']})"] = None
    return list(found)


def _replay_misses(timeline: Timeline) -> list[str]:
    """What a replay of the recording would say otherwise than the recording."""
    from fake_server.replay import replay_differences  # the first use of the other package

    return replay_differences(timeline)
