"""What nobody asked while recording: an answer that follows from the recorded events.

Each such answer says so in a header. Queue, history and jobs are those of the play-throughs; files,
flags and node classes come from whatever the recording shows of them. What does not follow from it
is answered as a ComfyUI server without models, settings and extensions would.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from comfyrec.versions import Era
from fake_server.http import job_view as jobs
from fake_server.http.forms import BadForm, fields_of
from fake_server.http.question import server_error
from fake_server.replay.live.live_state import Live, Stage
from fake_server.replay.live.recorded_facts import File, Remembered
from fake_server.replay.live.session import Take
from fake_server.replay.request_key import Asking
from fake_server.replay.rewrite_response import MARK, image_type, substitute
from fake_server.source import Request, Response

__all__ = ["Synthesis"]

UPLOADS_BYTES_MAX: Final = 64 * 1024 * 1024
"""Files that clients uploaded and may view again; the oldest go first."""


class Synthesis:
    """Answers for one player.

    Args:
        remembered: what the recording knows.
        era: its generation of servers.
    """

    def __init__(self, remembered: Remembered, era: Era) -> None:
        self._remembered, self._era = remembered, era
        self._uploads: dict[str, File] = {}

    def answer(
        self, asking: Asking, request: Request, takes: Sequence[Take], *, stopped: bool = False
    ) -> Response:
        """The answer to a request that the recording has no answer for.

        Args:
            asking: the request, taken apart; ids as in the recording.
            request: as it came.
            takes: the play-throughs whose queue and history count.
            stopped: whether the request stopped a prompt, or took one off the queue.
        """
        word, _, rest = asking.path[1:].partition("/")
        handler = self._handlers.get((asking.method, word))
        question = _Question(asking, request, takes, rest, stopped)
        try:
            made = handler(self, question) if handler else None
        except (AttributeError, LookupError, TypeError, ValueError):
            # The recording holds what no server says; one that held it would fail as well.
            made = server_error()
        answer = made or self._unknown(asking)
        return Response(answer.status, (*answer.headers, (MARK, word or "index")), answer.body)

    def _unknown(self, asking: Asking) -> Response:
        if asking.method == "OPTIONS":
            return Response()
        known = any(word == asking.path[1:].partition("/")[0] for _, word in self._handlers)
        if asking.method in ("GET", "HEAD") or not known:
            return Response(404, (("Content-Type", "application/octet-stream"),))
        return Response(
            405, (("Content-Type", "text/plain; charset=utf-8"),), b"405: Method Not Allowed"
        )

    # --- queue and history ---------------------------------------------------------------------

    def _prompt(self, question: _Question) -> Response:
        return _json({"exec_info": {"queue_remaining": len(question.lives)}})

    def _queue(self, question: _Question) -> Response:
        item = self._remembered.item
        return _json(
            {
                "queue_running": [item(x) for x in question.lives if x.stage is Stage.RUNNING],
                "queue_pending": [item(x) for x in question.lives if x.stage < Stage.RUNNING],
            }
        )

    def _history(self, question: _Question) -> Response:
        done = question.history
        if question.rest:
            done = [live for live in done if live.live_id == question.live_id(question.rest)]
        else:
            done = _page(done, question.number("max_items"), question.number("offset"))
        return _json({live.live_id: self._remembered.entry(live) for live in done})

    def _jobs(self, question: _Question) -> Response | None:
        if not self._era.has("jobs") or not question.asking.prefixed:
            return None
        if question.rest:
            return self._job(question)
        query = dict(question.asking.query)
        wanted = {s.strip().lower() for s in query.get("status", "").split(",") if s.strip()}
        found = [job for job in self._all_jobs(question) if not wanted or job["status"] in wanted]
        descending = query.get("sort_order", "desc") != "asc"
        found = jobs.ordered(found, query.get("sort_by", "created_at"), descending=descending)
        offset, limit = max(question.number("offset") or 0, 0), question.number("limit")
        page = found[offset:][:limit]
        pagination = {
            "offset": offset, "limit": limit, "total": len(found),
            "has_more": offset + len(page) < len(found),
        }  # fmt: skip
        return _json({"jobs": page, "pagination": pagination})

    def _all_jobs(self, question: _Question) -> list[jobs.Job]:
        return [self._as_job(live, alone=False) for live in question.lives + question.history]

    def _as_job(self, live: Live, *, alone: bool) -> jobs.Job:
        if not live.waits:
            entry = self._remembered.entry(live)
            return jobs.from_history(live.live_id, entry, self._era, alone=alone)
        status = "in_progress" if live.stage is Stage.RUNNING else "pending"
        return jobs.from_queue(self._remembered.item(live), status, self._era, alone=alone)

    def _job(self, question: _Question) -> Response:
        wanted = question.live_id(question.rest)
        for live in question.lives + question.history:
            if live.live_id == wanted:
                return _json(self._as_job(live, alone=True))
        return _json({"error": "Job not found"}, 404)

    def _cancel(self, question: _Question) -> Response | None:
        if not self._era.has("job_cancel") or not question.asking.prefixed:
            return None
        return _json({"cancelled": question.stopped})

    def _nothing(self, question: _Question) -> Response:
        return Response()

    # --- the server ----------------------------------------------------------------------------

    def _as_recorded(self, path: str, otherwise: Any) -> Response:
        known = self._remembered.json_at(path)
        return _json(otherwise if known is None else known)

    def _system_stats(self, question: _Question) -> Response:
        system = {"os": "linux", "comfyui_version": self._era.version, "argv": ["main.py"]}
        return self._as_recorded("/system_stats", {"system": system, "devices": []})

    def _features(self, question: _Question) -> Response | None:
        return _json(self._remembered.flags()) if self._era.has("progress_state") else None

    def _object_info(self, question: _Question) -> Response:
        known = self._remembered.json_at("/object_info") or self._classes()
        if not question.rest:
            return _json(known)
        return _json({question.rest: known[question.rest]} if question.rest in known else {})

    def _classes(self) -> dict[str, Any]:
        """What the recorded graphs show of their nodes' classes."""
        found: dict[str, set[str]] = {}
        for node in self._remembered.graphs():
            inputs = node.get("inputs")
            names = found.setdefault(str(node.get("class_type")), set())
            names.update(inputs if isinstance(inputs, dict) else ())
        return {name: _class_info(name, sorted(inputs)) for name, inputs in found.items()}

    def _settings(self, question: _Question) -> Response:
        return _json(None if question.rest else {})

    def _users(self, question: _Question) -> Response:
        return _json({"storage": "server", "migrated": True})

    def _empty_list(self, question: _Question) -> Response | None:
        path = f"/{question.asking.path[1:]}"
        return self._as_recorded(path, []) if not question.rest else None

    def _empty_object(self, question: _Question) -> Response | None:
        path = f"/{question.asking.path[1:]}"
        return self._as_recorded(path, {}) if not question.rest else None

    def _index(self, question: _Question) -> Response:
        page = b"<!doctype html><title>ComfyUI</title><p>A recording is played back here."
        headers = (("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"))
        return Response(200, headers, page)

    # --- files ---------------------------------------------------------------------------------

    def _view(self, question: _Question) -> Response | None:
        name = dict(question.asking.query).get("filename")
        if not name:
            return Response(404 if name is None else 400)
        file = self._uploads.get(name) or self._remembered.files.get(name)
        if file is None and name in self._remembered.file_names:
            file = File(substitute(name), image_type(name))
        if file is None:
            return Response(404)
        headers = (
            ("Content-Type", file.content_type),
            ("Content-Disposition", f'filename="{name}"'),
            ("X-Content-Type-Options", "nosniff"),
        )
        return Response(200, headers, file.body)

    def _upload(self, question: _Question) -> Response:
        request = question.request
        try:
            fields = fields_of(request.header("Content-Type"), request.body)
        except BadForm:
            return Response(400)
        values = {field.name: field.value.decode("utf-8", "replace") for field in fields}
        image = next((f for f in fields if f.name == "image" and f.filename), None)
        if image is None or image.filename is None:
            return Response(400)
        kind = image.content_type or "application/octet-stream"
        self._uploads[image.filename] = File(image.value, kind)
        while sum(len(file.body) for file in self._uploads.values()) > UPLOADS_BYTES_MAX:
            del self._uploads[next(iter(self._uploads))]
        return _json(
            {
                "name": image.filename,
                "subfolder": values.get("subfolder", ""),
                "type": values.get("type", "input"),
            }
        )

    _handlers: Final[dict[tuple[str, str], Callable[[Synthesis, _Question], Response | None]]] = {
        ("GET", "prompt"): _prompt,
        ("GET", "queue"): _queue,
        ("GET", "history"): _history,
        ("GET", "jobs"): _jobs,
        ("POST", "jobs"): _cancel,
        ("POST", "interrupt"): _nothing,
        ("POST", "queue"): _nothing,
        ("POST", "history"): _nothing,
        ("POST", "free"): _nothing,
        ("POST", "settings"): _nothing,
        ("PATCH", "internal"): _nothing,
        ("GET", "system_stats"): _system_stats,
        ("GET", "features"): _features,
        ("GET", "object_info"): _object_info,
        ("GET", "settings"): _settings,
        ("GET", "users"): _users,
        ("GET", "extensions"): _empty_list,
        ("GET", "embeddings"): _empty_list,
        ("GET", "models"): _empty_list,
        ("GET", "i18n"): _empty_object,
        ("GET", "workflow_templates"): _empty_object,
        ("GET", "node_replacements"): _empty_object,
        ("GET", "global_subgraphs"): _empty_object,
        ("GET", "view"): _view,
        ("POST", "upload"): _upload,
        ("GET", ""): _index,
    }


class _Question:
    """A request, and the play-throughs that it is about."""

    def __init__(
        self,
        asking: Asking,
        request: Request,
        takes: Sequence[Take],
        rest: str,
        stopped: bool,
    ) -> None:
        self.asking, self.request, self.rest, self.stopped = asking, request, rest, stopped
        self._takes = takes
        self.lives = [live for take in takes for live in take.cast.waiting]
        self.history = [live for take in takes for live in take.cast.history]

    def number(self, name: str) -> int | None:
        """A query parameter as a number, None when it is none."""
        value = dict(self.asking.query).get(name, "")
        return int(value) if value.removeprefix("-").isdigit() else None

    def live_id(self, prompt_id: str) -> str:
        """The live id, for a recorded id that a live one was turned into."""
        for take in self._takes:
            if take.cast.renamed(prompt_id) != prompt_id:
                return take.cast.renamed(prompt_id)
        return prompt_id


def _json(value: Any, status: int = 200) -> Response:
    headers = (("Content-Type", "application/json; charset=utf-8"),)
    return Response(status, headers, json.dumps(value).encode())


def _page(history: list[Live], max_items: int | None, offset: int | None) -> list[Live]:
    """``max_items`` and ``offset`` of /history (PROTOCOL.md, section 8)."""
    if max_items is None:
        return history[max(offset or 0, 0) :]
    if max_items <= 0:
        return []
    if offset is None or offset < 0:
        return history[-max_items:]
    return history[offset : offset + max_items]


def _class_info(name: str, inputs: Sequence[str]) -> dict[str, Any]:
    return {
        "input": {"required": {}, "optional": {input_name: ["*"] for input_name in inputs}},
        "input_order": {"required": [], "optional": list(inputs)},
        "output": [],
        "output_is_list": [],
        "output_name": [],
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": "nodes",
        "category": "",
        "output_node": False,
    }
