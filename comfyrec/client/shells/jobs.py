"""(shell) A client of Comfy API v2: what ``aio.Client`` does natively, with jobs and event streams.

::

    async with JobClient("https://cloud.comfy.org", headers={"Authorization": "Bearer ..."}) as c:
        result = await c.run(workflow, on_event=print)
        await c.save(result, Path("pictures"))
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from comfyrec.client import outputs, workflow
from comfyrec.client.http.exchange import HttpRequest, Unanswered
from comfyrec.client.http.interrupt import Effect, effect_of
from comfyrec.client.http.requests import Accepted
from comfyrec.client.progress_event import ProgressEvent, ProgressInfo
from comfyrec.client.result import Outcome
from comfyrec.client.shells.aio import Client
from comfyrec.client.shells.handle import OnEvent, PromptHandle, check_callback, check_limit
from comfyrec.client.shells.transport import TRANSPORT_ERRORS
from comfyrec.client.v2 import conversations
from comfyrec.client.v2.conversations import Pause, request_to
from comfyrec.client.v2.reading import info_of, result_of
from comfyrec.errors import BadAnswer, DecodeError, NoServer, OutputError
from comfyrec.events import v2
from comfyrec.events.sse import ServerSentEvents

__all__ = ["JobClient"]

_PAUSE_S = 0.2
_LOOK_S = 10.0
"""Of one question for a job, which is cheap and asked often."""
_FETCH_TRIES = 3
_NOT_FOUND = 404


class _Job:
    """A job that is watched."""

    def __init__(self, job: v2.Job, handle: PromptHandle, submitted_us: int) -> None:
        self.job, self.handle, self.submitted_us = job, handle, submitted_us
        self.info = info_of(job, job.progress, job.queue_position)


class JobClient(Client):
    """A client of one server that speaks Comfy API v2. Arguments are those of ``Client``.

    ``Authorization: Bearer KEY`` among the headers is its key; it goes to that server alone.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._jobs: dict[str, _Job] = {}
        self._assets: dict[tuple[str, str], str] = {}
        """Node id and file name of an output -> its asset."""
        self._watchers: set[asyncio.Task[None]] = set()

    # --- as the native client ------------------------------------------------------------------

    async def connect(self) -> None:
        """Wait until the server answers, whatever it says.

        Raises:
            NoServer: it does not.
        """
        until = time.monotonic() + self.settings.connect_timeout_s
        while True:
            try:
                await self._carry_out(_once(HttpRequest(path=f"{conversations.BASE}/jobs")))
            except Unanswered as silent:
                if time.monotonic() >= until:
                    raise NoServer(self.called, silent.why) from None
                await asyncio.sleep(_PAUSE_S)
            else:
                return

    async def submit(
        self,
        graph: workflow.Workflow | Mapping[str, Any],
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
        prompt_id: str | None = None,
    ) -> PromptHandle:
        """Submit a workflow and watch its job. ``prompt_id`` is its Idempotency-Key.

        Raises:
            WorkflowError: not a workflow in API format; nothing was sent.
            NoServer: the server does not answer, or does not say whether there is a job.
            Rejected: the server did not accept it.
        """
        flow = graph if isinstance(graph, workflow.Workflow) else workflow.of(dict(graph))
        check_limit(timeout_s)
        check_callback(on_event)
        limit_s = self.settings.timeout_s if timeout_s is None else timeout_s
        key = prompt_id or str(uuid.uuid4())
        try:
            async with asyncio.timeout(limit_s):
                await self.connect()
                job = await self._converse(
                    conversations.submit(flow.graph, key=key, extra_data=self._extra_data)
                )
        except TimeoutError:
            raise NoServer(self.called, f"no answer within {limit_s:g} s") from None
        handle = PromptHandle(self, Accepted(job.id, 0.0, {}), on_event, limit_s)
        watched = self._jobs[job.id] = _Job(job, handle, _now_us())
        self._tell(watched, "submitted", {"prompt_id": job.id})
        watching = asyncio.create_task(self._watch(watched, limit_s))
        self._watchers.add(watching)
        watching.add_done_callback(self._watchers.discard)
        return handle

    def progress_of(self, prompt_id: str) -> ProgressInfo:
        """How far a job is, by the last event."""
        return self._jobs[prompt_id].info

    async def interrupt(self, prompt_id: str) -> Effect:
        """Cancel a job; returns what came of it.

        Raises:
            NoServer, BadAnswer: the server does not answer, or refuses.
        """
        watched = self._jobs[prompt_id]
        link = watched.job.urls.cancel
        asked = request_to(self.address.origin, link, method="POST")
        job = await self._converse(conversations.look(asked))
        if job.is_terminal and job.status != "canceled":
            return Effect.TOO_LATE
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.interrupt_wait_s):
                return effect_of((await watched.handle.outcome()).outcome)
        return Effect.STILL_RUNNING

    async def bring(self, path: Path) -> dict[str, Any]:
        """Upload a file; gives the reference that stands for it in a workflow.

        Raises:
            OutputError: the file cannot be read.
            NoServer, BadAnswer: the server does not answer, or does not accept it.
        """
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except OSError as wrong:
            raise OutputError(str(path), f"cannot be read ({wrong.strerror})") from None
        id = await self._converse(conversations.bring(data, path.name, boundary=uuid.uuid4().hex))
        return {"__type": "core/ASSET", "info": {"id": id}}

    async def fetch(self, file: outputs.OutputFile) -> bytes:
        """The complete bytes of an output; tried three times if the connection breaks.

        Raises:
            OutputError: the server does not have it, or it never came completely.
        """
        asset = self._assets.get((file.node_id, file.filename))
        if asset is None:
            raise OutputError(file.filename, "no job of this client has it among its outputs")
        why = ""
        for _ in range(_FETCH_TRIES):
            try:
                return await self._carry_out(conversations.fetch(asset, file.filename))
            except Unanswered as broken:
                why = broken.why
        raise OutputError(file.filename, f"GET {conversations.BASE}/assets: {why}")

    async def close(self) -> None:
        """Stop watching, and close all connections."""
        for watching in self._watchers:
            watching.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await super().close()

    async def _step(self, step: Any) -> Any:
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        return await super()._step(step)

    # --- one job -------------------------------------------------------------------------------

    async def _watch(self, watched: _Job, limit_s: float | None) -> None:
        """Listen, and ask for the job whenever there is nothing to hear; that is what counts."""
        until = None if limit_s is None else time.monotonic() + limit_s
        failing: float | None = None
        while True:
            try:
                await self._look(watched)
                failing = None
            except (Unanswered, BadAnswer) as wrong:
                gone = isinstance(wrong, BadAnswer) and wrong.http_status == _NOT_FOUND
                now = time.monotonic()
                failing = now if failing is None else failing
                if gone or now - failing >= self.settings.patience_s:
                    self._conclude(watched, Outcome.LOST, self.redaction(str(wrong)))
                    return
            if watched.job.is_terminal:
                self._conclude(watched)
                return
            if until is not None and time.monotonic() >= until:
                self._conclude(watched, Outcome.TIMED_OUT, f"not over after {limit_s:g} s")
                return
            left = None if until is None else until - time.monotonic()
            with contextlib.suppress(TimeoutError, DecodeError, *TRANSPORT_ERRORS):
                async with asyncio.timeout(left):
                    await self._hear(watched)
            await asyncio.sleep(_PAUSE_S)

    async def _look(self, watched: _Job) -> None:
        asked = msgspec.structs.replace(
            request_to(self.address.origin, watched.job.urls.self),
            timeout_s=min(_LOOK_S, self.settings.request_timeout_s),
        )
        watched.job = await self._carry_out(conversations.look(asked))
        job = watched.job
        watched.info = info_of(job, job.progress, job.queue_position)

    async def _hear(self, watched: _Job) -> None:
        """Take events until the last one, or until nothing comes for a while."""
        asked = request_to(self.address.origin, watched.job.urls.events)
        reader = ServerSentEvents()
        pieces = self._transport.stream(
            asked.path, bare=asked.bare, idle_limit_s=max(self.settings.idle_limit_s, 1.0)
        )
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                for event in reader.feed(piece):
                    decoded = v2.decode_event(event.event, event.data)
                    self._heard(watched, event.event, decoded, event.data)
                    if isinstance(decoded, v2.StatusChange) and decoded.is_terminal:
                        return

    def _heard(self, watched: _Job, name: str, event: v2.V2Event, data: str) -> None:
        if isinstance(event, v2.Progress):
            watched.info = info_of(watched.job, event, None)
        elif isinstance(event, v2.StatusChange):
            position = event.queue_position
            watched.info = msgspec.structs.replace(watched.info, queue_position=position)
            name = name if position is None else "queue"
        self._tell(watched, name, msgspec.json.decode(data), event)

    def _tell(self, watched: _Job, type: str, data: Any, event: Any = None) -> None:
        watched.handle.call(
            ProgressEvent(
                type, _now_us(), "", watched.job.id, watched.info, watched.submitted_us, event,
                data=data, raw={"event": type, "data": data},
            )
        )  # fmt: skip

    def _conclude(self, watched: _Job, outcome: Outcome | None = None, reason: str = "") -> None:
        job = watched.job
        result = result_of(job, (_now_us() - watched.submitted_us) / 1e6)
        if outcome is not None:
            result = msgspec.structs.replace(result, outcome=outcome, reason=reason)
        self._assets |= {
            (one.node_id or "", one.name or ""): one.id for one in job.outputs if one.id is not None
        }
        ended = "completed" if result.outcome is Outcome.SUCCESS else str(result.outcome)
        self._tell(watched, ended, {"outputs": result.outputs, "reason": result.reason})
        watched.handle.finish(result)


def _once(request: HttpRequest) -> conversations.Conversation[Any]:
    return (yield request)


def _now_us() -> int:
    return time.time_ns() // 1000
