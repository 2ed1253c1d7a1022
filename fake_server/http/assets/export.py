"""POST /api/assets/export, its tasks and its zips (0.40.0, upstream #16578).

Read in upstream's source and never captured. Nothing takes time here: a task is completed when its
request is answered, and two events say so.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote

from fake_server.http.assets.answers import Refused, read_body, refused, time_of
from fake_server.http.context import Context, extension
from fake_server.http.responses import json_response
from fake_server.source import Request, Response
from fake_server.storage.archives import zipped
from fake_server.storage.assets import Asset

__all__ = ["export_assets", "get_export", "get_task"]

_STRATEGIES: Final = ("group_by_job_id", "preserve", "asset_id", "group_by_job_time")
_FOLDER: Final = "exports"
_NAME: Final = re.compile(r"comfy-export-\d{4}-\d\d-\d\d-[0-9a-f]{8}\.zip")


def export_assets(context: Context, request: Request) -> Response:
    """Write a zip of assets."""
    body = read_body(request, message="Validation failed.")
    jobs, ids = (body.get(name) or [] for name in ("job_ids", "asset_ids"))
    if not all(isinstance(one, list) for one in (jobs, ids)) or not (jobs or ids):
        raise Refused(400, "INVALID_REQUEST", "Provide job_ids or asset_ids.")
    strategy = body.get("naming_strategy", "group_by_job_time")
    if strategy not in _STRATEGIES:
        message = f"naming_strategy must be one of {', '.join(_STRATEGIES)}"
        raise Refused(400, "INVALID_NAMING_STRATEGY", message)
    previews = bool(body.get("include_previews"))
    chosen = [
        one
        for one in context.assets
        if one.id in ids or (one.prompt_id in jobs and (previews or one.kind != "temp"))
    ]
    task_id = context.random.uuid()
    context.tasks[task_id] = _carried_out(context, task_id, body, chosen, strategy)
    message = "Export task created. Use task_id to track progress."
    return json_response({"task_id": task_id, "status": "created", "message": message}, 202)


def get_task(context: Context, request: Request, id: str) -> Response:
    """What has become of a task."""
    task = context.tasks.get(id.lower())
    if task is None:
        return refused(404, "TASK_NOT_FOUND", f"Task {id} not found", {"id": id})
    return json_response(task)


def get_export(context: Context, request: Request, name: str) -> Response:
    """Where a zip can be fetched."""
    if not _NAME.fullmatch(name):
        return refused(400, "INVALID_EXPORT_NAME", f"{name!r} is not the name of an export")
    if not context.folders.has("temp", _FOLDER, name):
        return refused(404, "EXPORT_NOT_FOUND", f"Export {name} not found")
    url = f"/api/view?filename={quote(name, safe='')}&type=temp&subfolder={_FOLDER}"
    return json_response({"url": url})


def _carried_out(
    context: Context, task_id: str, body: dict[str, Any], chosen: list[Asset], strategy: str
) -> dict[str, Any]:
    files = list(_named(context, chosen, strategy))
    size = sum(len(data) for _, data in files)
    day = time_of(context, context.now)[:10]
    name = f"comfy-export-{day}-{context.random.hex32()[:8]}.zip"
    context.folders.write("temp", _FOLDER, name, zipped(files), context.now)
    counts = {
        "task_id": task_id,
        "assets_total": len(chosen),
        "assets_attempted": 0,
        "assets_failed": 0,
        "bytes_total": size,
        "bytes_processed": 0,
        "progress": 0.0,
        "status": "running",
    }
    done = {
        "assets_attempted": len(chosen),
        "assets_failed": len(chosen) - len(files),
        "bytes_processed": size,
        "progress": 1.0,
        "status": "completed",
        "export_name": name,
    }
    for said in (counts, {**counts, **done}):
        context.engine.publish("asset_export", said, None, context.now)
    now = time_of(context, context.now)
    return {
        "id": task_id,
        "idempotency_key": task_id,
        "task_name": "task:export",
        "payload": body,
        "status": "completed",
        "create_time": now,
        "update_time": now,
        "started_at": now,
        "completed_at": now,
        "result": {**counts, **done},
    }


def _named(context: Context, chosen: Iterable[Asset], strategy: str) -> Iterator[tuple[str, bytes]]:
    """The files with their names in the zip; what is gone is left out."""
    taken: set[str] = set()
    for asset in chosen:
        file = context.assets.content(asset)
        if file is None:
            continue
        name = _unlike(_name(context, asset, strategy), taken)
        taken.add(name)
        yield name, file.data


def _name(context: Context, asset: Asset, strategy: str) -> str:
    if strategy == "asset_id":
        return f"{asset.id}{extension(asset.name)}"
    if strategy == "preserve":
        return asset.path
    group = asset.prompt_id or "assets"
    if strategy == "group_by_job_time" and asset.prompt_id is not None:
        group = re.sub("[:.]", "-", time_of(context, asset.created_us)[:19])
    return posixpath.join(group, asset.name)


def _unlike(name: str, taken: set[str]) -> str:
    """A name that is free: ``a (1).png`` for a second ``a.png``."""
    end = extension(name)
    stem, number, free = name[: len(name) - len(end)], 1, name
    while free in taken:
        free, number = f"{stem} ({number}){end}", number + 1
    return free
