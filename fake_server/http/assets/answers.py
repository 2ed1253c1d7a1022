"""What asset routes say: assets as JSON, refusals, and what is wrong with a body or a query."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote

from fake_server.http.context import Context, HttpError, user_of
from fake_server.http.responses import json_response
from fake_server.source import Request, Response
from fake_server.storage.assets import Asset

__all__ = [
    "Refused",
    "described",
    "found",
    "invalid",
    "read_body",
    "reference",
    "refused",
    "time_of",
    "unread",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# The address that the validating library writes into each of its errors.
_ERRORS: Final = "https://errors.pydantic.dev/2.14/v/"


class Refused(HttpError):
    """A request that an asset route refuses, as its error object says."""

    def __init__(
        self, status: int, code: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(400)
        self.answer = refused(status, code, message, details)


def refused(
    status: int, code: str, message: str, details: Mapping[str, Any] | None = None
) -> Response:
    """``{"error": {code, message, details}}``."""
    error = {"code": code, "message": message, "details": dict(details or {})}
    return json_response({"error": error}, status)


def invalid(
    kind: str,
    where: Sequence[str],
    message: str,
    given: Any,
    *,
    context: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One entry of ``details.errors``: what is wrong with one field."""
    more = {} if context is None else {"ctx": dict(context)}
    return {
        "type": kind,
        "loc": list(where),
        "msg": message,
        "input": given,
        **more,
        "url": f"{_ERRORS}{kind}",
    }


def unread(code: str, *errors: Mapping[str, Any], message: str = "Validation failed.") -> Refused:
    """A body or query that does not fit."""
    return Refused(400, code, message, {"errors": list(errors)})


def read_body(request: Request, *, code: str = "INVALID_BODY", message: str) -> dict[str, Any]:
    """The body as an object.

    Raises:
        Refused: not JSON, or no object.
    """
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        raise Refused(400, "INVALID_JSON", "Request body must be valid JSON.") from None
    if not isinstance(body, dict):
        wanted = "Input should be a valid dictionary or an instance of the body"
        raise unread(code, invalid("model_type", [], wanted, body), message=message)
    return body


def found(
    context: Context, request: Request, asset_id: str, *, end: str = "", details: bool = True
) -> Asset:
    """The asset of an id.

    Raises:
        UnknownUser: who asks is nobody.
        Refused: there is none.
    """
    user_of(context, request)
    asset = context.assets.get(asset_id.lower())
    if asset is None:
        kind = "AssetReference" if context.era.has("asset_shape") else "AssetInfo"
        message = f"{kind} {asset_id} not found{end}"
        raise Refused(404, "ASSET_NOT_FOUND", message, {"id": asset_id} if details else {})
    return asset


def time_of(context: Context, at_us: int) -> str:
    """A virtual time as assets write theirs: UTC, and nothing that says so."""
    moment = _EPOCH + timedelta(microseconds=context.epoch_us + at_us)
    return moment.replace(tzinfo=None).isoformat()


def described(
    context: Context, asset: Asset, where: Literal["listed", "alone", "changed"] = "alone"
) -> dict[str, Any]:
    """An asset as all routes show it; what it does not have is left out.

    Args:
        where: older servers show other fields in a list, alone, and after a change.
    """
    context.assets.content(asset)
    if not context.era.has("asset_shape"):
        return _by_route(context, asset, where)
    reworked = context.era.has("assets_reworked")
    home = asset.path if asset.at_home else None
    facts = {
        "id": asset.id,
        "name": asset.name,
        "hash": asset.hash if context.era.has("asset_hash_twice") else None,
        "loader_path": home,
        "display_name": home,
        "asset_hash": None if reworked else asset.hash,
        "size": asset.size,
        "mime_type": asset.mime_type,
        "tags": sorted(asset.tags),
        "preview_url": _preview_url(context, asset),
        "preview_id": asset.preview_id,
        "user_metadata": dict(asset.user_metadata),
        "is_immutable": None if reworked else False,
        "metadata": _metadata(asset),
        "job_id": asset.prompt_id,
        "prompt_id": asset.prompt_id,
        "created_at": time_of(context, asset.created_us),
        "updated_at": time_of(context, asset.updated_us),
        "last_access_time": time_of(context, asset.accessed_us),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _by_route(
    context: Context, asset: Asset, where: Literal["listed", "alone", "changed"]
) -> dict[str, Any]:
    """An asset before all routes showed the same: null is only left out of lists."""
    facts: dict[str, Any] = {"id": asset.id, "name": asset.name, "asset_hash": asset.hash}
    if where != "changed":
        facts |= {"size": asset.size, "mime_type": asset.mime_type}
    facts["tags"] = sorted(asset.tags)
    if where == "listed":
        facts["preview_url"] = f"/api/assets/{asset.id}/content"
    else:
        facts["user_metadata"] = dict(asset.user_metadata)
    if where == "alone":
        facts["preview_id"] = asset.preview_id
    if where != "changed":
        facts["created_at"] = time_of(context, asset.created_us)
    if where != "alone":
        facts["updated_at"] = time_of(context, asset.updated_us)
    if where != "changed":
        facts["last_access_time"] = time_of(context, asset.accessed_us)
    kept = where != "listed"
    return {name: value for name, value in facts.items() if kept or value is not None}


def reference(context: Context, asset: Asset) -> dict[str, Any]:
    """The asset of an upload, as /upload/image and /upload/mask tell it."""
    return {
        "id": asset.id,
        "name": asset.name,
        "asset_hash": asset.hash,
        "size": asset.size,
        "mime_type": asset.mime_type,
        "tags": sorted(asset.tags),
    }


def _preview_url(context: Context, asset: Asset) -> str | None:
    """Where a picture of it can be seen: itself, or the asset that it names for that."""
    shown = context.assets.get(asset.preview_id) if asset.preview_id else asset
    if shown is None or shown.picture is None or not (shown.at_home or asset.preview_id):
        return None
    folder, name = posixpath.split(shown.path)
    below = f"&subfolder={quote(folder, safe='')}" if folder else ""
    return f"/api/view?type={shown.kind}&filename={quote(name, safe='')}{below}"


def _metadata(asset: Asset) -> dict[str, Any] | None:
    if asset.picture is None:
        return None
    width, height = asset.picture
    return {"kind": "image", "width": width, "height": height}
