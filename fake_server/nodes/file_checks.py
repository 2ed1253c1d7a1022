"""What classes say themselves of a prompt's values before it runs (their VALIDATE_INPUTS).

Loaders look for the files; a few classes take whatever stands there, in no list.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from fake_server.nodes.behaviour import LoadsFile
from fake_server.nodes.catalogue import NodeClass
from fake_server.nodes.values import is_link

__all__ = ["file_checks", "self_checked"]


def self_checked(kind: NodeClass) -> Container[str]:
    """The inputs that a class checks itself."""
    checked = kind.behaviour.file or kind.behaviour.accepts
    return () if checked is None else (checked.input,)


def file_checks(
    exists: Callable[[NodeClass, str], bool],
) -> Callable[[NodeClass, Mapping[str, Any]], Sequence[tuple[str, str | None]]]:
    """The classes' own check: input and complaint of each file that does not exist.

    It breaks on what the real one breaks on: ``TypeError`` without the input, ``AttributeError``
    for what is not a text. The validator reports that as it reports every exception.
    """

    def check(kind: NodeClass, given: Mapping[str, Any]) -> Sequence[tuple[str, str | None]]:
        loads = kind.behaviour.file
        if loads is None:
            accepts = kind.behaviour.accepts
            if accepts is not None and accepts.owner is not None:
                _break_without(kind, accepts.owner, accepts.input, given)
            return ()
        file = _argument(kind, loads, given)
        if exists(kind, file):
            return ()
        return [(loads.input, f"{loads.missing}{file}")]

    return check


def _argument(kind: NodeClass, loads: LoadsFile, given: Mapping[str, Any]) -> str:
    """What the class's own check is called with, if that does not break it.

    Raises:
        TypeError: the input is missing, so the check is called without it.
        AttributeError: it is not a text; a link stands for None, for nothing has run yet.
    """
    name = loads.input
    _break_without(kind, loads.inherited_from or kind.name, name, given)
    file = None if is_link(given[name]) else given[name]
    if not isinstance(file, str):
        raise AttributeError(f"{type(file).__name__!r} object has no attribute 'endswith'")
    return file


def _break_without(kind: NodeClass, owner: str, name: str, given: Mapping[str, Any]) -> None:
    if name not in given:
        check = "validate_inputs" if kind.v3 else "VALIDATE_INPUTS"
        raise TypeError(f"{owner}.{check}() missing 1 required positional argument: {name!r}")
