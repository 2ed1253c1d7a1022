"""Say which facts of ComfyUI changed between two servers or versions.

A version is played by the fake server; a running server is asked as 'comfyrec conform' asks it, and
what it has that no fact is about is listed as unknown. Exit status 1 if anything changed or is
unknown.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from comfyrec.cli import FAILED, FINE
from comfyrec.cli._versions import chosen_era
from comfyrec.cli.terminal.output import safe, wrapped
from comfyrec.conform.forms import only_in
from comfyrec.conform.server import LiveServer
from comfyrec.conform.verdict import Change, Seen, changes, known_as, look_at
from comfyrec.errors import CassetteExists, UsageError
from comfyrec.testing.recording import Recording
from comfyrec.versions import FACTS, era_of
from comfyrec.wording import plural, reason
from fake_server.options import ServerOptions
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.node_plan import NodePlans, always

__all__ = ["add_arguments", "run"]

BEFORE: Final = "before.jsonl"
AFTER: Final = "after.jsonl"
# The steps of the chain that is interrupted; all else is over at once.
STEPS_TAKE_TIME: Final = NodePlans(classes={"ImageScale": {"seconds": 0.02}})


class _Unknown(msgspec.Struct, frozen=True):
    """One field of a running server that its facts do not explain."""

    server: str
    where: str
    field: str
    there: bool
    """False: a server with these facts has it, and this one has not."""


class _Drift(msgspec.Struct, frozen=True):
    """What ``--json`` prints."""

    before: str
    after: str
    changes: list[Change]
    unknown: list[_Unknown]
    """What a running server has and nothing is known of, or has not although it should."""
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
    parser.add_argument(
        "--record",
        type=Path,
        metavar="DIR",
        help="keep what the servers said: before.jsonl and after.jsonl in this folder",
    )


def run(arguments: argparse.Namespace) -> int:
    """Look at both, and say what changed."""
    files = dict.fromkeys((BEFORE, AFTER))
    if arguments.record is not None:
        files = {name: _free(arguments.record / name) for name in files}
    before, after = _seen(arguments.a, files[BEFORE]), _seen(arguments.b, files[AFTER])
    drift = _Drift(
        before=arguments.a,
        after=arguments.b,
        changes=changes(before, after),
        unknown=[*_unknown(before), *_unknown(after)],
        not_compared=sorted({*before.unseen, *after.unseen}),
        not_asked=_not_asked(arguments.a, arguments.b, before),
    )
    if arguments.json:
        print(msgspec.json.encode(drift).decode())
    else:
        _tell(drift)
    return FAILED if drift.changes or drift.unknown else FINE


def _unknown(seen: Seen) -> list[_Unknown]:
    """What a running server has beside what a fake one with the same facts has."""
    if "://" not in seen.name:
        return []
    with serve(SimulatedServer(ServerOptions(era=known_as(seen)))) as handle:
        known = look_at(LiveServer(handle.url), seen.name)
    return [
        _Unknown(seen.name, one.where, one.field, there)
        for there, pair in ((True, (seen, known)), (False, (known, seen)))
        for one in only_in(pair[0].forms, pair[1].forms)
    ]


def _free(file: Path) -> Path:
    """A name in ``--record``, before anything is asked."""
    if file.exists():
        raise CassetteExists(str(file), "give --record another folder")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--record {file.parent}: {reason(error)}; give a folder that can be written"
        ) from None
    return file


def _seen(which: str, file: Path | None) -> Seen:
    if "://" in which:
        return _looked_at(which, which, file)
    era_of(which)  # an empty text is not a version, and must not stand for the default one
    options = ServerOptions(era=chosen_era(which, (), "drift"))
    source = SimulatedServer(options, plan_for=always(STEPS_TAKE_TIME))
    with serve(source, speed=1) as handle:
        return _looked_at(handle.url, which, file)


def _looked_at(url: str, which: str, file: Path | None) -> Seen:
    if file is None:
        return look_at(LiveServer(url), which)
    LiveServer(url)  # is it a ComfyUI, before there is a file
    with Recording(url, file) as recording:
        return look_at(LiveServer(f"{recording.url}{urlsplit(url).path}"), which)


def _not_asked(a: str, b: str, seen: Seen) -> list[str]:
    if "://" in a or "://" in b:
        return []
    known = era_of(a).facts ^ era_of(b).facts
    asked = {*seen.facts, *seen.unseen}
    return [fact.name for fact in FACTS if fact.name in known - asked]


def _tell(drift: _Drift) -> None:
    changed = plural(len(drift.changes), "fact") if drift.changes else "no facts"
    print(safe(f"{drift.before} -> {drift.after}: {changed} changed"))
    for one in drift.changes:
        _print(f"  {'new ' if one.after else 'gone'}  ", f"{one.fact}: {one.says} ({one.origin})")
    for what in drift.unknown:
        has = "has" if what.there else "lacks"
        _print("  unknown  ", f"{what.server}: {what.where} {has} {what.field}")
    if drift.not_compared:
        _print("not compared: ", ", ".join(drift.not_compared))
    if drift.not_asked:
        later = era_of(drift.after)
        print("known to differ too, which was not looked at:")
        for fact in (fact for fact in FACTS if fact.name in drift.not_asked):
            change = "new " if later.has(fact.name) else "gone"
            _print(f"  {change}  ", f"{fact.name}: {fact.says} ({fact.origin})")


def _print(beginning: str, text: str) -> None:
    print("\n".join(wrapped(beginning, safe(text))))
