"""The folders of a server, in memory: input, output, temp, the users', the models'.

A *kind* is a root (``"output"``, ``"user"``, ``"models/checkpoints"``); below it lie subfolders and
files, named with slashes. Names are taken as they are: whoever takes one from a client asks
``inside`` first. Times are virtual microseconds.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

__all__ = ["BYTES_MAX", "Folders", "StoredFile", "inside", "nameable"]

BYTES_MAX: Final = 128 * 1024 * 1024
"""Of all files together; then the oldest outputs and previews are forgotten, never inputs."""
NAME_BYTES_MAX: Final = 255
"""Of one name on the file systems of Linux."""
_FORGETTABLE: Final = ("output", "temp")
_UNDRAWN_BYTES: Final = 4_096
"""What a file counts for before anybody has looked at it: what it takes to keep it in mind."""


class StoredFile(msgspec.Struct, frozen=True):
    """A file as it was read; its times are virtual."""

    data: bytes
    modified_us: int
    """Of its content."""
    changed_us: int = 0
    """Of anything about it, its name too: what ComfyUI tells as ``created`` on Linux."""


class _Kept(msgspec.Struct):
    content: bytes | Callable[[], bytes]
    modified_us: int
    changed_us: int

    @property
    def size(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else _UNDRAWN_BYTES


def inside(*parts: str, root: str = "/root") -> str | None:
    """Join parts of a path below a root, as a file system would; None when that leaves the root.

    An absolute part starts anew and ``..`` goes up: both leave the root unless they come back to
    it by its name. The root itself is ``""``.
    """
    path = posixpath.normpath(posixpath.join(root, *parts))
    if path == root:
        return ""
    return path[len(root) + 1 :] if path.startswith(f"{root}/") else None


def nameable(path: str) -> bool:
    """Whether a file system takes these names: no zero byte, none longer than 255 bytes."""
    sizes = (len(name.encode("utf-8", "surrogatepass")) for name in path.split("/"))
    return "\0" not in path and max(sizes) <= NAME_BYTES_MAX


class Folders:
    """Files by kind, subfolder and name. A folder that once was stays, as on a disk."""

    def __init__(self, *, bytes_max: int = BYTES_MAX) -> None:
        self._kinds: dict[str, dict[str, dict[str, _Kept]]] = {}
        self._bytes = 0
        self._bytes_max = bytes_max
        # In the order of writing; a name that was written again stands at its later place.
        self._forgettable: dict[tuple[str, str, str], None] = {}

    # --- writing ---------------------------------------------------------------------------------

    def write(
        self, kind: str, subfolder: str, name: str, data: bytes | Callable[[], bytes], now: int
    ) -> None:
        """Keep a file, in place of an older one of that name.

        ``data`` may be a function that gives the bytes: it is called once, when somebody reads.
        """
        where, name = _split(subfolder, name)
        self.make_folder(kind, where)
        folder = self._folder(kind, where)
        old = folder.get(name)
        folder[name] = kept = _Kept(data, now, now)
        self._bytes += kept.size - (old.size if old else 0)
        if kind in _FORGETTABLE:
            self._forgettable.pop((kind, where, name), None)
            self._forgettable[kind, where, name] = None
        self._forget_the_oldest()

    def make_folder(self, kind: str, subfolder: str) -> None:
        """Make a folder with all above it."""
        folders = self._kinds.setdefault(kind, {"": {}})
        while subfolder not in folders:
            folders[subfolder] = {}
            subfolder = posixpath.dirname(subfolder)

    def remove(self, kind: str, subfolder: str, name: str) -> bool:
        """Delete a file; False when there is none."""
        where, name = _split(subfolder, name)
        kept = self._folder(kind, where).pop(name, None)
        if kept is None:
            return False
        self._bytes -= kept.size
        self._forgettable.pop((kind, where, name), None)
        return True

    def move(self, kind: str, path: str, to: str, now: int) -> None:
        """Give a file another name, in place of what had that name; its content stays as old.

        A folder takes along what is in it, to a name that nothing has.
        """
        kept = self._kept(kind, "", path)
        if kept is None:
            self._move_folder(kind, path, to)
            return
        self.remove(kind, "", path)
        self.write(kind, "", to, kept.content, now)
        moved = self._kept(kind, "", to)
        assert moved is not None
        moved.modified_us = kept.modified_us

    def clear(self, kind: str | None = None) -> None:
        """Empty one kind, or all."""
        for each in [kind] if kind is not None else list(self._kinds):
            for folder in self._kinds.pop(each, {}).values():
                self._bytes -= sum(kept.size for kept in folder.values())
        self._forgettable = {key: None for key in self._forgettable if key[0] in self._kinds}

    # --- reading ---------------------------------------------------------------------------------

    def read(self, kind: str, subfolder: str, name: str) -> StoredFile | None:
        """A file, None when there is none."""
        kept = self._kept(kind, subfolder, name)
        if kept is None:
            return None
        if not isinstance(kept.content, bytes):
            before = kept.size
            kept.content = kept.content()
            self._bytes += kept.size - before
        return StoredFile(kept.content, kept.modified_us, kept.changed_us)

    def has(self, kind: str, subfolder: str, name: str) -> bool:
        """Whether there is such a file."""
        return self._kept(kind, subfolder, name) is not None

    def modified_us(self, kind: str, subfolder: str, name: str) -> int | None:
        """When a file was written last, None when there is none."""
        kept = self._kept(kind, subfolder, name)
        return None if kept is None else kept.modified_us

    def has_folder(self, kind: str, subfolder: str) -> bool:
        """Whether there is such a folder; the root is there once anything was written."""
        return subfolder in self._kinds.get(kind, {})

    def names(self, kind: str, subfolder: str = "") -> list[str]:
        """Names of the files right in a folder, sorted."""
        return sorted(self._folder(kind, subfolder))

    def folders(self, kind: str, subfolder: str = "") -> list[str]:
        """Names of the folders right in a folder, sorted."""
        return sorted(
            posixpath.basename(path)
            for path in self._kinds.get(kind, {})
            if path and posixpath.dirname(path) == subfolder
        )

    def walk(self, kind: str, subfolder: str = "") -> Iterator[tuple[str, list[str], list[str]]]:
        """Path, folders and files of a folder and all below it, the outermost first."""
        if not self.has_folder(kind, subfolder):
            return
        inner = self.folders(kind, subfolder)
        yield subfolder, inner, self.names(kind, subfolder)
        for name in inner:
            yield from self.walk(kind, posixpath.join(subfolder, name))

    def takes_file(self, kind: str, path: str) -> bool:
        """Whether a file could be written there: into a folder, and not in place of one."""
        where, name = posixpath.split(posixpath.normpath(path))
        there = not where or self.has_folder(kind, where)
        return there and nameable(name) and name != "." and not self.has_folder(kind, path)

    def takes_folder(self, kind: str, path: str) -> bool:
        """Whether there is such a folder or could be: no file stands in its way."""
        if not nameable(path):
            return False
        while path:
            if self.has(kind, "", path):
                return False
            path = posixpath.dirname(path)
        return True

    # --- inside ----------------------------------------------------------------------------------

    def _move_folder(self, kind: str, path: str, to: str) -> None:
        folders = self._kinds[kind]
        for each in [each for each in folders if f"{each}/".startswith(f"{path}/")]:
            folders[to + each[len(path) :]] = folders.pop(each)

    def _folder(self, kind: str, subfolder: str) -> dict[str, _Kept]:
        return self._kinds.get(kind, {}).get(subfolder, {})

    def _kept(self, kind: str, subfolder: str, name: str) -> _Kept | None:
        where, name = _split(subfolder, name)
        return self._folder(kind, where).get(name)

    def _forget_the_oldest(self) -> None:
        while self._bytes > self._bytes_max and self._forgettable:
            self.remove(*next(iter(self._forgettable)))


def _split(subfolder: str, name: str) -> tuple[str, str]:
    """The same place with every slash in the folder's part."""
    path = posixpath.normpath(posixpath.join(subfolder, name))
    return posixpath.split(path)
