"""What the commands share that run somebody's client: its command line, limits, an orderly end."""

from __future__ import annotations

import argparse
import math
import re
import signal
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from comfyrec.check.runner import PLACES
from comfyrec.errors import UsageError
from comfyrec.wording import nearest

__all__ = [
    "LINES",
    "above_0",
    "command_of",
    "flags_again",
    "jobs",
    "seconds",
    "sigterm_interrupts",
    "whole_number",
]

JOBS_MAX: Final = 64


def seconds(text: str) -> float:
    """A flag's number of seconds."""
    return above_0(text, f"{text!r}: seconds must be a number greater than 0")


def above_0(text: str, wrong: str) -> float:
    """A number above 0; else the sentence ``wrong`` is said."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number <= 0:
        raise argparse.ArgumentTypeError(wrong)
    return number


def whole_number(text: str, what: str, most: int) -> int:
    """A whole number from 1 to ``most``."""
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:20]) <= most:
        raise argparse.ArgumentTypeError(f"{text!r}: {what} must be a number from 1 to {most}")
    return int(text)


def jobs(text: str) -> int:
    """How many commands run at the same time."""
    return whole_number(text, "jobs", JOBS_MAX)


LINES: Final = (
    "the command is started once, lives on and takes jobs by the line protocol (docs/fuzzing.md), "
    "which saves the start of a process per run"
)


def command_of(given: Sequence[str], asked: str, *, lines: bool = False) -> tuple[str, ...]:
    """The client's command, out of all that stands behind the flags of ``comfyrec ASKED``.

    Args:
        given: all that.
        asked: the name of the command of ours.
        lines: it is started once, before there is any server.

    Raises:
        UsageError: there is none, a flag is unknown, or a place cannot be filled in.
    """
    command = tuple(given[1:] if given[:1] == ["--"] else given)
    if not command:
        raise UsageError(
            f"there is no command to {asked}; write it after '--', as in "
            f"comfyrec {asked} -- python client.py {{url}} {{workflow}}"
        )
    if command[0].startswith("-"):
        raise UsageError(
            f"unknown option '{command[0]}'; 'comfyrec {asked} --help' lists the options"
        )
    if lines:
        _refuse_places(command)
    else:
        _refuse_misspelled(command)
    return command


def _refuse_misspelled(command: Sequence[str]) -> None:
    """See that what looks like a place is one; in words of code braces are something else.

    Raises:
        UsageError: it is nearly one.
    """
    for part in command:
        for name in () if re.search(r"\s", part) else re.findall(r"\{(\w+)\}", part):
            meant = None if name in PLACES else nearest(name, PLACES)
            if meant is not None:
                raise UsageError(f"there is no place {{{name}}}; did you mean {{{meant}}}?")


def _refuse_places(command: Sequence[str]) -> None:
    """See that a command that is started once, before there is any server, has no places.

    Raises:
        UsageError: it has one.
    """
    for place in PLACES:
        if any(f"{{{place}}}" in part for part in command):
            raise UsageError(
                f"with --lines the command is started once, so {{{place}}} cannot be filled in; "
                "leave it out, and take that from each job"
            )


def flags_again(
    add_arguments: Callable[[argparse.ArgumentParser], None],
    arguments: argparse.Namespace,
    *,
    but: Container[str],
    written: Mapping[str, Callable[[Any], str]] | None = None,
) -> tuple[str, ...]:
    """The flags that were given, to be written down in a command that does the same again.

    Args:
        add_arguments: of the command.
        arguments: what it was given.
        but: the destinations of flags that say nothing of what is done.
        written: how values are written that were read as something else; by their destinations.
    """
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    found: list[str] = []
    for action in parser._actions:
        value = getattr(arguments, action.dest)
        if not action.option_strings or action.dest in but or value == action.default:
            continue
        flag, write = action.option_strings[-1], (written or {}).get(action.dest, str)
        if action.nargs == 0:
            found.append(flag)
        elif isinstance(value, list) and action.nargs is None:
            found += [part for one in value for part in (flag, write(one))]
        else:
            found += [flag, *map(write, value if isinstance(value, list) else [value])]
    return tuple(found)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """SIGTERM ends the commands as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
