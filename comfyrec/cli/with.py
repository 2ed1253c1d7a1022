"""Run a command against a fake server of its own, and end the server with it.

    comfyrec with --scenario ws-silent -- npm test

The server takes a free port, and the command finds its address in COMFYUI_URL,
COMFYUI_HOST, COMFYUI_PORT and the other variables that ComfyUI tools read.
Virtual time does not wait, except in scenarios that are about waiting.

Exit status: that of the command (128 and the signal's number if a signal ended
it), 2 for wrong use.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from comfyrec.check.command import find_command
from comfyrec.check.process_tree import adopting_orphans
from comfyrec.cli._parser import AsWritten
from comfyrec.cli.serve import add_server_flags, complain, started
from comfyrec.client.address import address_variables
from comfyrec.errors import UsageError
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.journal_lines import timeline_lines

JOURNAL: Final = ("fail", "always", "never")
_FORWARDED: Final = ("SIGTERM", "SIGHUP", "SIGINT")
EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
"""Addresses that are listened on and not called, and what is called instead."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec with``."""
    parser.formatter_class = AsWritten
    parser.usage = "comfyrec with [options] -- COMMAND ..."
    add = parser.add_argument
    add("--cassette", dest="file", metavar="FILE", help="a cassette to replay, or a bundled one")
    add(
        "--journal",
        choices=JOURNAL,
        default="fail",
        help="when to print what the server was asked and sent (%(default)s)",
    )
    add_server_flags(parser)
    parser.set_defaults(told_by="with", port="0", usual_speed="auto")
    add("command", nargs=argparse.REMAINDER, metavar="-- COMMAND", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Start the server, run the command, end both; gives the command's status."""
    argv = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not argv:
        raise UsageError("there is no command to run; write it after '--'")
    find_command(argv)
    with adopting_orphans(), closing(started(arguments)[0]) as server:
        status = _status_of(argv, {**os.environ, **_variables(server)})
        complain(arguments, server)
        if arguments.journal == "always" or (arguments.journal == "fail" and status != 0):
            _print_journal(server, argv[0], status)
    return status


def _variables(server: ComfyUI) -> dict[str, str]:
    called = EVERYWHERE.get(server.host)
    listened = f"[{server.host}]" if ":" in server.host else server.host
    url = server.url.replace(f"//{listened}:", f"//{called}:") if called else server.url
    return address_variables(url)


def _status_of(argv: list[str], env: dict[str, str]) -> int:
    try:
        process = subprocess.Popen(argv, env=env)
    except (OSError, ValueError) as error:
        raise UsageError(f"the command '{argv[0]}' cannot be started: {error}") from None
    before = {number: signal.signal(number, _forward_to(process)) for number in _signals()}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _signals() -> list[signal.Signals]:
    return [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]


def _forward_to(process: subprocess.Popen[bytes]) -> Callable[[int, Any], None]:
    def forward(number: int, _: Any) -> None:
        # A terminal sends Ctrl-C to all processes of its foreground group, the command among them.
        if number != signal.SIGINT or not sys.stdin.isatty():
            process.send_signal(number)

    return forward


def _print_journal(server: ComfyUI, name: str, status: int) -> None:
    print(f"comfyrec with: '{name}' ended with {status}; the server saw:", file=sys.stderr)
    for line in timeline_lines(server.timeline()):
        print(line, file=sys.stderr)
