"""The entries of node classes that a learner knows: a catalogue's, then those of other versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fake_server.nodes import core_nodes
from fake_server.nodes.catalogue import Catalogue

__all__ = ["ClassesOf", "NewestClasses"]


class ClassesOf(Mapping[str, Mapping[str, Any]]):
    """Class -> its entry in object_info: those of a catalogue, then those of other versions."""

    def __init__(self, catalogue: Catalogue, more: Mapping[str, Mapping[str, Any]]) -> None:
        self._catalogue, self._more = catalogue, more

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        return self._catalogue.entry(name) if name in self._catalogue else self._more[name]

    def __contains__(self, name: object) -> bool:
        return name in self._catalogue or name in self._more

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._catalogue), **dict.fromkeys(self._more)})

    def __len__(self) -> int:
        return sum(1 for _ in self)


class NewestClasses(Mapping[str, Mapping[str, Any]]):
    """The classes of every recorded version that a catalogue lacks, as the newest has them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._versions = [core_nodes.core_classes(one) for one in reversed(core_nodes.VERSIONS)]

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        for classes in () if name in self._catalogue else self._versions:
            if name in classes:
                return classes[name]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        there = any(name in classes for classes in self._versions)
        return there and name not in self._catalogue

    def __iter__(self) -> Iterator[str]:
        names = {name: None for classes in self._versions for name in classes}
        return (name for name in names if name not in self._catalogue)

    def __len__(self) -> int:
        return sum(1 for _ in self)
