"""What nobody asked while recording: an answer that follows from the recorded events.

Each such answer says so in a header. Queue, history and jobs are those of the play-throughs; files,
flags and node classes come from whatever the recording shows of them. What does not follow from it
is answered as a ComfyUI server without models, settings and extensions would.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from comfyrec.events.outputs import FileEntry
from comfyrec.http.forms import BadForm
from comfyrec.versions import Era
from fake_server.http import job_view as jobs
from fake_server.http.responses import server_error
from fake_server.replay.live.live_state import LivePrompt, Stage
from fake_server.replay.live.playthrough import Playthrough
from fake_server.replay.live.recorded_facts import RecordedFacts
from fake_server.replay.live.uploads import File, Uploads, viewed_file
from fake_server.replay.recorded.request_key import RequestKey
from fake_server.replay.rewrite_response import SYNTHESIZED, image_type, substitute
from fake_server.source import Request, Response

__all__ = ["Synthesizer"]


class Synthesizer:
    """Answers for one player.

    Args:
        recorded_facts: what the recording knows.
        era: its generation of servers.
    """

    def __init__(self, recorded_facts: RecordedFacts, era: Era) -> None:
        self._recorded_facts, self._era = recorded_facts, era
        self._uploads = Uploads()

    def answer(
        self,
        request_key: RequestKey,
        request: Request,
        playthroughs: Sequence[Playthrough],
        *,
        stopped: bool = False,
    ) -> Response:
        """The answer to a request that the recording has no answer for.

        Args:
            request_key: the request, taken apart; ids as in the recording.
            request: as it came.
            playthroughs: the play-throughs whose queue and history count.
            stopped: whether the request stopped a prompt, or took one off the queue.
        """
        word, _, rest = request_key.path[1:].partition("/")
        method = "GET" if request_key.method == "HEAD" else request_key.method
        handler = self._handlers.get((method, word))
        context = _Context(request_key, request, playthroughs, rest, stopped)
        try:
            made = handler(self, context) if handler else None
        except (AttributeError, LookupError, TypeError, ValueError):
            # The recording holds what no server says; one that held it would fail as well.
            made = server_error()
        answer = made or self._unknown(request_key)
        headers = (*answer.headers, (SYNTHESIZED, word or "index"))
        return msgspec.structs.replace(answer, headers=headers)

    def _unknown(self, request_key: RequestKey) -> Response:
        if request_key.method == "OPTIONS":
            return Response()
        known = any(word == request_key.path[1:].partition("/")[0] for _, word in self._handlers)
        if request_key.method in ("GET", "HEAD") or not known:
            return Response(404, (("Content-Type", "application/octet-stream"),))
        return Response(
            405, (("Content-Type", "text/plain; charset=utf-8"),), b"405: Method Not Allowed"
        )

    # --- queue and history ---------------------------------------------------------------------

    def _prompt(self, context: _Context) -> Response:
        return _json({"exec_info": {"queue_remaining": len(context.waiting)}})

    def _queue(self, context: _Context) -> Response:
        item = self._recorded_facts.item
        return _json(
            {
                "queue_running": [item(x) for x in context.waiting if x.stage is Stage.RUNNING],
                "queue_pending": [item(x) for x in context.waiting if x.stage < Stage.RUNNING],
            }
        )

    def _history(self, context: _Context) -> Response:
        done = context.history
        if context.rest:
            done = [live for live in done if live.live_id == context.live_id(context.rest)]
        else:
            done = _page(done, context.number("max_items"), context.number("offset"))
        return _json({live.live_id: self._recorded_facts.entry(live) for live in done})

    def _jobs(self, context: _Context) -> Response | None:
        if not self._era.has("jobs") or not context.request_key.prefixed:
            return None
        if context.rest:
            return self._job(context)
        query = dict(context.request_key.query)
        wanted = {s.strip().lower() for s in query.get("status", "").split(",") if s.strip()}
        found = [job for job in self._all_jobs(context) if not wanted or job["status"] in wanted]
        descending = query.get("sort_order", "desc") != "asc"
        found = jobs.ordered(found, query.get("sort_by", "created_at"), descending=descending)
        offset, limit = max(context.number("offset") or 0, 0), context.number("limit")
        recorded = found[offset:][:limit]
        pagination = {
            "offset": offset, "limit": limit, "total": len(found),
            "has_more": offset + len(recorded) < len(found),
        }  # fmt: skip
        return _json({"jobs": recorded, "pagination": pagination})

    def _all_jobs(self, context: _Context) -> list[jobs.Job]:
        return [self._as_job(live, alone=False) for live in context.waiting + context.history]

    def _as_job(self, live: LivePrompt, *, alone: bool) -> jobs.Job:
        if not live.waits:
            entry = self._recorded_facts.entry(live)
            return jobs.from_history(live.live_id, entry, self._era, alone=alone)
        status = "in_progress" if live.stage is Stage.RUNNING else "pending"
        return jobs.from_queue(self._recorded_facts.item(live), status, self._era, alone=alone)

    def _job(self, context: _Context) -> Response:
        wanted = context.live_id(context.rest)
        for live in context.waiting + context.history:
            if live.live_id == wanted:
                return _json(self._as_job(live, alone=True))
        return _json({"error": "Job not found"}, 404)

    def _cancel(self, context: _Context) -> Response | None:
        if not self._era.has("job_cancel") or not context.request_key.prefixed:
            return None
        return _json({"cancelled": context.stopped})

    def _nothing(self, context: _Context) -> Response:
        return Response()

    # --- the server ----------------------------------------------------------------------------

    def _as_recorded(self, path: str, otherwise: Any) -> Response:
        known = self._recorded_facts.json_at(path)
        return _json(otherwise if known is None else known)

    def _system_stats(self, context: _Context) -> Response:
        system = {"os": "linux", "comfyui_version": self._era.reported, "argv": ["main.py"]}
        return self._as_recorded("/system_stats", {"system": system, "devices": []})

    def _features(self, context: _Context) -> Response | None:
        return _json(self._recorded_facts.flags()) if self._era.has("progress_state") else None

    def _object_info(self, context: _Context) -> Response:
        known = (
            self._recorded_facts.json_at("/object_info") or self._recorded_facts.node_classes.info
        )
        if not context.rest:
            return _json({**known})
        return _json({context.rest: known[context.rest]} if context.rest in known else {})

    def _settings(self, context: _Context) -> Response:
        return _json(None if context.rest else {})

    def _users(self, context: _Context) -> Response:
        return _json({"storage": "server", "migrated": True})

    def _empty_list(self, context: _Context) -> Response | None:
        path = f"/{context.request_key.path[1:]}"
        return self._as_recorded(path, []) if not context.rest else None

    def _extensions(self, context: _Context) -> Response | None:
        """The list as recorded; of a script that it names, which recorders leave out, nothing."""
        listed = self._recorded_facts.json_at("/extensions")
        if not context.rest:
            return _json(listed if listed is not None else [])
        if not isinstance(listed, list) or f"/extensions/{context.rest}" not in listed:
            return None
        return Response(200, (("Content-Type", "text/javascript; charset=utf-8"),))

    def _empty_object(self, context: _Context) -> Response | None:
        path = f"/{context.request_key.path[1:]}"
        return self._as_recorded(path, {}) if not context.rest else None

    def _index(self, context: _Context) -> Response:
        recorded = b"<!doctype html><title>ComfyUI</title><p>A recording is played back here."
        headers = (("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"))
        return Response(200, headers, recorded)

    # --- files ---------------------------------------------------------------------------------

    def _view(self, context: _Context) -> Response | None:
        name = context.request.first("filename")
        if not name:
            return Response(404 if name is None else 400)
        live = viewed_file(context.request)
        for playthrough in context.playthroughs:
            if live is not None and (upload := playthrough.live_state.uploads.get(live)):
                return _file(name, upload)
        recorded = dict(context.request_key.query).get("filename", name)
        file = self._uploads.get(FileEntry(name)) or self._recorded_facts.files.get(recorded)
        if file is None and recorded in self._recorded_facts.file_names:
            file = File(substitute(name), image_type(name))
        if file is None:
            return Response(404)
        return _file(name, file)

    def _upload(self, context: _Context) -> Response:
        try:
            fields = context.request.form()
        except BadForm:
            return Response(400)
        values = {field.name: field.value.decode("utf-8", "replace") for field in fields}
        image = next((f for f in fields if f.name == "image" and f.filename), None)
        if image is None or image.filename is None:
            return Response(400)
        kind = image.content_type or "application/octet-stream"
        self._uploads.keep(FileEntry(image.filename), File(image.value, kind, image.stored))
        return _json(
            {
                "name": image.filename,
                "subfolder": values.get("subfolder", ""),
                "type": values.get("type", "input"),
            }
        )

    _handlers: Final[dict[tuple[str, str], Callable[[Synthesizer, _Context], Response | None]]] = {
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
        ("GET", "extensions"): _extensions,
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


class _Context:
    """A request, and the play-throughs that it is about."""

    def __init__(
        self,
        request_key: RequestKey,
        request: Request,
        playthroughs: Sequence[Playthrough],
        rest: str,
        stopped: bool,
    ) -> None:
        self.request_key, self.request, self.rest, self.stopped = (
            request_key,
            request,
            rest,
            stopped,
        )
        self.playthroughs = playthroughs
        self.waiting = [
            live for playthrough in playthroughs for live in playthrough.live_state.waiting
        ]
        self.history = [
            live for playthrough in playthroughs for live in playthrough.live_state.history
        ]

    def number(self, name: str) -> int | None:
        """A query parameter as a number, None when it is none."""
        value = dict(self.request_key.query).get(name, "")
        return int(value) if value.removeprefix("-").isdigit() else None

    def live_id(self, prompt_id: str) -> str:
        """The live id, for a recorded id that a live one was turned into."""
        for playthrough in self.playthroughs:
            if playthrough.live_state.renamed(prompt_id) != prompt_id:
                return playthrough.live_state.renamed(prompt_id)
        return prompt_id


def _file(name: str, file: File) -> Response:
    headers = (
        ("Content-Type", file.content_type),
        ("Content-Disposition", f'filename="{name}"'),
        ("X-Content-Type-Options", "nosniff"),
    )
    return Response(200, headers, file.body, stored=file.stored)


def _json(value: Any, status: int = 200) -> Response:
    headers = (("Content-Type", "application/json; charset=utf-8"),)
    return Response(status, headers, json.dumps(value).encode())


def _page(history: list[LivePrompt], max_items: int | None, offset: int | None) -> list[LivePrompt]:
    """``max_items`` and ``offset`` of /history (protocol.md, section 8)."""
    if max_items is None:
        return history[max(offset or 0, 0) :]
    if max_items <= 0:
        return []
    if offset is None or offset < 0:
        return history[-max_items:]
    return history[offset : offset + max_items]
