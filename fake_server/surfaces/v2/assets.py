"""Assets: records with an id over bytes that are known by their hash.

The bytes lie in the folders of the server behind, or here if no folder of it takes them (model
files, texts that nodes show).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

import msgspec

from comfyrec.events import v2
from comfyrec.events.outputs import FileEntry
from comfyrec.http.media_types import guessed_type
from fake_server.storage.blake3 import blake3
from fake_server.surfaces.v2.answers import V2Error, iso

__all__ = ["HASH", "Asset", "Assets", "Blob", "hash_of", "output_type", "placed"]

HASH: Final = re.compile(r"blake3:[0-9a-fA-F]{64}")
URL_US: Final = 3_600_000_000
"""Microseconds that a URL of an asset's bytes is valid."""
_KINDS: Final = {"gifs": "video", "text": "text", "latents": "latent"}
_BY_MEDIA: Final = ("image", "video", "audio", "text")


def hash_of(data: bytes) -> str:
    """The hash of bytes, as v2 writes it."""
    return f"blake3:{blake3(data)}"


def output_type(kind: str, name: str) -> str:
    """What v2 calls an output.

    Args:
        kind: the key that it stands under in a node's output, such as ``gifs``.
        name: of the file, whose extension says more: videos are listed as ``images``, too.
    """
    if name.endswith(".latent"):
        return "latent"
    media = guessed_type(name).partition("/")[0]
    if kind in _KINDS:
        return _KINDS[kind]
    return media if media in _BY_MEDIA else "file"


def placed(path: str) -> tuple[str, str]:
    """A path as a client writes it -> folder and name below the input folder.

    Raises:
        V2Error: it leads out of there, or names no file.
    """
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts or path.startswith(("/", "\\")) or not path.isprintable():
        raise V2Error(422, "invalid_request", "'file_path' has to lead to a file below the root")
    if parts[0] == "input" and len(parts) > 1:
        parts = parts[1:]
    return "/".join(parts[:-1]), parts[-1]


class Blob(msgspec.Struct, eq=False):
    """Bytes, and where they are."""

    size: int
    file: FileEntry | None = None
    """In a folder of the server."""
    data: bytes = b""
    """Otherwise."""
    hash: str | None = None


class Asset(msgspec.Struct, eq=False, kw_only=True):
    """A record over bytes."""

    id: str
    blob: Blob
    content_type: str
    file_path: str
    created: int
    """Unix time in microseconds."""
    expires: int | None = None
    job_id: str | None = None
    node_id: str = ""
    type: str = ""
    """As an output."""

    def shown(self, url: str, now: int, *, created_new: bool | None = None) -> dict[str, object]:
        """The record as JSON has it."""
        shown: dict[str, object] = {
            "id": self.id,
            "hash": self.blob.hash,
            "size_bytes": self.blob.size,
            "content_type": self.content_type,
            "file_path": self.file_path,
            "created_at": iso(self.created),
            "url": url,
            "url_expires_at": iso(now + URL_US),
            "expires_at": None if self.expires is None else iso(self.expires),
        }
        if created_new is not None:
            shown["created_new"] = created_new
        if self.job_id is not None:
            shown["job_id"] = self.job_id
        return shown

    def as_output(self, url: str, now: int) -> v2.Output:
        """The same as a job's output."""
        return v2.Output(
            node_id=self.node_id,
            name=self.file_path.rpartition("/")[2],
            type=self.type,
            content_type=self.content_type,
            size_bytes=self.blob.size,
            id=self.id,
            hash=self.blob.hash,
            url=url,
            url_expires_at=iso(now + URL_US),
            job_id=self.job_id,
        )


class Assets:
    """All assets of one server."""

    def __init__(self) -> None:
        self._by_id: dict[str, Asset] = {}
        self._blobs: dict[str, Blob] = {}

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._by_id.values())

    def add(self, asset: Asset) -> Asset:
        """Keep a record; its bytes are known by their hash from now on, if they have one."""
        self._by_id[asset.id] = asset
        if asset.blob.hash is not None:
            self._blobs.setdefault(asset.blob.hash, asset.blob)
        return asset

    def get(self, id: str, now: int) -> Asset | None:
        """A record that has not expired."""
        asset = self._by_id.get(id)
        if asset is not None and asset.expires is not None and now >= asset.expires:
            self.remove(asset)
            return None
        return asset

    def blob(self, hash: str) -> Blob | None:
        """Bytes by their hash."""
        return self._blobs.get(hash.lower())

    def alike(self, blob: Blob, file_path: str, now: int) -> Asset | None:
        """A record of the same bytes under the same path."""
        same = (one for one in [*self] if one.blob is blob and one.file_path == file_path)
        return next((one for one in same if self.get(one.id, now) is one), None)

    def remove(self, asset: Asset) -> None:
        """Forget a record; its bytes go with the last one."""
        del self._by_id[asset.id]
        hash = asset.blob.hash
        if hash is not None and all(one.blob is not asset.blob for one in self):
            self._blobs.pop(hash, None)

    def clear(self) -> None:
        """Forget all."""
        self._by_id.clear()
        self._blobs.clear()


def references(value: object) -> Iterator[dict[str, object]]:
    """The ``core/ASSET`` objects in a workflow, well-formed or not."""
    if isinstance(value, dict):
        if value.get("__type") == "core/ASSET":
            yield value
            return
        yield from chain.from_iterable(map(references, value.values()))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(references, value))
