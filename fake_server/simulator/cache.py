"""Results of nodes across prompts: what is kept, under which key, and when it is forgotten.

protocol.md, section 5. Four ways: ``ram`` (the default since 0.23.0), ``classic``, ``lru`` and
``none``, as the options of the real server name them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

import msgspec

from fake_server.simulator.graph import Signature

__all__ = ["CACHES", "ClassicCache", "Entry", "LruCache", "NoCache", "OutputCache", "make_cache"]


class Entry(msgspec.Struct, frozen=True):
    """The result of a node: its items per output, and what it showed."""

    outputs: list[list[Any]]
    ui: Mapping[str, Any] | None = None
    """``{"meta": ..., "output": ...}``, as history has it."""


class OutputCache(Protocol):
    """What the engine asks of a cache, in the order of a prompt's life."""

    def begin(self, keys: Mapping[str, Signature], classes: Mapping[str, str]) -> None:
        """A prompt starts: the keys and class names of its nodes."""

    def expand(
        self, parent: str, keys: Mapping[str, Signature], classes: Mapping[str, str]
    ) -> None:
        """A node expands into others."""

    def known(self) -> Iterable[str]:
        """The nodes of the running prompt, and those they expanded into when they last ran."""

    def get(self, node_id: str) -> Entry | None:
        """The result of a node of the running prompt, if it need not run."""

    def held(self, node_id: str) -> Entry | None:
        """The result that the nodes behind it are given, whether or not it would run again."""

    def set(self, node_id: str, entry: Entry) -> None:
        """Keep the result of a node of the running prompt."""

    def completed(self) -> None:
        """A node of the running prompt has come to an end."""


class _Scope:
    """The results inside one expanding node, and the scopes inside that."""

    __slots__ = ("entries", "inner", "keys", "names")

    def __init__(self) -> None:
        self.entries: dict[Signature, Entry] = {}
        self.keys: dict[str, Signature] = {}
        self.names: dict[str, tuple[str, str]] = {}
        self.inner: dict[tuple[str, str], _Scope] = {}

    def use(self, keys: Mapping[str, Signature], classes: Mapping[str, str]) -> None:
        self.keys = dict(keys)
        self.names = {one: (one, classes[one]) for one in keys}
        kept, names = set(self.keys.values()), set(self.names.values())
        self.entries = {key: entry for key, entry in self.entries.items() if key in kept}
        self.inner = {name: scope for name, scope in self.inner.items() if name in names}

    def known(self) -> dict[str, None]:
        found = dict.fromkeys(self.keys)
        for scope in self.inner.values():
            found |= scope.known()
        return found


class ClassicCache:
    """Results that the current prompt does not use go when it starts."""

    def __init__(self) -> None:
        self._root = _Scope()
        self._where: dict[str, _Scope] = {}

    def begin(self, keys: Mapping[str, Signature], classes: Mapping[str, str]) -> None:
        self._root.use(keys, classes)
        self._where = dict.fromkeys(keys, self._root)

    def expand(
        self, parent: str, keys: Mapping[str, Signature], classes: Mapping[str, str]
    ) -> None:
        outer = self._where[parent]
        scope = outer.inner.setdefault(outer.names[parent], _Scope())
        scope.use(keys, classes)
        self._where |= dict.fromkeys(keys, scope)

    def known(self) -> Iterable[str]:
        return self._root.known()

    def get(self, node_id: str) -> Entry | None:
        scope = self._where.get(node_id)
        return None if scope is None else scope.entries.get(scope.keys[node_id])

    held = get

    def set(self, node_id: str, entry: Entry) -> None:
        scope = self._where[node_id]
        scope.entries[scope.keys[node_id]] = entry

    def completed(self) -> None:
        """Nothing is forgotten in between."""


class LruCache:
    """Results stay until more than ``size`` are kept; then those of the oldest prompts go."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[Signature, Entry] = {}
        self._used: dict[Signature, int] = {}
        self._keys: dict[str, Signature] = {}
        self._names: dict[str, tuple[str, str]] = {}
        self._children: dict[tuple[str, str], list[str]] = {}
        self._generation = 0
        self._oldest = 0

    def begin(self, keys: Mapping[str, Signature], classes: Mapping[str, str]) -> None:
        self._generation += 1
        self._keys = {}
        self._names = {one: (one, name) for one, name in classes.items()}
        here = set(self._names.values())
        self._children = {name: ids for name, ids in self._children.items() if name in here}
        # Keys of nodes that never finished would pile up where every prompt fails.
        self._used = {key: used for key, used in self._used.items() if key in self._entries}
        self._use(keys)
        self._shrink()

    def expand(
        self, parent: str, keys: Mapping[str, Signature], classes: Mapping[str, str]
    ) -> None:
        self._names |= {one: (one, name) for one, name in classes.items()}
        self._children[self._names[parent]] = list(keys)
        self._use(keys)
        self._shrink()

    def known(self) -> Iterable[str]:
        return [*self._keys, *(one for ids in self._children.values() for one in ids)]

    def get(self, node_id: str) -> Entry | None:
        key = self._keys.get(node_id)
        return None if key is None else self._entries.get(key)

    held = get

    def set(self, node_id: str, entry: Entry) -> None:
        self._entries[self._keys[node_id]] = entry

    def completed(self) -> None:
        """Nothing is forgotten in between."""

    def _use(self, keys: Mapping[str, Signature]) -> None:
        self._keys |= keys
        self._used |= dict.fromkeys(keys.values(), self._generation)

    def _shrink(self) -> None:
        while len(self._entries) > self._size and self._oldest < self._generation:
            self._oldest += 1
            self._forget_before(self._oldest)

    def _forget_before(self, generation: int) -> None:
        stale = [key for key, used in self._used.items() if used < generation]
        for key in stale:
            del self._used[key]
            self._entries.pop(key, None)


class RamCache(LruCache):
    """Results of earlier prompts go as soon as one node of the current prompt completes.

    The real server does so whenever free memory is below the total, which is practically always.
    """

    def __init__(self) -> None:
        super().__init__(0)
        self._clean = 0

    def _shrink(self) -> None:
        """A start alone forgets nothing."""

    def completed(self) -> None:
        if self._clean != self._generation:
            self._clean = self._generation
            self._forget_before(self._generation)


class NoCache:
    """Nothing is known again: what is asked for later in a prompt runs once more."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def begin(self, keys: Mapping[str, Signature], classes: Mapping[str, str]) -> None:
        self._entries = {}

    def expand(
        self, parent: str, keys: Mapping[str, Signature], classes: Mapping[str, str]
    ) -> None:
        """Keys mean nothing here."""

    def known(self) -> Iterable[str]:
        return ()

    def get(self, node_id: str) -> Entry | None:
        return None

    def held(self, node_id: str) -> Entry | None:
        return self._entries.get(node_id)

    def set(self, node_id: str, entry: Entry) -> None:
        self._entries[node_id] = entry

    def completed(self) -> None:
        """Nothing is forgotten in between."""


CACHES: Final = ("ram", "classic", "lru", "none")


def make_cache(kind: str, lru_size: int) -> OutputCache:
    """An empty cache of one of the ``CACHES``."""
    if kind == "classic":
        return ClassicCache()
    if kind == "lru":
        return LruCache(lru_size)
    if kind == "none":
        return NoCache()
    assert kind == "ram", f"no cache is called {kind!r}"
    return RamCache()
