"""``/api/v2/assets``: upload, mint over known bytes, look up, delete, download."""

from __future__ import annotations

from typing import Final

import msgspec

from comfyrec.client.http import requests
from comfyrec.client.outputs import OutputFile
from comfyrec.events.outputs import FileEntry
from comfyrec.http.media_types import guessed_type
from fake_server.http.static import file_answer
from fake_server.source import Request, Response
from fake_server.storage.memory import StoredFile
from fake_server.surfaces.surface import Asking, native_request, via
from fake_server.surfaces.v2.answers import V2Error, json_answer, not_found, upstream_error
from fake_server.surfaces.v2.assets import HASH, Asset, Blob, placed
from fake_server.surfaces.v2.links import is_signed
from fake_server.surfaces.v2.route_context import RouteContext
from fake_server.surfaces.v2.uploads import Upload, expiry, read_upload

__all__ = ["AssetRoutes", "view_of"]

_PASSED_ON: Final = frozenset(
    ("content-type", "content-length", "content-range", "accept-ranges", "etag", "last-modified")
)
"""What ``/view`` says of a file that holds for it here, too."""
_MODELS: Final = "models/"

Answering = Asking[Response | None]


def view_of(file: FileEntry) -> Request:
    """The request for a file in one of the server's folders."""
    return native_request(
        requests.view(OutputFile(file.filename, file.subfolder, file.type, "", ""))
    )


class AssetRoutes:
    """The routes of assets.

    Args:
        context: what they share with those of jobs.
        in_use: says whether a job that is not over needs an asset.
    """

    def __init__(self, context: RouteContext) -> None:
        self._context = context
        self.held: set[str] = set()
        """Ids of assets that jobs need which are not over."""

    # --- make --------------------------------------------------------------------------------

    def upload(self, request: Request) -> Answering:
        """``POST /assets``."""
        context = self._context
        upload = read_upload(request, in_order=context.settings.content == "redirect")
        key = context.keys.claim(request, context.now)
        blob = context.assets.blob(upload.hash)
        is_new = blob is None
        if blob is None:
            try:
                blob = yield from self._stored(upload)
            except BaseException:
                context.keys.release(key)  # nothing was kept
                raise
        asset = self._mint(blob, upload.file_path, upload.content_type, upload.expires_in)
        return self._shown(request, asset, 201 if is_new else 200, created_new=is_new)

    def _stored(self, upload: Upload) -> Asking[Blob]:
        """Put the bytes where workflows find them."""
        size = len(upload.data)
        folder, name = placed(upload.file_path)
        if upload.file_path.startswith(_MODELS):
            return Blob(size, data=upload.data, hash=upload.hash)
        stored = yield from via(
            requests.upload(
                upload.data, name, boundary=f"comfyrec-{upload.hash[7:]}", subfolder=folder
            )
        )
        return Blob(size, FileEntry(stored.name, stored.subfolder, stored.type), hash=upload.hash)

    def from_hash(self, request: Request) -> Answering:
        """``POST /assets/from-hash``."""
        yield from ()
        context, body = self._context, request.json
        body = body if isinstance(body, dict) else {}
        hash, path = body.get("hash"), body.get("file_path")
        blob = None
        if isinstance(hash, str) and HASH.fullmatch(hash):
            blob = context.assets.blob(hash)
        try:
            expires_in = expiry(body.get("expires_in"))
            placed(path) if isinstance(path, str) else None
        except V2Error:
            blob = None  # of a wrong body the document says nothing, so nothing is to be had
        if blob is None:
            raise V2Error(404, "blob_not_found", "there are no bytes of that hash")
        if not isinstance(path, str) or not path:
            path = blob.file.filename if blob.file is not None else ""
        alike = context.assets.alike(blob, path, context.now)
        if alike is not None:
            return self._shown(request, alike, 200, created_new=False)
        asset = self._mint(blob, path, guessed_type(path), expires_in)
        return self._shown(request, asset, 201, created_new=False)

    def _mint(self, blob: Blob, path: str, kind: str, expires_in: int | None) -> Asset:
        context = self._context
        expires = None if expires_in is None else context.now + expires_in * 1_000_000
        return context.assets.add(
            Asset(
                id=context.random.uuid(),
                blob=blob,
                content_type=kind,
                file_path=path,
                created=context.now,
                expires=expires,
            )
        )

    # --- look up -----------------------------------------------------------------------------

    def look_for_hash(self, request: Request, hash: str) -> Answering:
        """``HEAD /assets/by-hash/{hash}``."""
        yield from ()
        return Response(404 if self._context.assets.blob(hash) is None else 200)

    def get(self, request: Request, id: str) -> Answering:
        """``GET /assets/{id}``."""
        yield from ()
        return self._shown(request, self._found(id), 200)

    def delete(self, request: Request, id: str) -> Answering:
        """``DELETE /assets/{id}``."""
        yield from ()
        asset = self._found(id)
        if asset.id in self.held:
            raise V2Error(409, "asset_in_use", "the asset is needed and cannot be deleted now")
        self._context.assets.remove(asset)
        return Response(204)

    def _found(self, id: str) -> Asset:
        asset = self._context.assets.get(id, self._context.now)
        if asset is None:
            raise not_found("there is no asset of that id")
        return asset

    def _shown(
        self, request: Request, asset: Asset, status: int, *, created_new: bool | None = None
    ) -> Response:
        url = self._context.links(request).of_asset(asset)
        return json_answer(asset.shown(url, self._context.now, created_new=created_new), status)

    # --- bytes -------------------------------------------------------------------------------

    def content(self, request: Request, id: str) -> Answering:
        """``GET /assets/{id}/content``."""
        asset = self._found(id)
        if self._context.settings.content == "redirect":
            return Response(302, (("Location", self._context.links(request).signed(asset)),))
        return (yield from self._bytes(request, asset))

    def stored(self, request: Request, id: str) -> Answering:
        """What a signed URL leads to; a storage has its own words for what it refuses."""
        asset = self._context.assets.get(id, self._context.now)
        if asset is None:
            return Response(404, body=b"NoSuchKey")
        if not is_signed(request, asset, self._context.now):
            return Response(403, body=b"SignatureDoesNotMatch, or the URL has expired")
        return (yield from self._bytes(request, asset))

    def _bytes(self, request: Request, asset: Asset) -> Answering:
        wanted = tuple(
            field for field in request.headers if field[0].lower() in ("range", "if-range")
        )
        kind = ("Content-Type", asset.content_type)
        blob = asset.blob
        if blob.file is None:
            file = StoredFile(blob.data, asset.created)
            bare = Request("GET", "/", wanted)
            return _ranged(file_answer(bare, file, 0, (kind,)))
        asked = view_of(blob.file)
        got = yield msgspec.structs.replace(asked, headers=(*asked.headers, *wanted))
        if got.status == 404:
            words = f"the bytes of {asset.file_path} are no longer there"
            raise V2Error(404, "output_unavailable", words)
        if got.status not in (200, 206, 416):
            raise upstream_error()
        headers = [field for field in got.headers if field[0].lower() in _PASSED_ON]
        headers = [field for field in headers if field[0].lower() != "content-type"]
        return _ranged(msgspec.structs.replace(got, headers=(kind, *headers)))  # cut as it was


def _ranged(answer: Response) -> Response:
    """A range that cannot be had, with the length that can."""
    if answer.status != 416:
        return answer
    length = tuple(field for field in answer.headers if field[0] == "Content-Range")
    return Response(416, length)
