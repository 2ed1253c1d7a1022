"""``/api/v2/jobs``: submit, poll, list, cancel, listen, and the workflow behind a job."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from comfyrec.client.http import interrupt
from comfyrec.client.node_progress import NodeProgress
from comfyrec.events import v2
from fake_server.source import Request, Response
from fake_server.surfaces.surface import Asking, via
from fake_server.surfaces.v2.answers import V2Error, iso, json_answer, not_found
from fake_server.surfaces.v2.assets import Asset
from fake_server.surfaces.v2.job_tracker import JobTracker
from fake_server.surfaces.v2.jobs import Ended, JobRecord
from fake_server.surfaces.v2.route_context import RouteContext
from fake_server.surfaces.v2.streams import Streams
from fake_server.surfaces.v2.submission import read_submission, resolved, submitted

__all__ = ["JobRoutes"]

LIST_MAX: Final = 100
LIST_USUAL: Final = 50
STREAMS_RETRY_S: Final = 5
QUEUE_RETRY_S: Final = 5
_LABEL: Final = re.compile(r"metadata\[(.*)\]")

Answering = Asking[Response | None]


class JobRoutes:
    """The routes of jobs.

    Args:
        context: what they share with those of assets.
        follower: knows how jobs stand.
        streams: who listens.
    """

    def __init__(self, context: RouteContext, follower: JobTracker, streams: Streams) -> None:
        self._context, self._follower, self._streams = context, follower, streams
        self.waiting: set[int] = set()
        """Exchanges of event streams that are about to begin."""

    # --- submit ------------------------------------------------------------------------------

    def submit(self, request: Request) -> Answering:
        """``POST /jobs``."""
        context, follower = self._context, self._follower
        submission = read_submission(request)
        graph, inputs = resolved(submission.workflow, self._asset)
        unfinished = sum(not job.is_over for job in follower.jobs.values())
        if context.settings.queue_max and unfinished >= context.settings.queue_max:
            raise V2Error(429, "queue_full", "the queue is full", retry_after=QUEUE_RETRY_S)
        key = context.keys.claim(request, context.now)
        created = context.now
        follower.connect()
        follower.submitting += 1
        try:
            prompt_id = yield from submitted(
                submission,
                graph,
                client_id=follower.client_id,
                release=lambda: context.keys.release(key),
            )
        finally:
            follower.submitting -= 1
        job = JobRecord(
            id=prompt_id,
            workflow=graph,
            created=created,
            retention=context.settings.retention_s * 1_000_000,
            nodes=NodeProgress(graph),
            metadata=submission.metadata,
            inputs=inputs,
        )
        # The client gets the job as it was made, whatever it has come to meanwhile.
        answer = json_answer(context.links(request).job(job), 201)
        follower.add(job)
        return answer

    def _asset(self, info: Mapping[str, Any]) -> Asset | None:
        """The asset of a reference: its id decides, whatever its hash and path are."""
        id = info.get("id")
        return self._context.assets.get(id, self._context.now) if isinstance(id, str) else None

    # --- look --------------------------------------------------------------------------------

    def get(self, request: Request, id: str) -> Answering:
        """``GET /jobs/{id}``; deployments, and only they, add what the run has printed."""
        job = self._found(id)
        yield from self._follower.refresh(job)
        shown = self._context.links(request).job(job)
        if self._context.settings.prefix:
            shown = msgspec.structs.replace(shown, logs=job.logs())
        return json_answer(shown)

    def workflow(self, request: Request, id: str) -> Answering:
        """``GET /jobs/{id}/workflow``."""
        yield from ()
        return json_answer({"workflow": self._found(id).workflow, "format": "api"})

    def list(self, request: Request) -> Answering:
        """``GET /jobs``: newest first, by pages. Not in version 2.0.0 of the document; as comfy-sdk
        0.5.0 asks, with the errors that it names."""
        limit = self._limit(request)
        labels, states = self._filters(request)
        jobs = [*reversed(self._follower.jobs.values())]
        jobs = [job for job in jobs if not self._is_gone(job)]
        cursor = request.first("cursor")
        if cursor is not None:
            ids = [job.id for job in jobs]
            if cursor not in ids:
                raise V2Error(422, "invalid_cursor", "this server has not given that cursor")
            jobs = jobs[ids.index(cursor) + 1 :]
        found = []
        for job in jobs:
            yield from self._follower.refresh(job)
            fits = labels.items() <= job.metadata.items()
            if fits and (not states or job.state in states):
                found.append(job)
                if len(found) > limit:
                    break
        page: dict[str, Any] = {"jobs": [_light(job) for job in found[:limit]]}
        if len(found) > limit:
            page["next_cursor"] = found[limit - 1].id
        return json_answer(page)

    def _limit(self, request: Request) -> int:
        text = request.first("limit") or str(LIST_USUAL)
        if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= LIST_MAX:
            raise V2Error(422, "invalid_request", f"'limit' is a number from 1 to {LIST_MAX}")
        return int(text)

    def _filters(self, request: Request) -> tuple[dict[str, str], set[str]]:
        labels: dict[str, str] = {}
        for name, values in request.query.items():
            found = _LABEL.fullmatch(name)
            if found is not None:
                if not found[1] or len(values) > 1:
                    raise V2Error(422, "invalid_metadata_filter", f"'{name}' names no one label")
                labels[found[1]] = values[0]
        states = set(filter(None, (request.first("status") or "").split(",")))
        unknown = sorted(states.difference(v2.STATES))
        if unknown:
            raise V2Error(422, "invalid_request", f"there is no status {', '.join(unknown)}")
        return labels, states

    def _found(self, id: str) -> JobRecord:
        job = self._follower.jobs.get(id)
        if job is None or self._is_gone(job):
            raise not_found("there is no job of that id")
        return job

    def _is_gone(self, job: JobRecord) -> bool:
        return self._context.now >= job.created + job.retention

    # --- cancel, listen ----------------------------------------------------------------------

    def cancel(self, request: Request, id: str) -> Answering:
        """``POST /jobs/{id}/cancel``."""
        job = self._found(id)
        yield from self._follower.refresh(job)
        if not job.is_over:
            effect = yield from via(interrupt.stop(job.id))
            if effect is None and not job.is_over:
                job.state = "canceling"
                self._streams.moved(job)
            elif effect is interrupt.Effect.DELETED:
                self._follower.end(job, Ended("canceled"))
            else:
                yield from self._follower.refresh(job)
        return json_answer(self._context.links(request).job(job))

    def events(self, request: Request, id: str, exchange: int) -> Answering:
        """``GET /jobs/{id}/events``."""
        job = self._found(id)
        if len(self._streams) + len(self.waiting) >= self._context.settings.streams_max:
            raise V2Error(
                429,
                "too_many_streams",
                "too many event streams are open; ask for the job instead",
                retry_after=STREAMS_RETRY_S,
            )
        self.waiting.add(exchange)
        try:
            yield from self._follower.refresh(job)
        finally:
            stayed = exchange in self.waiting
            self.waiting.discard(exchange)
        if stayed:
            self._streams.begin(exchange, job, self._context.links(request))
        return None


def _light(job: JobRecord) -> dict[str, Any]:
    """A job as lists show it."""
    last = next(one for one in (job.ended, job.started, job.created) if one is not None)
    return {
        "id": job.id,
        "status": job.state,
        "create_time": iso(job.created),
        "update_time": iso(last),
        "metadata": job.metadata,
    }
