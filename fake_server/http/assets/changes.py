"""Assets that are made, changed, tagged and deleted, and their content."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from comfyrec.http.forms import BadForm, FormField
from fake_server.http.assets.answers import (
    Refused,
    described,
    found,
    invalid,
    read_body,
    unread,
)
from fake_server.http.context import Context, HttpError, extension, user_of
from fake_server.http.responses import empty, json_response
from fake_server.source import Request, Response
from fake_server.storage.assets import Asset, content_hash

__all__ = [
    "add_tags",
    "content",
    "delete_asset",
    "from_hash",
    "get_asset",
    "has_hash",
    "remove_tags",
    "update_asset",
    "upload_asset",
]

_HASH: Final = re.compile(r"blake3:[0-9a-f]{64}")
_DESTINATIONS: Final = ("input", "models", "output")
_SYSTEM_TAG: Final = "missing"
_FIELD_MISSING: Final = "Field required"


def get_asset(context: Context, request: Request, id: str) -> Response:
    """One asset."""
    return json_response(described(context, found(context, request, id)))


def content(context: Context, request: Request, id: str) -> Response:
    """The bytes of an asset."""
    asset = found(context, request, id)
    file = context.assets.content(asset)
    if file is None:
        raise Refused(404, "FILE_NOT_FOUND", "Underlying file not found on disk.")
    asset.accessed_us = context.now
    disposition = (request.first("disposition") or "attachment").lower().strip()
    if disposition not in ("inline", "attachment"):
        disposition = "attachment"
    named = f"{disposition}; filename*=UTF-8''{quote(asset.name, safe='')}"
    headers = (
        ("Content-Disposition", named),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Type", asset.mime_type),
    )
    return Response(200, headers, file.data)


def has_hash(context: Context, request: Request, hash: str) -> Response:
    """Whether there is content of that hash."""
    wanted = hash.strip().lower()
    if not _HASH.fullmatch(wanted):
        raise Refused(400, "INVALID_HASH", "hash must be like 'blake3:<hex>'")
    return empty(200 if context.assets.with_hash(wanted) else 404)


def update_asset(context: Context, request: Request, id: str) -> Response:
    """Change the name, the metadata or the preview of an asset."""
    body = read_body(request, message="Validation failed.")
    name, metadata, preview = (body.get(key) for key in ("name", "user_metadata", "preview_id"))
    errors = [
        *_unless(isinstance(name, str | None), "string_type", "name", "a valid string", name),
        *_unless(
            isinstance(metadata, dict | None),
            "dict_type",
            "user_metadata",
            "a valid dictionary",
            metadata,
        ),
        *_unless(
            isinstance(preview, str | None), "string_type", "preview_id", "a valid string", preview
        ),
    ]
    if errors:
        raise unread("INVALID_BODY", *errors)
    if name is None and metadata is None and preview is None:
        why = "Provide at least one of: name, user_metadata, preview_id."
        error = invalid("value_error", [], f"Value error, {why}", body, context={"error": why})
        raise unread("INVALID_BODY", error)
    asset = found(context, request, id)
    if preview is not None and context.assets.get(preview) is None:
        message = f"Preview AssetReference {preview} not found"
        raise Refused(404, "ASSET_NOT_FOUND", message, {"id": id})
    asset.name = asset.name if name is None else name
    asset.user_metadata = asset.user_metadata if metadata is None else metadata
    asset.preview_id = asset.preview_id if preview is None else preview
    asset.updated_us = context.now
    return json_response(described(context, asset, "changed"))


def _unless(fits: bool, kind: str, name: str, wanted: str, given: Any) -> list[dict[str, Any]]:
    return [] if fits else [invalid(kind, [name], f"Input should be {wanted}", given)]


def delete_asset(context: Context, request: Request, id: str) -> Response:
    """Forget an asset; its file stays."""
    found(context, request, id, end=".", details=False)
    context.assets.delete(id.lower())
    return empty(204)


# --- tags ------------------------------------------------------------------------------------


def add_tags(context: Context, request: Request, id: str) -> Response:
    """Tag an asset."""
    tags = _tags_of(request, "add")
    asset = found(context, request, id)
    if context.era.has("assets_reworked") and _SYSTEM_TAG in tags:
        message = f"the tag {_SYSTEM_TAG!r} is set by the server alone"
        raise Refused(400, "SYSTEM_TAG_FORBIDDEN", message, {"tags": [_SYSTEM_TAG]})
    there = [tag for tag in tags if tag in asset.tags]
    added = sorted(set(tags) - set(there))
    context.assets.tag(asset, tags)
    asset.updated_us = context.now
    return json_response(
        {"added": added, "already_present": sorted(there), "total_tags": sorted(asset.tags)}
    )


def remove_tags(context: Context, request: Request, id: str) -> Response:
    """Take tags off an asset."""
    tags = set(_tags_of(request, "remove"))
    asset = found(context, request, id)
    protected = tags & {_SYSTEM_TAG} if context.era.has("assets_reworked") else set[str]()
    removed = (tags & asset.tags) - protected
    absent = tags - asset.tags - protected
    asset.tags -= removed
    asset.updated_us = context.now
    more = {"protected": sorted(protected)} if context.era.has("assets_reworked") else {}
    return json_response(
        {
            "removed": sorted(removed),
            "not_present": sorted(absent),
            "total_tags": sorted(asset.tags),
            **more,
        }
    )


def _tags_of(request: Request, what: str) -> list[str]:
    message = f"Invalid JSON body for tags {what}."
    body = read_body(request, message=message)
    if "tags" not in body:
        error = invalid("missing", ["tags"], _FIELD_MISSING, body)
        raise unread("INVALID_BODY", error, message=message)
    tags = body["tags"]
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        error = invalid("list_type", ["tags"], "Input should be a valid list", tags)
        raise unread("INVALID_BODY", error, message=message)
    if not tags:
        wanted = "List should have at least 1 item after validation, not 0"
        bound = {"field_type": "List", "min_length": 1, "actual_length": 0}
        error = invalid("too_short", ["tags"], wanted, tags, context=bound)
        raise unread("INVALID_BODY", error, message=message)
    return _distinct(tags)


def _distinct(tags: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(tag for each in tags if (tag := str(each).strip())))


# --- new ones --------------------------------------------------------------------------------


class _Sent(msgspec.Struct, frozen=True):
    """What a client says of a new asset."""

    tags: list[str]
    name: str | None
    user_metadata: Mapping[str, Any]
    mime_type: str | None
    preview_id: str | None

    def facts(self) -> dict[str, Any]:
        """As the store takes them."""
        return msgspec.structs.asdict(self)


def from_hash(context: Context, request: Request) -> Response:
    """One more asset of a content that is there."""
    body = read_body(request, message="Validation failed.")
    if "hash" not in body:
        raise unread("INVALID_BODY", invalid("missing", ["hash"], _FIELD_MISSING, body))
    wanted = str(body["hash"]).strip().lower()
    if not _HASH.fullmatch(wanted):
        raise unread("INVALID_BODY", _bad_hash(body["hash"]))
    tags = body.get("tags") or []
    sent = _Sent(
        tags=_distinct(tags.split(",") if isinstance(tags, str) else tags),
        name=body.get("name"),
        user_metadata=body.get("user_metadata") or {},
        mime_type=body.get("mime_type"),
        preview_id=body.get("preview_id"),
    )
    user_of(context, request)
    known = context.assets.with_hash(wanted)
    if known is None:
        raise Refused(404, "ASSET_NOT_FOUND", f"Asset content {wanted} does not exist")
    return _made(context, context.assets.another(known, context.now, **sent.facts()), 201)


def upload_asset(context: Context, request: Request) -> Response:
    """A file as an asset, or one more asset of a content that is there."""
    if not request.header("Content-Type").lower().startswith("multipart/"):
        raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Use multipart/form-data for uploads.")
    fields = _fields(request)
    sent = _sent(fields)
    wanted = _text(fields, "hash").strip().lower()
    if wanted and not _HASH.fullmatch(wanted):
        raise Refused(400, "INVALID_BODY", "Validation failed: hash must be 'blake3:<hex>'")
    known = context.assets.with_hash(wanted) if wanted else None
    file = next((field for field in fields if field.name == "file" and field.filename), None)
    if known is None and file is None:
        message = "Provided hash not found and no file uploaded."
        if not wanted:
            message = "Form must include a 'file' part or a known 'hash'."
        raise Refused(400, "MISSING_INPUT", message)
    user_of(context, request)
    if known is None and file is not None:
        actual = content_hash(file.value)
        if wanted and wanted != actual:
            message = "Uploaded file hash does not match provided hash."
            raise Refused(400, "HASH_MISMATCH", message)
        known = context.assets.with_hash(actual)
        if known is None:
            return _made(context, _stored(context, file, actual, sent), 201, created=True)
    assert known is not None, "content that is not known was stored or refused"
    if sent.name is None and file is not None:
        sent = msgspec.structs.replace(sent, name=file.filename)
    return _made(context, context.assets.another(known, context.now, **sent.facts()), 200)


def _stored(context: Context, file: FormField, actual: str, sent: _Sent) -> Asset:
    destinations = [tag for tag in sent.tags if tag in _DESTINATIONS]
    if not sent.tags:
        raise Refused(400, "INVALID_BODY", "tags are required for new asset uploads")
    if len(destinations) != 1:
        message = "uploads require exactly one destination role: input, models, or output"
        raise Refused(400, "INVALID_BODY", message)
    (kind,) = destinations
    if kind == "models":
        kind = f"models/{_model_folder(context, sent.tags)}"
    name = file.filename or ""
    if sent.name is None:
        sent = msgspec.structs.replace(sent, name=name)
    end = extension(name)
    return context.assets.keep(file.value, actual, kind, end, context.now, **sent.facts())


def _model_folder(context: Context, tags: Sequence[str]) -> str:
    if not context.era.has("model_type_tags"):
        # The category is the tag behind "models".
        folder = tags[tags.index("models") + 1 :][:1]
        if not folder or folder[0] not in context.catalogue.models:
            given = folder[0] if folder else ""
            raise Refused(400, "INVALID_BODY", f"unknown models category '{given}'")
        return folder[0]
    folders = [tag.removeprefix("model_type:") for tag in tags if tag.startswith("model_type:")]
    if len(folders) != 1:
        message = "models uploads require exactly one model_type:<folder_name> tag"
        raise Refused(400, "INVALID_BODY", message)
    if folders[0] not in context.catalogue.models:
        raise Refused(400, "INVALID_BODY", f"unknown model category '{folders[0]}'")
    return folders[0]


def _fields(request: Request) -> list[FormField]:
    try:
        return request.form()
    except (BadForm, LookupError) as error:
        raise HttpError(400, str(error)) from None


def _text(fields: Iterable[FormField], name: str) -> str:
    values = (field.value.decode("utf-8", "replace") for field in fields if field.name == name)
    return next(values, "")


def _sent(fields: list[FormField]) -> _Sent:
    tags: list[str] = []
    for field in fields:
        if field.name == "tags":
            tags += _listed(field.value.decode("utf-8", "replace").strip())
    return _Sent(
        tags=_distinct(tags),
        name=_text(fields, "name").strip() or None,
        user_metadata=_metadata(_text(fields, "user_metadata").strip()),
        mime_type=_text(fields, "mime_type").strip() or None,
        preview_id=_text(fields, "preview_id").strip() or None,
    )


def _listed(text: str) -> list[str]:
    """Tags as a JSON array, or with commas between them."""
    if text.startswith("["):
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            read = None
        if isinstance(read, list):
            return [str(each) for each in read]
    return text.split(",")


def _metadata(text: str) -> Mapping[str, Any]:
    if not text:
        return {}
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"Validation failed: user_metadata must be JSON: {error}"
        raise Refused(400, "INVALID_BODY", message) from None
    if not isinstance(read, dict):
        message = "Validation failed: user_metadata must be a JSON object"
        raise Refused(400, "INVALID_BODY", message)
    return read


def _bad_hash(given: Any) -> dict[str, Any]:
    why = "hash must be 'blake3:<hex>'"
    return invalid("value_error", ["hash"], f"Value error, {why}", given, context={"error": why})


def _made(context: Context, asset: Asset, status: int, *, created: bool = False) -> Response:
    return json_response({**described(context, asset), "created_new": created}, status)
