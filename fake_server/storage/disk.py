"""Folders on a disk, and the files of the web frontend's own package."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
from collections.abc import Callable, Iterator
from importlib.machinery import FileFinder
from pathlib import Path

from comfyrec.errors import UsageError
from fake_server.storage.memory import Folders, StoredFile

__all__ = ["RealFolders", "WebRoot"]

_PACKAGE = "comfyui_frontend_package"
_BESIDE = (
    ("templates", "comfyui_workflow_templates", "templates"),
    ("docs", "comfyui_embedded_docs", "docs"),
)
"""Folder below the web root, how the names of its packages begin, the folder in them. The templates
are spread over several: their texts, and pictures by kind."""


class RealFolders(Folders):
    """``input``, ``output``, ``temp``, ``user`` and ``models`` below a base directory.

    Args:
        base: it and the folders in it are made when they are missing; ``temp`` is emptied.
        epoch_us: real time at virtual time 0, in microseconds since 1970.

    Raises:
        UsageError: the base directory cannot be made.
    """

    def __init__(self, base: Path, epoch_us: int) -> None:
        super().__init__()
        self._base, self._epoch_us = base.resolve(), epoch_us
        try:
            for kind in ("input", "output", "temp", "user"):
                (self._base / kind).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"--base-directory {base}: {error.strerror}; give a folder that can be written"
            ) from None

    def _path(self, kind: str, subfolder: str, name: str = "") -> Path:
        """Where that lies.

        Raises:
            ValueError: a link leads out of the base directory.
        """
        path = Path(os.path.normpath(self._base / kind / subfolder / name))
        if not path.resolve().is_relative_to(self._base):
            raise ValueError(f"{path} lies outside of {self._base}")
        return path

    def write(
        self, kind: str, subfolder: str, name: str, data: bytes | Callable[[], bytes], now: int
    ) -> None:
        """Write a file, with the virtual time as its own."""
        path = self._path(kind, subfolder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data())
        stamp = (self._epoch_us + now) * 1_000
        os.utime(path, ns=(stamp, stamp))

    def read(self, kind: str, subfolder: str, name: str) -> StoredFile | None:
        """A file, None when there is none."""
        path = self._path(kind, subfolder, name)
        if not name or not path.is_file():
            return None
        modified = path.stat().st_mtime_ns // 1_000 - self._epoch_us
        return StoredFile(path.read_bytes(), modified, modified)

    def has(self, kind: str, subfolder: str, name: str) -> bool:
        """Whether there is such a file."""
        return bool(name) and self._path(kind, subfolder, name).is_file()

    def modified_us(self, kind: str, subfolder: str, name: str) -> int | None:
        """When a file was written last, None when there is none."""
        path = self._path(kind, subfolder, name)
        return path.stat().st_mtime_ns // 1_000 - self._epoch_us if path.is_file() else None

    def has_folder(self, kind: str, subfolder: str) -> bool:
        """Whether there is such a folder."""
        return self._path(kind, subfolder).is_dir()

    def make_folder(self, kind: str, subfolder: str) -> None:
        """Make a folder with all above it."""
        self._path(kind, subfolder).mkdir(parents=True, exist_ok=True)

    def names(self, kind: str, subfolder: str = "") -> list[str]:
        """Names of the files right in a folder, sorted."""
        return sorted(entry.name for entry in self._entries(kind, subfolder) if entry.is_file())

    def folders(self, kind: str, subfolder: str = "") -> list[str]:
        """Names of the folders right in a folder, sorted."""
        return sorted(entry.name for entry in self._entries(kind, subfolder) if entry.is_dir())

    def _entries(self, kind: str, subfolder: str) -> Iterator[Path]:
        path = self._path(kind, subfolder)
        return path.iterdir() if path.is_dir() else iter(())

    def remove(self, kind: str, subfolder: str, name: str) -> bool:
        """Delete a file; False when there is none."""
        path = self._path(kind, subfolder, name)
        if not path.is_file():
            return False
        path.unlink()
        return True

    def move(self, kind: str, path: str, to: str, now: int) -> None:
        """Give a file another name, in place of what had that name; its times stay."""
        target = self._path(kind, "", to)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path(kind, "", path).replace(target)

    def clear(self, kind: str | None = None) -> None:
        """Empty ``temp``, as a server does at its start; what a person keeps here stays."""
        for name in self.names("temp"):
            self.remove("temp", "", name)


class WebRoot:
    """The frontend's files by their path below the web root, with the workflow templates and the
    nodes' help of their own packages, where those are installed.

    Raises:
        UsageError: the frontend's package is not installed.
    """

    def __init__(self, epoch_us: int) -> None:
        found = importlib.util.find_spec(_PACKAGE)
        if found is None or not found.submodule_search_locations:
            raise UsageError(
                "--frontend needs the web page's own package; "
                "'pip install comfyrec[frontend]' brings it, or comfyui-frontend-package"
            )
        self._root = (Path(found.submodule_search_locations[0]) / "static").resolve()
        self._epoch_us = epoch_us
        self._beside: dict[str, list[Path]] | None = None

    def __call__(self, name: str) -> StoredFile | None:
        """One file, None when there is none."""
        folder, _, rest = name.partition("/")
        beside = self._of_other_packages.get(folder, []) if rest else []
        for root, inside in [(self._root, name), *((other, rest) for other in beside)]:
            path = (root / inside).resolve()
            if path.is_relative_to(root) and path.is_file():
                stamp = path.stat().st_mtime_ns // 1_000
                return StoredFile(path.read_bytes(), stamp - self._epoch_us)
        return None

    @property
    def _of_other_packages(self) -> dict[str, list[Path]]:
        """Folder below the web root -> where else its files are; looked for when first needed."""
        if self._beside is None:
            self._beside = {
                folder: [root.resolve() for root in _folders_in(package, inside) if root.is_dir()]
                for folder, package, inside in _BESIDE
            }
        return self._beside

    @property
    def scripts(self) -> tuple[str, ...]:
        """The scripts that the page loads, as GET /extensions lists them."""
        found = sorted((self._root / "extensions").rglob("*.js"))
        return tuple(f"/{path.relative_to(self._root).as_posix()}" for path in found)


def _folders_in(package: str, inside: str) -> Iterator[Path]:
    """A folder of every installed package whose name begins so."""
    for module in pkgutil.iter_modules():
        if module.name.startswith(package) and isinstance(module.module_finder, FileFinder):
            yield Path(module.module_finder.path) / module.name / inside
