"""Requests about jobs: submit, look up, list, cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.events import comfy_json
from comfyrec.http.request import loads_or_none
from fake_server.http.responses import empty, json_response, server_error
from fake_server.source import Request, Response
from fake_server.surfaces.cloud.answers import Refused, bad_request, not_found, translated
from fake_server.surfaces.cloud.jobs import (
    CloudJob,
    Jobs,
    Known,
    detail_of,
    entry_of,
    listed_of,
    queue_item,
    status_of,
)
from fake_server.surfaces.cloud.settings import CloudSettings
from fake_server.surfaces.cloud.users import User
from fake_server.surfaces.surface import Asking, Door

__all__ = ["JobRequests"]

_LOCAL: Final = (("Host", "127.0.0.1"),)
_JSON: Final = (*_LOCAL, ("Content-Type", "application/json"))
_IGNORED: Final = ("number", "front", "prompt_id", "client_id")
_STATUSES: Final = ("pending", "in_progress", "completed", "failed", "cancelled")
_OUTPUT_TYPES: Final = ("image", "video", "audio")
_LIMIT_MAX: Final = 1_000
_LIMIT: Final = 100


class _Queue(msgspec.Struct, frozen=True):
    running: Mapping[str, Sequence[Any]]
    pending: Mapping[str, Sequence[Any]]


class JobRequests:
    """Requests about jobs.

    Args:
        door: to the server behind.
        settings: of the surface.
        jobs: all there are.
    """

    def __init__(self, door: Door, settings: CloudSettings, jobs: Jobs) -> None:
        self._door, self._settings, self._jobs = door, settings, jobs

    # --- submit ------------------------------------------------------------------------------

    def submit(self, user: User, request: Request) -> Asking[Response]:
        """``POST /api/prompt``: the whole prompt, or none of it."""
        body = request.in_memory().json
        if not isinstance(body, dict) or not isinstance(body.get("prompt"), dict):
            raise bad_request("the body has to be a JSON object with an object 'prompt'")
        if not all(isinstance(node, dict) for node in body["prompt"].values()):
            raise bad_request("a node of 'prompt' is not an object")
        kept = {name: value for name, value in body.items() if name not in _IGNORED}
        sent = comfy_json({**kept, "client_id": user.client_id}).encode()
        answer = yield Request("POST", "/prompt", _JSON, sent)
        value = loads_or_none(answer.body)
        if answer.body == server_error().body:
            raise bad_request("the prompt cannot be read")
        if not isinstance(value, dict):
            return translated(answer)
        if answer.status != 200 or "prompt_id" not in value:
            return answer
        prompt_id = str(value["prompt_id"])
        if value.get("node_errors"):
            return (yield from self._refuse(prompt_id, value["node_errors"]))
        now = self._door.unix_us
        self._jobs.add(CloudJob(prompt_id, user.number, now, now))
        number = value.get("number")
        return json_response({"prompt_id": prompt_id, "number": number, "node_errors": {}})

    def _refuse(self, prompt_id: str, node_errors: Any) -> Asking[Response]:
        """The server behind takes what it can of a prompt with a bad node; here it is refused."""
        self._jobs.hide(prompt_id)
        yield _post("/queue", {"delete": [prompt_id]})
        yield _post("/interrupt", {"prompt_id": prompt_id})
        error = {
            "type": "prompt_outputs_failed_validation",
            "message": "Prompt outputs failed validation",
            "details": "",
            "extra_info": {},
        }
        return json_response({"error": error, "node_errors": node_errors}, 400)

    # --- look up -----------------------------------------------------------------------------

    def status(self, user: User, id: str) -> Asking[Response]:
        """``GET /api/job/{id}/status``."""
        job, known = yield from self._known(user, id)
        return json_response(status_of(job, known, self._settings, self._door.unix_us))

    def detail(self, user: User, id: str) -> Asking[Response]:
        """``GET /api/jobs/{id}``."""
        job, known = yield from self._known(user, id)
        return json_response(detail_of(job, known))

    def history_of(self, user: User, id: str) -> Asking[Response]:
        """``GET /api/history_v2/{id}``: 404 until there is an entry."""
        job, known = yield from self._known(user, id, "prompt")
        if known.entry is None:
            raise not_found("prompt")
        return json_response({id: entry_of(job, known.entry, listed=False)})

    def _known(self, user: User, id: str, what: str = "job") -> Asking[tuple[CloudJob, Known]]:
        job = self._jobs.get(id)
        if job is None:
            raise not_found(what)
        if job.user != user.number:
            raise Refused(403, f"the {what} belongs to another user")
        # A prompt goes from the queue into the history in one step, so it is missed in no order
        # but the other one.
        queue = yield from self._queue()
        entries = yield from self._entries(f"/history/{id}")
        return job, _known_of(job, queue, entries)

    def _entries(self, target: str) -> Asking[Mapping[str, Any]]:
        entries = yield from self._object(target)
        return {id: entry for id, entry in entries.items() if isinstance(entry, dict)}

    def _queue(self) -> Asking[_Queue]:
        queue = yield from self._object("/queue")
        return _Queue(_rows(queue.get("queue_running")), _rows(queue.get("queue_pending")))

    def _object(self, target: str) -> Asking[Mapping[str, Any]]:
        answer = yield Request("GET", target, _LOCAL)
        value = loads_or_none(answer.body)
        if answer.status != 200 or not isinstance(value, dict):
            raise _Passed(answer)
        return value

    # --- lists -------------------------------------------------------------------------------

    def list(self, user: User, request: Request) -> Asking[Response]:
        """``GET /api/jobs``."""
        wanted = _choices(request, "status", _STATUSES)
        kinds = _choices(request, "output_type", _OUTPUT_TYPES)
        by = _choices(request, "sort_by", ("create_time", "execution_time")) or ["create_time"]
        order = _choices(request, "sort_order", ("asc", "desc")) or ["desc"]
        offset = _whole(request, "offset", 0, 0, None)
        limit = _whole(request, "limit", _LIMIT, 1, _LIMIT_MAX)
        assert offset is not None and limit is not None
        jobs = [listed_of(job, known) for job, known in (yield from self._all(user))]
        found = [
            job
            for job in jobs
            if (not wanted or job["status"] in wanted)
            and (not kinds or _kind_of(job) in kinds)
            and request.first("workflow_id") in (None, "", job.get("workflow_id"))
        ]
        key = _took if by == ["execution_time"] else _created
        found.sort(key=key)
        if order == ["desc"]:
            found.reverse()
        page = found[offset : offset + limit]
        more = offset + len(page) < len(found)
        about = {"offset": offset, "limit": limit, "total": len(found), "has_more": more}
        return json_response({"jobs": page, "pagination": about})

    def history(self, user: User, request: Request) -> Asking[Response]:
        """``GET /api/history_v2``, the newest first."""
        most = _whole(request, "max_items", None, 0, None)
        offset = _whole(request, "offset", 0, 0, None) or 0
        entries = [
            entry_of(job, known.entry, listed=True)
            for job, known in reversed((yield from self._all(user)))
            if known.entry is not None
        ]
        end = None if most is None else offset + most
        return json_response({"history": entries[offset:end]})

    def _all(self, user: User) -> Asking[Sequence[tuple[CloudJob, Known]]]:
        queue = yield from self._queue()
        entries = yield from self._entries("/history")
        return [(job, _known_of(job, queue, entries)) for job in self._jobs.of(user.number)]

    def forget(self, user: User, request: Request) -> Asking[Response]:
        """``POST /api/history``."""
        delete, clear = _delete_or_clear(request)
        gone = [
            job.id
            for job, known in (yield from self._all(user))
            if known.end_of(job) is not None and (clear or job.id in delete)
        ]
        yield _post("/history", {"delete": gone})
        for id in gone:
            self._jobs.forget(id)
        return empty()

    # --- the queue ---------------------------------------------------------------------------

    def info(self, user: User) -> Response:
        """``GET /api/prompt``."""
        remaining = len(self._jobs.open(user.number))
        return json_response({"exec_info": {"queue_remaining": remaining}})

    def queue(self, user: User) -> Asking[Response]:
        """``GET /api/queue``. Jobs that have started run, whichever of them the server works on."""
        queue = yield from self._queue()
        mine = [job for job in self._jobs.of(user.number) if job.end is None]
        rows = [
            (job, queue.running.get(job.id) or queue.pending.get(job.id) or (), place)
            for place, job in enumerate(mine, 1)
            if job.id in queue.running or job.id in queue.pending
        ]
        running = [one for one in rows if one[0].started or one[0].id in queue.running]
        pending = [one for one in rows if one not in running]
        told = {"queue_running": running, "queue_pending": pending}
        return json_response(
            {name: [queue_item(*one) for one in some] for name, some in told.items()}
        )

    def change_queue(self, user: User, request: Request) -> Asking[Response]:
        """``POST /api/queue``: take out what waits."""
        delete, clear = _delete_or_clear(request)
        queue = yield from self._queue()
        gone = [
            job
            for job in self._jobs.of(user.number)
            if job.id in queue.pending and (clear or job.id in delete)
        ]
        yield _post("/queue", {"delete": [job.id for job in gone]})
        for job in gone:
            job.end, job.updated = "cancelled", self._door.unix_us
        return json_response({"deleted": [job.id for job in gone], "cleared": clear})

    def interrupt(self, user: User) -> Asking[Response]:
        """``POST /api/interrupt``: stop what runs; of what has started without working, too."""
        queue = yield from self._queue()
        for job in self._jobs.open(user.number):
            if job.id in queue.running:
                job.stopping = True
                yield _post("/interrupt", {"prompt_id": job.id})
            elif job.started and job.id in queue.pending:
                yield _post("/queue", {"delete": [job.id]})
                job.end, job.updated = "cancelled", self._door.unix_us
        return empty()


class _Passed(Refused):
    """The server behind did not answer as one does: its error is the client's."""

    def __init__(self, answer: Response) -> None:
        super().__init__(500, "the server behind cannot be used")
        if answer.status >= 400:
            self.answer = translated(answer)


def _known_of(job: CloudJob, queue: _Queue, entries: Mapping[str, Any]) -> Known:
    row = queue.running.get(job.id) or queue.pending.get(job.id)
    return Known(entries.get(job.id), row, job.id in queue.running)


def _post(path: str, value: Any) -> Request:
    return Request("POST", path, _JSON, comfy_json(value).encode())


def _rows(rows: Any) -> dict[str, Sequence[Any]]:
    found = [row for row in (rows if isinstance(rows, list) else []) if isinstance(row, list)]
    return {row[1]: row for row in found if len(row) > 1 and isinstance(row[1], str)}


def _delete_or_clear(request: Request) -> tuple[list[str], bool]:
    body = request.in_memory().json
    if not isinstance(body, dict) or body.keys() - {"delete", "clear"}:
        raise bad_request("the body has to be an object with 'delete' or 'clear'")
    delete, clear = body.get("delete", []), body.get("clear", False)
    if not isinstance(delete, list) or not all(isinstance(one, str) for one in delete):
        raise bad_request("'delete' has to be a list of ids")
    if not isinstance(clear, bool):
        raise bad_request("'clear' has to be true or false")
    return delete, clear


def _choices(request: Request, name: str, known: Sequence[str]) -> list[str]:
    given = [one.strip().lower() for one in (request.first(name) or "").split(",") if one.strip()]
    for one in given:
        if one not in known:
            raise bad_request(f"{name} is one of {', '.join(known)}")
    return given


def _whole(
    request: Request, name: str, default: int | None, least: int, most: int | None
) -> int | None:
    given = request.first(name)
    if given is None:
        return default
    try:
        value = int(given)
    except ValueError:
        raise bad_request(f"{name} has to be a whole number") from None
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise bad_request(f"{name} has to be {bounds}")
    return value


def _kind_of(job: Mapping[str, Any]) -> str:
    preview = job.get("preview_output")
    media = str(preview.get("mediaType", "")) if isinstance(preview, dict) else ""
    return {"images": "image", "gifs": "video"}.get(media, media)


def _created(job: Mapping[str, Any]) -> int:
    return int(job["create_time"])


def _took(job: Mapping[str, Any]) -> int:
    started, ended = job.get("execution_start_time"), job.get("execution_end_time")
    return int(ended) - int(started) if started and ended else 0
