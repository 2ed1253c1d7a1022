"""Event streams of jobs: who listens, what is sent when, and when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from comfyrec.events.sse import sse_comment, sse_event
from fake_server.source import Respond, RespondMore, Response, Wake
from fake_server.surfaces.surface import Door
from fake_server.surfaces.v2.assets import Asset
from fake_server.surfaces.v2.jobs import JobRecord
from fake_server.surfaces.v2.links import Links

__all__ = ["HEARTBEAT_US", "Stream", "Streams"]

HEARTBEAT_US: Final = 15_000_000
"""A stream that has been silent for so long says that it lives."""
BEATS_MAX: Final = 240
"""Said so often with nothing else between, it is said no more: an hour. Virtual time may run as
fast as the wire, and a job that never ends would fill it."""

_HEADERS: Final = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache"),
    ("X-Accel-Buffering", "no"),
)


class Stream(msgspec.Struct, eq=False):
    """One client that listens to one job."""

    exchange: int
    job: JobRecord
    links: Links
    state: tuple[str, int | None] = ("", None)
    """State and place in the queue, as sent last."""
    sent: int = 0
    """When something was sent last, in virtual microseconds."""
    progress: int | None = None
    """When progress was sent last."""
    owed: bool = False
    """Whether there is progress that was not sent, since it came too soon."""
    preview: int | None = None
    beats: int = 0


class Streams:
    """All event streams of a surface.

    Args:
        door: where they are written.
        throttle: least distance of progress and previews, in virtual microseconds.
    """

    def __init__(self, door: Door, throttle: int) -> None:
        self._door, self._throttle = door, throttle
        self._open: dict[int, Stream] = {}
        self._alarm: int | None = None

    def __len__(self) -> int:
        return len(self._open)

    def of(self, job: JobRecord) -> list[Stream]:
        """Those of one job."""
        return [one for one in self._open.values() if one.job is job]

    def begin(self, exchange: int, job: JobRecord, links: Links) -> None:
        """Let a client listen: what is, then what comes."""
        stream = Stream(exchange, job, links)
        first = b"".join(self._snapshot(stream))
        if job.is_over:
            self._door.do(Respond(exchange, Response(200, _HEADERS, first), more=True))
            self._door.do(RespondMore(exchange, b"", last=True))
            return
        self._open[exchange] = stream
        self._door.do(Respond(exchange, Response(200, _HEADERS, first), more=True))
        self._noted(stream)

    def _snapshot(self, stream: Stream) -> Iterator[bytes]:
        job = stream.job
        yield self._status(stream)
        if job.progress is not None:
            stream.progress = self._door.now
            yield _event("progress", job.progress)
        if job.preview is not None:
            stream.preview = self._door.now
            yield _event("preview", job.preview)

    def _status(self, stream: Stream) -> bytes:
        job = stream.job
        stream.state = job.state, job.position
        said: dict[str, Any] = {"status": job.state}
        if job.position is not None:
            said["queue_position"] = job.position
        if job.is_over:
            # "The authoritative, complete set of outputs is always ... on the terminal `status`".
            said["outputs"] = [stream.links.output(asset) for asset in job.outputs]
            said["error"] = job.error
        return _event("status", said)

    def moved(self, job: JobRecord) -> None:
        """Its state, its place in the queue or its progress may have changed."""
        for stream in self.of(job):
            if stream.state != (job.state, job.position):
                self._write(stream, self._status(stream))
            if job.progress is None:
                continue
            if _too_soon(stream.progress, self._door.now, self._throttle):
                stream.owed = True
            else:
                self._say_progress(stream)

    def _say_progress(self, stream: Stream) -> None:
        stream.progress, stream.owed = self._door.now, False
        self._write(stream, _event("progress", stream.job.progress))

    def seen(self, job: JobRecord) -> None:
        """There is a new picture."""
        for stream in self.of(job):
            if not _too_soon(stream.preview, self._door.now, self._throttle):
                stream.preview = self._door.now
                self._write(stream, _event("preview", job.preview))

    def made(self, job: JobRecord, output: Asset) -> None:
        """There is a new output."""
        for stream in self.of(job):
            self._write(stream, _event("output", stream.links.output(output)))

    def ended(self, job: JobRecord) -> None:
        """The job is over: say so, and close."""
        for stream in self.of(job):
            if stream.owed:
                self._say_progress(stream)
            del self._open[stream.exchange]
            self._door.do(RespondMore(stream.exchange, self._status(stream), last=True))

    def left(self, exchange: int) -> None:
        """A client has gone."""
        self._open.pop(exchange, None)

    def beat(self) -> list[JobRecord]:
        """Say on silent streams that they live; gives the jobs that were silent."""
        silent = []
        if self._alarm is not None and self._door.now >= self._alarm:
            self._alarm = None
        for stream in self._open.values():
            if stream.beats < BEATS_MAX and self._door.now - stream.sent >= HEARTBEAT_US:
                beats = stream.beats
                self._write(stream, sse_comment())
                stream.beats = beats + 1
                silent.append(stream.job)
            self._set_alarm(stream)
        return silent

    def _write(self, stream: Stream, data: bytes) -> None:
        self._door.do(RespondMore(stream.exchange, data))
        self._noted(stream)

    def _noted(self, stream: Stream) -> None:
        stream.sent, stream.beats = self._door.now, 0
        self._set_alarm(stream)

    def _set_alarm(self, stream: Stream) -> None:
        """Be woken for a heartbeat; one alarm at a time is enough."""
        if self._alarm is None and stream.beats < BEATS_MAX:
            self._alarm = stream.sent + HEARTBEAT_US
            self._door.do(Wake(self._alarm))


def _too_soon(last: int | None, now: int, throttle: int) -> bool:
    return last is not None and now - last < throttle


def _event(name: str, data: Any) -> bytes:
    return sse_event(name, msgspec.json.encode(data).decode())
