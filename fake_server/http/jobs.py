"""``/api/jobs``: the job list, one job, and how jobs are canceled.

protocol.md, section 9.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fake_server.http.context import BodyNotJson, Context, HandlerFailed, read_json
from fake_server.http.job_view import from_history, from_queue, ordered, statuses
from fake_server.http.responses import json_response
from fake_server.simulator.engine import Engine
from fake_server.source import Request, Response

__all__ = ["cancel_job", "cancel_jobs", "get_job", "get_jobs"]

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


class _BadQuery(Exception):
    """The job list cannot be asked this way; the text is the answer's."""


def get_jobs(context: Context, request: Request) -> Response:
    """The job list: filtered, sorted, one page of it."""
    try:
        wanted = _statuses(context, request)
        by, descending = _sorting(request)
        limit, offset = _page(request)
    except _BadQuery as bad:
        return json_response({"error": str(bad)}, 400)
    try:
        found = [job for job in _all_jobs(context.engine) if job["status"] in wanted]
        workflow = request.first("workflow_id")
        if workflow:
            found = [job for job in found if job.get("workflow_id") == workflow]
        found = ordered(found, by, descending=descending)
    except (AttributeError, TypeError) as error:
        # An extra_pnginfo that is not an object, times that are not numbers.
        raise HandlerFailed(str(error)) from None
    page = found[offset:] if limit is None else found[offset : offset + limit]
    more = limit is not None and offset + len(page) < len(found)
    about = {"offset": offset, "limit": limit, "total": len(found), "has_more": more}
    return json_response({"jobs": page, "pagination": about})


def _all_jobs(engine: Engine) -> list[dict[str, Any]]:
    era = engine.era
    found = [from_queue(job.item(), "in_progress", era) for job in engine.running]
    found += [from_queue(job.item(), "pending", era) for job in engine.pending]
    found += [from_history(key, entry, era) for key, entry in engine.history.items()]
    return found


def _statuses(context: Context, request: Request) -> tuple[str, ...]:
    known = statuses(context.era)
    given = request.first("status") or ""
    wanted = [one.strip().lower() for one in given.split(",") if one.strip()]
    wrong = [one for one in wanted if one not in known]
    if wrong:
        raise _BadQuery(
            f"Invalid status value(s): {', '.join(wrong)}. Valid values: {', '.join(known)}"
        )
    return tuple(wanted) if given else known


def _sorting(request: Request) -> tuple[str, bool]:
    by = request.query.get("sort_by", ("created_at",))[0].lower()
    if by not in ("created_at", "execution_duration"):
        raise _BadQuery("sort_by must be 'created_at' or 'execution_duration'")
    order = request.query.get("sort_order", ("desc",))[0].lower()
    if order not in ("asc", "desc"):
        raise _BadQuery("sort_order must be 'asc' or 'desc'")
    return by, order == "desc"


def _page(request: Request) -> tuple[int | None, int]:
    limit, offset = request.first("limit"), request.first("offset")
    try:
        most = int(limit) if limit is not None else None
    except ValueError:
        raise _BadQuery("limit must be an integer") from None
    if most is not None and most <= 0:
        raise _BadQuery("limit must be a positive integer")
    try:
        first = int(offset) if offset is not None else 0
    except ValueError:
        raise _BadQuery("offset must be an integer") from None
    return most, max(0, first)


def get_job(context: Context, request: Request, job_id: str) -> Response:
    """One job, with its outputs and workflow once it is over."""
    engine, era = context.engine, context.era
    try:
        if job_id in engine.history:
            found = from_history(job_id, engine.history[job_id], era, alone=True)
        elif running := [one for one in engine.running if one.prompt_id == job_id]:
            found = from_queue(running[0].item(), "in_progress", era, alone=True)
        else:
            waiting = next((j for j in engine.pending if j.prompt_id == job_id), None)
            if waiting is None:
                return json_response({"error": "Job not found"}, 404)
            found = from_queue(waiting.item(), "pending", era, alone=True)
    except (AttributeError, TypeError) as error:
        raise HandlerFailed(str(error)) from None
    return json_response(found)


def cancel_job(context: Context, request: Request, job_id: str) -> Response:
    """Interrupt or dequeue one job."""
    return json_response({"cancelled": _cancel(context, job_id)})


def cancel_jobs(context: Context, request: Request) -> Response:
    """Interrupt or dequeue several jobs."""
    try:
        body = read_json(request)
    except BodyNotJson:
        return json_response({"error": "Request body must be valid JSON"}, 400)
    ids = body.get("job_ids") if isinstance(body, dict) else None
    if not isinstance(ids, list):
        return json_response({"error": "job_ids must be a list"}, 400)
    wrong = [str(one) for one in ids if not (isinstance(one, str) and _UUID.match(one))]
    if wrong:
        message = "job_ids contains invalid id(s)"
        return json_response({"error": message, "invalid_ids": wrong}, 400)
    cancelled = [_cancel(context, one) for one in ids]
    return json_response({"cancelled": any(cancelled)})


def _cancel(context: Context, job_id: str) -> bool:
    if context.engine.interrupt(context.now, job_id):
        return True
    return context.engine.delete(lambda job: job.prompt_id == job_id)
