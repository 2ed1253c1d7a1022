"""Looking through the folders for files that are not assets yet, and what is said of it.

Nothing takes time here: a scan is over when its request is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fake_server.http.assets.answers import Refused
from fake_server.http.context import BodyNotJson, Context, read_json
from fake_server.http.responses import json_response
from fake_server.source import Request, Response
from fake_server.storage.assets import ROOTS

__all__ = ["cancel_seed", "prune", "seed", "seed_status"]


def seed(context: Context, request: Request) -> Response:
    """Scan; ``wait`` asks for the result instead of for word that it has begun."""
    try:
        body = read_json(request) if request.body else {}
    except BodyNotJson:
        body = {}
    asked = body.get("roots", ROOTS) if isinstance(body, dict) else ROOTS
    roots = [root for root in ROOTS if isinstance(asked, Sequence) and root in asked]
    if not roots:
        raise Refused(400, "INVALID_BODY", "No valid roots specified")
    roots = [root for root in asked if root in roots]
    if not context.era.has("assets_events"):
        context.assets.scan(roots, context.now)
        return json_response({"seeded": roots})
    _scan(context, roots)
    if (request.first("wait") or "").lower() in ("true", "1", "yes"):
        return json_response({"status": "completed", **_progress(context)})
    return json_response({"status": "started"}, 202)


def seed_status(context: Context, request: Request) -> Response:
    """Whether a scan is under way, and how far the last one came."""
    return json_response({"state": "IDLE", **_progress(context)})


def cancel_seed(context: Context, request: Request) -> Response:
    """There is never a scan to cancel."""
    return json_response({"status": "idle"})


def prune(context: Context, request: Request) -> Response:
    """Mark what lies outside of all folders, which nothing does."""
    return json_response({"status": "completed", "marked": 0})


def _progress(context: Context) -> dict[str, Any]:
    created, skipped = context.assets.scanned
    counts = {"scanned": 0, "total": created + skipped, "created": created, "skipped": skipped}
    return {"progress": counts, "errors": []}


def _scan(context: Context, roots: Sequence[str]) -> None:
    """Scan, and tell every socket of it as the real server does, in both phases."""
    created, skipped = context.assets.scan(roots, context.now)
    listed, total = list(roots), created + skipped

    def say(what: str, data: dict[str, Any]) -> None:
        context.engine.publish(f"assets.seed.{what}", data, None, context.now)

    counts = {"created": created, "skipped": skipped, "total": total}
    say("started", {"roots": listed, "total": total, "phase": "fast"})
    say("fast_complete", {"roots": listed, **counts})
    say("started", {"roots": listed, "phase": "enrich"})
    say("enrich_complete", {"roots": listed, "enriched": created})
    say(
        "completed",
        {
            "phase": "full",
            "total": total,
            "created": created,
            "enriched": created,
            "skipped": skipped,
            "elapsed": 0.0,
        },
    )
