"""Method and path -> what answers an asset route, and what all of them say while assets are off."""

from __future__ import annotations

from functools import partial
from typing import Final

from fake_server.http.assets import changes, export, listing, seeding
from fake_server.http.assets.answers import refused
from fake_server.http.context import Context, Handler
from fake_server.source import Request, Response

__all__ = ["ASSET_HANDLERS"]

_OFF: Final = (
    "Assets system is disabled. Start the server with --enable-assets to use this feature."
)


def _if_on(handler: Handler, context: Context, request: Request, **params: str) -> Response:
    """Nothing of a request is looked at while assets are off."""
    era = context.era
    if not (era.has("assets_on") or era.has("assets_always") or context.options.serves_assets):
        return refused(503, "SERVICE_DISABLED", _OFF)
    return handler(context, request, **params)


_HANDLERS: Final[dict[str, Handler]] = {
    "GET /assets": listing.list_assets,
    "POST /assets": changes.upload_asset,
    "POST /assets/from-hash": changes.from_hash,
    "HEAD /assets/hash/{hash}": changes.has_hash,
    "GET /assets/tags/refine": listing.refine_tags,
    "POST /assets/seed": seeding.seed,
    "GET /assets/seed/status": seeding.seed_status,
    "POST /assets/seed/cancel": seeding.cancel_seed,
    "POST /assets/prune": seeding.prune,
    "POST /assets/export": export.export_assets,
    "GET /assets/exports/{name}": export.get_export,
    "GET /assets/{id:uuid}": changes.get_asset,
    "PUT /assets/{id:uuid}": changes.update_asset,
    "DELETE /assets/{id:uuid}": changes.delete_asset,
    "GET /assets/{id:uuid}/content": changes.content,
    "POST /assets/{id:uuid}/tags": changes.add_tags,
    "DELETE /assets/{id:uuid}/tags": changes.remove_tags,
    "GET /tags": listing.list_tags,
    "GET /tasks/{id:uuid}": export.get_task,
}
ASSET_HANDLERS: Final[dict[str, Handler]] = {
    route: partial(_if_on, handler) for route, handler in _HANDLERS.items()
}
