"""An entry of object_info, to be changed in place: its inputs and their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fake_server.nodes.catalogue import TAKES_ANY

__all__ = ["free", "options_of", "set_option", "written"]


def written(entry: Mapping[str, Any], key: str) -> list[Any] | None:
    """An input as the entry has it, to be changed in place; None for none."""
    for section in ("required", "optional"):
        found = (entry["input"].get(section) or {}).get(key)
        if found is not None:
            if isinstance(found, tuple):
                found = entry["input"][section][key] = list(found)
            return found if isinstance(found, list) else None
    return None


def options_of(spec: Sequence[Any]) -> Mapping[str, Any]:
    """The options of an input as an entry has it."""
    return spec[1] if len(spec) > 1 and isinstance(spec[1], Mapping) else {}


def set_option(entry: Mapping[str, Any], key: str, name: str, value: Any) -> bool:
    """Change an option of an input; whether there is such an input."""
    spec = written(entry, key)
    if spec is None:
        return False
    spec[1:] = [{**options_of(spec), name: value}]
    return True


def free(entry: Mapping[str, Any], key: str) -> bool:
    """Let an input take anything, or nothing at all."""
    spec = written(entry, key)
    if spec is None or options_of(spec).get(TAKES_ANY):
        return False
    return set_option(entry, key, TAKES_ANY, True)
