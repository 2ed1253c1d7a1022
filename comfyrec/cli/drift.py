"""Say which facts of ComfyUI changed between two servers or versions.

A version is played by the fake server; a running server is asked as 'comfyrec conform' asks it.
Exit status 1 if anything changed.
"""

from __future__ import annotations

import argparse

import msgspec

from comfyrec.cli import FAILED, FINE
from comfyrec.cli.terminal.output import safe
from comfyrec.conform.server import LiveServer
from comfyrec.conform.verdict import Change, Seen, changes, look_at
from comfyrec.versions import FACTS, era_of
from fake_server.options import ServerOptions
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer

__all__ = ["add_arguments", "run"]


class _Drift(msgspec.Struct, frozen=True):
    """What ``--json`` prints."""

    before: str
    after: str
    changes: list[Change]
    not_compared: list[str]
    """Facts that one of the two showed nothing of."""
    not_asked: list[str]
    """Facts that changed between two versions, and that no question is about."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec drift``."""
    for name, when in (("a", "before"), ("b", "after")):
        parser.add_argument(
            name,
            metavar=name.upper(),
            help=f"the server {when}: a version such as 0.27.0, or the URL of a running one",
        )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Look at both, and say what changed."""
    before, after = _seen(arguments.a), _seen(arguments.b)
    drift = _Drift(
        before=arguments.a,
        after=arguments.b,
        changes=changes(before, after),
        not_compared=sorted({*before.unseen, *after.unseen}),
        not_asked=_not_asked(arguments.a, arguments.b, before),
    )
    if arguments.json:
        print(msgspec.json.encode(drift).decode())
    else:
        _tell(drift)
    return FAILED if drift.changes else FINE


def _seen(which: str) -> Seen:
    if "://" in which:
        return look_at(LiveServer(which), which)
    source = SimulatedServer(ServerOptions(era=era_of(which)))
    with serve(source) as handle:
        return look_at(LiveServer(handle.url), which)


def _not_asked(a: str, b: str, seen: Seen) -> list[str]:
    if "://" in a or "://" in b:
        return []
    known = era_of(a).facts ^ era_of(b).facts
    asked = {*seen.facts, *seen.unseen}
    return [fact.name for fact in FACTS if fact.name in known - asked]


def _tell(drift: _Drift) -> None:
    print(safe(f"{drift.before} -> {drift.after}: {len(drift.changes) or 'no'} facts changed"))
    for one in drift.changes:
        print(f"  {'new ' if one.after else 'gone'}  {one.fact}: {one.says}")
    if drift.not_compared:
        print(f"not compared: {', '.join(drift.not_compared)}")
    if drift.not_asked:
        print(f"known to differ, and not asked about: {', '.join(drift.not_asked)}")
