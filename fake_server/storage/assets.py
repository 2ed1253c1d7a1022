"""Assets: what a server knows of files by id, by tags, and by the hash of their bytes.

An asset is a record beside a file in the folders. Several records may stand for one content; only
the one that came with the file is ``at home`` there. Times are virtual microseconds.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from comfyrec.http.media_types import guessed_type
from fake_server.storage.blake3 import blake3
from fake_server.storage.memory import Folders, StoredFile
from fake_server.storage.pictures import measure

__all__ = ["ROOTS", "Asset", "Assets", "content_hash"]

ROOTS: Final = ("models", "input", "output")
"""What a scan may look through."""
ASSETS_MAX: Final = 100_000
"""Then the oldest records are forgotten."""


def content_hash(data: bytes) -> str:
    """How assets name a content: ``blake3:`` and 64 hexadecimal digits."""
    return f"blake3:{blake3(data)}"


class Asset(msgspec.Struct, eq=False, kw_only=True):
    """One record."""

    id: str
    name: str
    kind: str
    """The folder of its file: input, output or temp."""
    path: str
    """Its file below that folder."""
    at_home: bool
    """It came with the file, which is named after it or it after the file."""
    hash: str | None
    """Of the content, where it was computed: for uploads."""
    mime_type: str
    tags: set[str]
    user_metadata: Mapping[str, Any]
    prompt_id: str | None = None
    preview_id: str | None = None
    created_us: int
    updated_us: int
    accessed_us: int
    size: int = 0
    """Of the content, in bytes; known once anybody has asked."""
    picture: tuple[int, int] | None = None
    """Width and height of a picture; known with the size."""
    is_measured: bool = False


class Assets:
    """The records of one server.

    Args:
        folders: where the files lie.
        new_id: gives UUIDs.
    """

    def __init__(self, folders: Folders, new_id: Callable[[], str]) -> None:
        self._folders, self._new_id = folders, new_id
        self._by_id: dict[str, Asset] = {}
        self._at_home: dict[tuple[str, str], Asset] = {}  # folder and path -> the newest of it
        self._tags: dict[str, None] = {}
        self.scanned = 0, 0
        """How many files the last scan made assets of, and how many were some already."""

    def __iter__(self) -> Iterator[Asset]:
        """All whose file is there, the oldest first."""
        return (one for one in list(self._by_id.values()) if self.is_there(one))

    def get(self, asset_id: str) -> Asset | None:
        """The record of that id."""
        return self._by_id.get(asset_id)

    def is_there(self, asset: Asset) -> bool:
        """Whether its file still exists."""
        return self._folders.has(asset.kind, "", asset.path)

    def content(self, asset: Asset) -> StoredFile | None:
        """Its file, None when it is gone; the size of the record is known from then on."""
        file = self._folders.read(asset.kind, "", asset.path)
        if file is not None and not asset.is_measured:
            found = measure(file.data)
            asset.picture = None if found is None else found[:2]
            asset.size, asset.is_measured = len(file.data), True
        return file

    def with_hash(self, wanted: str) -> Asset | None:
        """The oldest record of a content."""
        return next((one for one in self if one.hash == wanted), None)

    def tag_counts(self) -> Counter[str]:
        """Every tag that was ever used, and how many assets have it now."""
        counts = Counter(dict.fromkeys(self._tags, 0))
        for asset in self:
            counts.update(asset.tags)
        return counts

    # --- writing -----------------------------------------------------------------------------

    def shown(
        self, kind: str, path: str, now: int, *, prompt_id: str, anew: bool
    ) -> tuple[str, bool]:
        """The asset of a file that a prompt shows: its id, and whether it is a picture by its name.

        Args:
            anew: each prompt gets a record of its own; otherwise the file has one for all.
        """
        known = self._at_home.get((kind, path))
        if known is None or anew or not self.is_there(known):
            known = self._came(kind, path, now, {kind, "uploaded"})
        known.prompt_id, known.updated_us = prompt_id, now
        return known.id, known.mime_type.startswith("image/")

    def uploaded(self, kind: str, path: str, now: int) -> Asset:
        """The asset of a file that an upload left there; one for each name."""
        known = self._at_home.get((kind, path))
        if known is None or not self.is_there(known):
            known = self._came(kind, path, now, {"input", kind, "uploaded"})
        known.is_measured = False
        file = self.content(known)
        assert file is not None, "an upload left it there"
        known.hash, known.updated_us = content_hash(file.data), now
        return known

    def keep(
        self, data: bytes, hash: str, kind: str, extension: str, now: int, **about: Any
    ) -> Asset:
        """Write new content under the name of its hash, and give its record."""
        path = f"{hash.removeprefix('blake3:')}{extension}"
        self._folders.write(kind, "", path, data, now)
        asset = self._came(kind, path, now, {"uploaded"})
        asset.hash = hash
        self._about(asset, **about)
        return asset

    def another(self, content: Asset, now: int, **about: Any) -> Asset:
        """One more record of a content that is there."""
        asset = msgspec.structs.replace(
            content,
            id=self._new_id(),
            at_home=False,
            tags=set(),
            user_metadata={},
            prompt_id=None,
            preview_id=None,
            created_us=now,
            updated_us=now,
            accessed_us=now,
        )
        self._about(asset, **about)
        self._add(asset)
        return asset

    def tag(self, asset: Asset, tags: Iterable[str]) -> None:
        """Add tags."""
        asset.tags.update(tags)
        self._tags |= dict.fromkeys(sorted(asset.tags))

    def delete(self, asset_id: str) -> bool:
        """Forget a record, not its file; whether there was one."""
        asset = self._by_id.pop(asset_id, None)
        if asset is None:
            return False
        if self._at_home.get((asset.kind, asset.path)) is asset:
            del self._at_home[asset.kind, asset.path]
        return True

    def scan(self, roots: Iterable[str], now: int) -> tuple[int, int]:
        """Look for files that have no record; how many got one, and how many had."""
        created = skipped = 0
        for root in roots:
            for folder, _, names in self._folders.walk(root):
                for name in names:
                    path = posixpath.join(folder, name)
                    if (root, path) in self._at_home:
                        skipped += 1
                    else:
                        self._came(root, path, now, {root})
                        created += 1
        self.scanned = created, skipped
        return self.scanned

    def clear(self) -> None:
        """Forget all."""
        self._by_id.clear()
        self._at_home.clear()
        self._tags.clear()
        self.scanned = 0, 0

    # --- inside ------------------------------------------------------------------------------

    def _came(self, kind: str, path: str, now: int, tags: set[str]) -> Asset:
        asset = Asset(
            id=self._new_id(),
            name=posixpath.basename(path),
            kind=kind,
            path=path,
            at_home=True,
            hash=None,
            mime_type=guessed_type(path),
            tags=set(),
            user_metadata={"filename": path},
            created_us=now,
            updated_us=now,
            accessed_us=now,
        )
        self.tag(asset, tags)
        self._at_home[kind, path] = asset
        self._add(asset)
        return asset

    def _about(
        self,
        asset: Asset,
        *,
        tags: Iterable[str],
        name: str | None,
        user_metadata: Mapping[str, Any],
        mime_type: str | None,
        preview_id: str | None,
    ) -> None:
        """What a client says of an asset; what it leaves out stays."""
        self.tag(asset, tags)
        asset.name = name or asset.name
        asset.user_metadata = {**asset.user_metadata, **user_metadata}
        asset.mime_type = mime_type or asset.mime_type
        asset.preview_id = preview_id

    def _add(self, asset: Asset) -> None:
        self._by_id[asset.id] = asset
        if len(self._by_id) > ASSETS_MAX:
            self.delete(next(iter(self._by_id)))
