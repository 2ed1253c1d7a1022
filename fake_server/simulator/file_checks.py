"""What loader classes say of a prompt's file names before it runs (their VALIDATE_INPUTS)."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from fake_server.nodes import behaviour as nodes
from fake_server.nodes.catalogue import NodeClass
from fake_server.simulator.graph import is_link
from fake_server.simulator.node_files import NodeFiles

__all__ = ["file_checks", "self_checked"]


def self_checked(kind: NodeClass) -> Container[str]:
    """The inputs that a class checks itself."""
    name = nodes.file_input(kind.name)
    return () if name is None else (name,)


def file_checks(
    disk: NodeFiles,
) -> Callable[[NodeClass, Mapping[str, Any]], Sequence[tuple[str, str | None]]]:
    """The check of loader classes against these folders.

    It breaks on what the real one breaks on: ``TypeError`` without the input, ``AttributeError``
    for what is no text. The validator reports that as it reports every exception.
    """

    def check(kind: NodeClass, given: Mapping[str, Any]) -> Sequence[tuple[str, str | None]]:
        name = nodes.file_input(kind.name)
        if name is None:
            return ()
        file = _argument(kind, name, given)
        if disk.exists(kind, file):
            return ()
        return [(name, nodes.missing_file(kind.name, file))]

    return check


def _argument(kind: NodeClass, name: str, given: Mapping[str, Any]) -> str:
    """What the class's own check is called with, if that does not break it.

    Raises:
        TypeError: the input is missing, so the check is called without it.
        AttributeError: it is no text; a link stands for None, for nothing has run yet.
    """
    if name not in given:
        check = "validate_inputs" if kind.v3 else "VALIDATE_INPUTS"
        inherits = kind.name.startswith("LoadImage") or kind.name == "WebcamCapture"
        owner = "LoadImage" if inherits else kind.name
        raise TypeError(f"{owner}.{check}() missing 1 required positional argument: {name!r}")
    file = None if is_link(given[name]) else given[name]
    if not isinstance(file, str):
        raise AttributeError(f"{type(file).__name__!r} object has no attribute 'endswith'")
    return file
