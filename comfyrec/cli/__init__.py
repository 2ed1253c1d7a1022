"""The command line: finds the command, turns our errors into one sentence and an exit status.

Exit status (stable): 0 fine, 1 a check or the work failed, 2 wrong use, 3 a file was read as far as
possible and part of it is missing or damaged, 130 interrupted.

Each command is one module with ``add_arguments(parser)`` and ``run(arguments) -> int``. They are
imported when they are asked for, so that ``--help`` stays light.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

from comfyrec import __version__
from comfyrec.cli._parser import AsWritten, Parser
from comfyrec.errors import CassetteError, ComfyrecError
from comfyrec.wording import did_you_mean

__all__ = ["COMMANDS", "entry", "main"]

FINE, FAILED, WRONG_USE, DAMAGED, INTERRUPTED = 0, 1, 2, 3, 130

# command -> its line in --help; the module has the same name, with _ for -.
COMMANDS = {
    "demo": "record a run on an embedded server, replay it and compare",
    "record": "record the traffic between a client and a ComfyUI server",
    "serve": "act as a ComfyUI server: replay a cassette or play a scenario",
    "with": "run a command against a fake server of its own",
    "scenarios": "list what can go wrong, or describe one scenario",
    "check": "run a client through the scenarios and report what it gets wrong",
    "bisect": "find what changed between two versions of ComfyUI that breaks a client",
    "shrink": "make a recording as small as it can be while a client still fails on it",
    "fuzz": "let a client do random runs, and make what it fails as small as it can be",
    "catalogue": "learn node classes from workflows, or say what is known of one",
    "learn-timing": "learn from recordings how long nodes take, for 'serve --timing'",
    "run": "run a workflow on a server, or serve it over HTTP",
    "info": "summarize in ten lines what happened in a cassette",
    "show": "tell the story of a cassette: prompts, nodes, frames, what went wrong",
    "view": "write a recording as one HTML page: time line, frames, pictures",
    "export": "write recordings for other tools: perfetto, otlp, har, jsonl, csv, parquet",
    "stats": "answer questions over many recordings: run times, cache, queue, errors",
    "schema": "print JSON Schema or TypeScript types of events, records, stories and diffs",
    "diff": "compare two recordings: new, gone, changed, reordered",
    "drift": "say which facts changed between two servers or versions",
    "conform": "say which ComfyUI a server speaks, and where it departs from it",
    "cat": "print the records of a cassette",
    "doctor": "check a cassette, and that it replays what it recorded",
    "recover": "save the undamaged part of a cassette as a new one",
    "redact": "write a cassette anew with stand-ins for what it tells of people",
    "scan": "say what a cassette still tells; exit 1 if it holds a secret",
    "report": "make one archive for a bug report: redacted, with story and page",
    "convert": "convert a cassette, a capture, a HAR file or a workflow",
}


def _top_parser() -> Parser:
    from comfyrec.cli.terminal.output import wrapped

    width = max(map(len, COMMANDS))
    listing = "\n".join(
        "\n".join(wrapped(f"  {name:<{width}}  ", line)) for name, line in COMMANDS.items()
    )
    parser = Parser(
        prog="comfyrec",
        description="Record, replay and simulate ComfyUI servers.",
        usage="comfyrec [--help] [--version] COMMAND ...",
        epilog=f"commands:\n{listing}\n\n'comfyrec COMMAND --help' describes one command.",
        formatter_class=AsWritten,
    )
    parser.add_argument("--version", action="version", version=f"comfyrec {__version__}")
    return parser


def _command(name: str) -> ModuleType | None:
    if name not in COMMANDS:
        hint = did_you_mean(name, COMMANDS, otherwise="'comfyrec --help' lists the commands")
        print(f"comfyrec: unknown command '{name}'; {hint}", file=sys.stderr)
        return None
    return importlib.import_module(f"comfyrec.cli.{name.replace('-', '_')}")


def main(argv: Sequence[str] | None = None, *, loaded: Callable[[], object] = lambda: None) -> int:
    """Run one command and return its exit status.

    Args:
        argv: the command and what it is given; None: what the program was given.
        loaded: called when the command is there and about to run.
    """
    try:
        return _main(argv, loaded)
    except KeyboardInterrupt:  # loading a command and its flags takes a moment
        return INTERRUPTED


def _main(argv: Sequence[str] | None, loaded: Callable[[], object]) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0].startswith("-"):
        parser = _top_parser()
        try:
            parser.parsed(arguments)
        except SystemExit as end:
            return int(end.code or 0)
        parser.print_help(sys.stderr)
        return WRONG_USE
    name, *rest = arguments
    module = _command(name)
    if module is None:
        return WRONG_USE
    parser = Parser(prog=f"comfyrec {name}", description=module.__doc__)
    module.add_arguments(parser)
    # Flags may stand before and behind a FILE, and all behind '--' is somebody's command.
    takes_command = getattr(module, "TAKES_COMMAND", False)
    at = rest.index("--") if takes_command and "--" in rest else len(rest)
    try:
        parsed = parser.parsed(rest[:at])
        if takes_command:
            parsed.command = [*parsed.command, *rest[at + 1 :]]
    except SystemExit as end:
        return int(end.code or 0)
    loaded()
    return _run(name, module, parsed)


def _run(name: str, module: ModuleType, parsed: argparse.Namespace) -> int:
    try:
        return int(module.run(parsed))
    except BrokenPipeError:
        # The reader of our output is gone (`comfyrec cat | head`): nothing is left to do.
        _forget_output()
        return FINE
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        _forget_output()
        print(f"comfyrec {name}: standard output is on a full disk; free some", file=sys.stderr)
        return FAILED
    except ComfyrecError as error:
        print(f"comfyrec {name}: {error}", file=sys.stderr)
        return getattr(error, "status", DAMAGED if isinstance(error, CassetteError) else WRONG_USE)


def _forget_output() -> None:
    """Let what is still buffered for standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def entry(loaded: Callable[[], object] = lambda: None) -> None:
    """The same as a program: with the arguments and the exit status of one."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(main(loaded=loaded))
