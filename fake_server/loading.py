"""What loader classes say of a prompt's file names before it runs (their VALIDATE_INPUTS)."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

from fake_server import nodes
from fake_server.catalogue import NodeClass
from fake_server.disk import Disk

__all__ = ["file_checks", "self_checked"]


def self_checked(kind: NodeClass) -> Container[str]:
    """The inputs that a class checks itself."""
    name = nodes.file_input(kind.name)
    return () if name is None else (name,)


def file_checks(
    disk: Disk,
) -> Callable[[NodeClass, Mapping[str, Any]], Sequence[tuple[str, str | None]]]:
    """The check of loader classes against these folders."""

    def check(kind: NodeClass, given: Mapping[str, Any]) -> Sequence[tuple[str, str | None]]:
        name = nodes.file_input(kind.name)
        if name is None or name not in given or isinstance(given[name], list):
            return ()
        file = given[name]
        if disk.exists(kind, file):
            return ()
        return [(name, nodes.missing_file(kind.name, file))]

    return check
