"""Jobs as the server behind tells of them: a socket that hears it, and questions where it is mute.

All jobs are submitted under one client id, and one socket hears of them. When that is lost, it is
opened again, and the history is asked what was missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from comfyrec import events
from comfyrec.client.http import requests
from comfyrec.errors import BadAnswer, DecodeError
from comfyrec.events.outputs import FileEntry, items_in
from comfyrec.http.media_types import guessed_type
from fake_server.source import Wake
from fake_server.surfaces.surface import Asking, client_response, native_request
from fake_server.surfaces.v2.asset_routes import AssetRoutes, view_of
from fake_server.surfaces.v2.assets import Asset, Blob, output_type
from fake_server.surfaces.v2.jobs import HEARD, Ended, JobRecord, Made, Moved, Seen, ended_by
from fake_server.surfaces.v2.route_context import RouteContext
from fake_server.surfaces.v2.streams import Streams

__all__ = ["JobTracker"]

CONNECT_AGAIN_US: Final = 1_000_000
CONNECT_TRIES_MAX: Final = 60
EARLY_MAX: Final = 1_000
"""Messages about prompts whose submission is not answered yet."""
_TEXT: Final = "text/plain; charset=utf-8"


class JobTracker:
    """Keeps jobs up to date, and tells those who listen.

    Args:
        context: what the routes share.
        assets: is told which assets are needed.
        streams: who listens.

    Attributes:
        jobs: by id, in the order they were made.
        client_id: under which prompts are submitted.
    """

    def __init__(self, context: RouteContext, assets: AssetRoutes, streams: Streams) -> None:
        self._context, self._assets, self._streams = context, assets, streams
        self.jobs: dict[str, JobRecord] = {}
        self.client_id = context.random.hex32()
        self.submitting = 0
        """How many submissions are not answered yet."""
        self._early: list[tuple[str, Any]] = []
        self._socket: int | None = None
        self._tries = 0
        self._again: int | None = None
        self._running: str | None = None
        """The prompt that was named last: frames of old servers name none."""

    # --- the socket --------------------------------------------------------------------------

    def connect(self) -> None:
        """Have a socket open."""
        if self._socket is None:
            self._socket = self._context.door.connect(self._context.surface, self.client_id)

    def accepted(self, socket: int) -> None:
        """The socket is open: say what is understood, and ask what was missed."""
        self._context.door.say(socket, requests.FEATURE_FLAGS)
        if self._tries:
            for job in self._unfinished():
                self._look_later(job, None)
        self._tries = 0

    def lost(self) -> None:
        """The socket has ended."""
        self._socket = None
        if self._tries < CONNECT_TRIES_MAX and self._unfinished():
            self._tries += 1
            self._again = self._context.door.now + CONNECT_AGAIN_US
            self._context.door.do(Wake(self._again))

    def woke(self) -> None:
        """Some time has passed."""
        if self._again is not None and self._context.door.now >= self._again:
            self._again = None
            self.connect()
        for job in self._streams.beat():
            self._look_later(job, None)

    def _unfinished(self) -> list[JobRecord]:
        return [job for job in self.jobs.values() if not job.is_over]

    # --- what is heard -----------------------------------------------------------------------

    def heard(self, message: str | bytes) -> None:
        """The server has said something."""
        try:
            event: Any = events.decode(message)
        except DecodeError:
            return
        heard = HEARD.get(type(event))
        if heard is None:
            return
        if heard is HEARD[events.Status]:
            self._queue_moved()
            return
        named = event.prompt_id
        if named is not None:
            self._running = named
        prompt_id = named or self._running
        if prompt_id in self.jobs:
            self._tell(self.jobs[prompt_id], event)
        elif prompt_id is not None and self.submitting and len(self._early) < EARLY_MAX:
            self._early.append((prompt_id, event))

    def add(self, job: JobRecord) -> None:
        """A job was made; what the server said of it before its answer came counts, too."""
        self.jobs[job.id] = job
        early, self._early = self._early, []
        for prompt_id, event in early:
            if prompt_id == job.id:
                self._tell(job, event)
            elif self.submitting:
                self._early.append((prompt_id, event))
        self._hold_assets()

    def _tell(self, job: JobRecord, event: Any) -> None:
        if job.is_over:
            return
        news = HEARD[type(event)](job, event, self._context.now)
        if isinstance(news, Moved):
            self._streams.moved(job)
        elif isinstance(news, Seen):
            self._streams.seen(job)
        elif isinstance(news, Made | Ended):
            self._streams.moved(job)
            self._look_later(job, news)

    def _queue_moved(self) -> None:
        for job in self.jobs.values():
            if job.state == "queued" and self._streams.of(job) and not job.todo:
                self._look_later(job, None)

    # --- what is asked -----------------------------------------------------------------------

    def _look_later(self, job: JobRecord, what: Made | Ended | None) -> None:
        """Look at something when everything before it was looked at."""
        job.todo.append(what)
        if not job.looked_at:
            job.looked_at = True
            self._context.door.ask(self._context.surface, self._look(job))

    def _look(self, job: JobRecord) -> Asking[None]:
        try:
            while job.todo and not job.is_over:
                what = job.todo.popleft()
                if isinstance(what, Made):
                    yield from self._commit(job, {what.node_id: what.output})
                elif isinstance(what, Ended):
                    yield from self._conclude(job, what)
                else:
                    yield from self._look_up(job)
        finally:
            job.looked_at = False
            job.todo.clear()

    def _look_up(self, job: JobRecord) -> Asking[None]:
        try:
            yield from self.refresh(job)
        except BadAnswer:
            return  # nobody has asked; whoever does is told

    def refresh(self, job: JobRecord) -> Asking[None]:
        """Ask the server how a job stands. The history is asked first, and again if the prompt is
        not in the queue either: it may have ended in between.

        Raises:
            BadAnswer: the server does not say.
        """
        if job.is_over or (yield from self._ended_in_history(job)):
            return
        ask = requests.queue()
        queued = requests.read_queue(ask, client_response((yield native_request(ask))))
        place = requests.place_in(queued, job.id)
        if place.running or place.position is not None:
            if place.running:
                job.begin(self._context.now)
            elif job.state == "queued":
                job.position = place.position
            self._streams.moved(job)
            return
        ended = yield from self._ended_in_history(job)
        # A prompt that is nowhere was taken out of the queue, or its server was restarted.
        if not ended and not any(isinstance(one, Ended) for one in job.todo):
            self.end(job, Ended("expired"))

    def _ended_in_history(self, job: JobRecord) -> Asking[bool]:
        entry = yield from self._entry(job)
        if entry is None:
            return job.is_over
        outputs = entry.get("outputs")
        yield from self._commit(job, outputs if isinstance(outputs, dict) else {})
        self.end(job, ended_by(entry))
        return True

    def _entry(self, job: JobRecord) -> Asking[Mapping[str, Any] | None]:
        ask = requests.history(job.id)
        got = yield native_request(ask)
        return requests.read_history(ask, client_response(got), job.id)

    def _conclude(self, job: JobRecord, ended: Ended) -> Asking[None]:
        """The server said that a job is over. Its history has outputs that no message named."""
        try:
            entry = yield from self._entry(job)
        except BadAnswer:
            entry = None
        outputs = entry.get("outputs") if entry is not None else None
        yield from self._commit(job, outputs if isinstance(outputs, dict) else {})
        self.end(job, ended)

    def end(self, job: JobRecord, ended: Ended) -> None:
        """A job is over."""
        if job.is_over:
            return
        job.end(ended, self._context.now)
        self._streams.ended(job)
        self._hold_assets()

    def forget(self, job: JobRecord) -> None:
        """Know nothing of a job any more; who listens to it is told that it is gone."""
        self.end(job, Ended("expired"))
        del self.jobs[job.id]

    def _hold_assets(self) -> None:
        held: set[str] = set()
        for job in self._unfinished():
            held |= job.inputs
            held |= {asset.id for asset in job.outputs}
        self._assets.held = held

    # --- outputs -----------------------------------------------------------------------------

    def _commit(self, job: JobRecord, outputs: Mapping[str, Any]) -> Asking[None]:
        """Make assets of what nodes have shown."""
        for node_id, kind, item in _new(job, outputs):
            file = FileEntry.of(item)
            if file is None:
                number = sum(one.node_id == node_id for one in job.outputs) + 1
                blob = Blob(len(item.encode()), data=item.encode())
                asset = self._asset(job, f"{node_id}_{number:05}.txt", "text", blob, _TEXT)
            else:
                got = yield view_of(file)
                size = len(got.body) if got.status == 200 else 0
                type = output_type(kind, file.filename)
                content_type = guessed_type(file.filename)
                asset = self._asset(job, file.filename, type, Blob(size, file), content_type)
            asset.node_id = node_id
            if job.is_over:
                return
            job.outputs.append(self._context.assets.add(asset))
            self._hold_assets()
            self._streams.made(job, asset)

    def _asset(self, job: JobRecord, name: str, type: str, blob: Blob, kind: str) -> Asset:
        return Asset(
            id=self._context.random.uuid(),
            blob=blob,
            content_type=kind,
            file_path=name,
            created=self._context.now,
            expires=job.created + job.retention,
            job_id=job.id,
            type=type,
        )


def _new(job: JobRecord, outputs: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Node, kind and item of what is not among the job's outputs yet."""
    for node_id, output in outputs.items():
        for kind, item in items_in(output):
            file = FileEntry.of(item)
            known = (node_id, file if file is not None else item)
            if (file is None and not isinstance(item, str)) or known in job.known:
                continue
            job.known.add(known)
            yield str(node_id), kind, item
