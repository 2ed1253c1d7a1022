"""Check a cassette: all checksums and numbers, and that it replays what it recorded."""

from __future__ import annotations

import argparse
from pathlib import Path

from comfyrec.cassette.files import Reader
from comfyrec.cassette.records import AnyRecord, Note
from comfyrec.cli import FAILED, FINE
from comfyrec.cli.terminal.output import opened, said, tell
from comfyrec.timeline import Timeline

__all__ = ["add_arguments", "run"]

_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec doctor``."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a path or a name")


def run(arguments: argparse.Namespace) -> int:
    """Check each file; exit 3 if one is damaged, 1 if one does not replay itself."""
    return max(_checked(name) for name in arguments.files)


def _checked(name: Path) -> int:
    with opened(name) as reader:
        lost = _Lost()
        timeline = Timeline.build(map(lost.seen, reader))
        status = said(reader, "doctor")
        misses = _replay_misses(timeline)
    for miss in misses[:_SHOWN]:
        tell("doctor", f"{reader.path}: {miss}")
    if len(misses) > _SHOWN:
        tell("doctor", f"{reader.path}: {len(misses) - _SHOWN} more")
    if lost.count:
        tell("doctor", f"{reader.path}: its recorder could not write {lost.count} records")
    print(f"{reader.path}: {_verdict(reader, timeline, misses, status)}")
    return status or (FAILED if misses else FINE)


class _Lost:
    """Records that never reached the file, as its recorder noted."""

    def __init__(self) -> None:
        self.count = 0

    def seen(self, record: AnyRecord) -> AnyRecord:
        if isinstance(record, Note) and record.what == "lost":
            self.count += record.count
        return record


def _verdict(reader: Reader, timeline: Timeline, misses: list[str], status: int) -> str:
    held = f"{timeline.records} records, {len(timeline.prompts)} prompts"
    state = "damaged or cut off" if status else "every checksum and number fits"
    proof = "does not replay itself" if misses else "replays itself"
    return f"{held}; {state}; {proof}"


def _replay_misses(timeline: Timeline) -> list[str]:
    """What a replay of the recording would say otherwise than the recording."""
    from fake_server.replay import replay_differences  # the first use of the other package

    return replay_differences(timeline)
