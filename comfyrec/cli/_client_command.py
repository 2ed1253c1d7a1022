"""What the commands share that run somebody's client: its command line, limits, an orderly end."""

from __future__ import annotations

import argparse
import math
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from comfyrec.errors import UsageError

__all__ = [
    "above_0",
    "command_of",
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


def command_of(given: Sequence[str], asked: str) -> tuple[str, ...]:
    """The client's command, out of all that stands behind the flags of ``comfyrec ASKED``.

    Raises:
        UsageError: there is none, or a flag is unknown.
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
    return command


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
