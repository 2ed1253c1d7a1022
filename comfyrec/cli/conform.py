"""Say which ComfyUI a running server speaks, and in which facts it departs from that generation.

Nothing on the server is deleted or cleared: it is asked questions, and unless it is busy a few
small prompts are run, of which one is interrupted. Exit status 1 if anything departs.
"""

from __future__ import annotations

import argparse

import msgspec

from comfyrec.cli import FAILED, FINE
from comfyrec.cli.terminal.output import safe
from comfyrec.conform.server import LiveServer
from comfyrec.conform.verdict import Verdict, judge, look_at

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec conform``."""
    parser.add_argument("url", metavar="URL", help="the server, such as http://127.0.0.1:8188")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Ask, and say what was found."""
    verdict = judge(look_at(LiveServer(arguments.url), arguments.url))
    if arguments.json:
        print(msgspec.json.encode(verdict).decode())
    else:
        _tell(verdict)
    return FAILED if verdict.departures or verdict.broken else FINE


def _tell(verdict: Verdict) -> None:
    print(
        safe(
            f"{verdict.server} speaks ComfyUI {verdict.generation}: "
            f"{verdict.agreed} of {verdict.looked_at} facts, "
            f"{verdict.rules - len(verdict.broken)} of {verdict.rules} rules of all versions"
        )
    )
    if verdict.claims not in (None, verdict.generation):
        print(safe(f"it says of itself that it is {verdict.claims}"))
    for one in verdict.departures:
        print(f"  {'lacks' if one.expected else 'has'} {one.fact}: {one.says}")
    for broken in verdict.broken:
        print(safe(f"  breaks {broken.rule}: {broken.says}; {broken.saw}"))
    if verdict.unseen:
        print(f"not looked at: {', '.join(verdict.unseen)}")
