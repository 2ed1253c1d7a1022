"""The parser of all commands: argparse, and what is wrong in one sentence that names a mend."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NoReturn

from comfyrec.wording import alternatives, joined, nearest

__all__ = ["AsWritten", "Parser", "add_cassette"]

_ARGUMENT: Final = re.compile(r"argument (?P<name>.+?): (?P<wrong>.*)", re.DOTALL)
_CHOICE: Final = re.compile(r"invalid choice: (?P<given>.+?) \(choose from .*", re.DOTALL)
_TYPE: Final = re.compile(r"invalid (?P<type>\w+) value: (?P<given>.+)", re.DOTALL)
_OTHER: Final = re.compile(r"not allowed with argument (?P<other>\S+)")
_EXPLICIT: Final = re.compile(r"ignored explicit argument (?P<given>.+)", re.DOTALL)
_ALSO_CALLED: Final = {
    "--port": ("--listen",),
    "--host": ("--listen",),
    "--bind": ("--listen", "--host"),
    "--address": ("--listen", "--host"),
    "--out": ("--output",),
    "--url": ("--upstream", "--server"),
    "--target": ("--upstream", "--server"),
}
"""What other programs call a flag -> what it may be called here."""
_REQUIRED: Final = re.compile(r"the following arguments are required: (?P<names>.+)")
_TYPES: Final = {"int": "a whole number", "float": "a number"}


class _Unbroken(argparse.HelpFormatter):
    """Breaks no flag and no name in two at its hyphens."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return _wrap(" ".join(text.split()), width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = _wrap(" ".join(text.split()), width - len(indent))
        return "\n".join(f"{indent}{line}" for line in lines)


class AsWritten(_Unbroken):
    """The description keeps its lines; the texts of flags are filled."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "".join(f"{indent}{line}" for line in text.splitlines(keepends=True))


def _wrap(text: str, width: int) -> list[str]:
    from textwrap import wrap  # only help is wrapped

    return wrap(text, max(width, 11), break_on_hyphens=False)


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that prints no usage block where something is wrong."""

    _given: tuple[str, ...] = ()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # An option that is cut short would become another one when a new option begins alike.
        usual: dict[str, Any] = {"formatter_class": _Unbroken, "allow_abbrev": False}
        super().__init__(*arguments, **{**usual, **options})

    def parsed(self, arguments: Sequence[str]) -> argparse.Namespace:
        """As ``parse_args``; what nobody knows is named together with what was meant.

        Raises:
            SystemExit: 0 after ``--help``, 2 for wrong use.
        """
        self._given = tuple(arguments)
        found, unknown = self.parse_known_args(arguments)
        if unknown:
            self._refuse(next((one for one in unknown if one.startswith("-")), unknown[0]))
        return found

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and one sentence; argparse calls this with its own words."""
        # What a terminal needs is not imported before there is something to say.
        from comfyrec.cli.terminal.output import safe

        self.exit(2, f"{safe(f'{self.prog}: {self._in_our_words(message)}')}\n")

    def _refuse(self, unknown: str) -> NoReturn:
        if not unknown.startswith("-"):
            self.error(f"'{unknown}' is one argument too many; write {self._form()}")
        name = unknown.partition("=")[0]
        flags = [flag for parser in self._with_parts() for flag in parser._option_string_actions]
        # Compared without the dashes that all of them have in common.
        known = {flag.lstrip("-"): flag for flag in flags}
        meant = known.get(nearest(name.lstrip("-"), known) or "")
        meant = next((one for one in _ALSO_CALLED.get(name, ()) if one in flags), meant)
        hint = f"did you mean '{meant}'?" if meant else f"'{self.prog} --help' lists the options"
        self.error(f"unknown option '{name}'; {hint}")

    def _with_parts(self) -> Iterator[argparse.ArgumentParser]:
        yield self
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from action.choices.values()

    # --- argparse's words -> ours -------------------------------------------------------------

    def _in_our_words(self, message: str) -> str:
        if found := _REQUIRED.fullmatch(message):
            names = found["names"].split(", ")
            are = "is" if len(names) == 1 else "are"
            return f"{joined(names, 'and')} {are} missing; write {self._form()}"
        if found := _ARGUMENT.fullmatch(message):
            return self._of_argument(self._action(found["name"]), found["name"], found["wrong"])
        return message

    def _action(self, name: str) -> argparse.Action | None:
        return next((one for one in self._actions if name in _names(one)), None)

    def _of_argument(self, action: argparse.Action | None, name: str, wrong: str) -> str:
        flag = name.rpartition("/")[2]
        if action is None:
            return f"{flag}: {wrong}"
        if wrong.startswith("expected "):
            return f"{flag} needs a value; write {self._with_value(action)}"
        if found := _CHOICE.fullmatch(wrong):
            choices = [str(one) for one in action.choices or ()]
            return f"{flag} {found['given']}: {alternatives(found['given'].strip(_Q), choices)}"
        if found := _TYPE.fullmatch(wrong):
            kind = _TYPES.get(found["type"], found["type"])
            return f"{flag} {found['given']}: give {kind}"
        if found := _OTHER.fullmatch(wrong):
            other = found["other"].rpartition("/")[2]
            return f"{other} and {flag} cannot be combined; give one of them"
        if found := _EXPLICIT.fullmatch(wrong):
            return f"{flag} takes no value; write it without '={found['given'].strip(_Q)}'"
        return f"{flag} {wrong}"

    def _with_value(self, action: argparse.Action) -> str:
        """The option and its value; argparse wants one that begins with '-' joined to it."""
        for flag, value in pairwise(self._given):
            is_option = value.partition("=")[0] in self._option_string_actions
            if flag in action.option_strings and value.startswith("-") and not is_option:
                return f"{action.option_strings[-1]}={value}"
        return _form_of(action)

    def _form(self) -> str:
        """How the command is written at the least."""
        if self.usage is not None:
            return self.usage
        actions = [one for one in self._actions if one.required]
        options = [_form_of(one) for one in actions if one.option_strings]
        places = [
            _form_of(one) if one.required else f"[{_form_of(one)}]"
            for one in self._actions
            if not one.option_strings
        ]
        return " ".join(["'" + self.prog, *options, *places]) + "'"


_Q: Final = "'\""


def _names(action: argparse.Action) -> tuple[str, ...]:
    """The names that argparse calls an argument by."""
    others = [action.metavar, action.dest]
    return "/".join(action.option_strings), *(one for one in others if isinstance(one, str))


def _form_of(action: argparse.Action) -> str:
    value: Any = action.metavar
    if value is None:
        value = "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    value = value if isinstance(value, str) else " ".join(value)
    return f"{action.option_strings[-1]} {value}" if action.option_strings else value


def add_cassette(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """The argument of a command that reads a recording: ``file``, or ``files`` of which there is
    at least one; ``Path`` either way."""
    parser.add_argument(
        "files" if several else "file",
        nargs="+" if several else None,
        type=Path,
        metavar="FILE",
        help="a cassette, or the name of a bundled one",
    )
