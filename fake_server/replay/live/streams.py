"""Answers that are on their way to live clients piece by piece, as they were recorded.

A piece waits for its time, counted from the head. What the recorded client did to what the stream
tells of (it cancelled the job) is waited for as a script waits for its needs: an early one puts an
end to what would still have come before it, a late one holds the rest up, one that does not come is
given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from comfyrec.http.event_stream import messages_of
from comfyrec.http.large_body import StoredBody
from fake_server.replay.live.cursor import PATIENCE_US
from fake_server.replay.recorded.recorded_answers import RecordedAnswers, RecordedExchange
from fake_server.replay.recorded.timed_body import TimedBody, cuts_in, offsets
from fake_server.source import (
    Action,
    HangUp,
    Request,
    Respond,
    RespondMore,
    Response,
    WaitRealTime,
    Wake,
)

__all__ = ["Streams"]

_END: Final = 1 << 60


class _Gate(msgspec.Struct, eq=False):
    """What the recorded client did while the answer was on its way."""

    exchange: int
    place: int
    offset: int
    """Microseconds since the head."""


class _Stream(msgspec.Struct, eq=False):
    exchange: int
    body: bytes | StoredBody
    ends: list[int]
    places: tuple[int, ...]
    due: list[int]
    """Microseconds since the head: of each piece, and of the end."""
    timed: TimedBody
    gates: list[_Gate]
    owner: object
    """The play-through that it belongs to."""
    base: int
    at: int = 0
    behind: int = 0
    """Bytes that have been sent, or that the client had before."""
    token: int = 0
    """Of the wait for a gate, or for the client to leave."""

    def piece(self, end: int) -> bytes:
        """What comes before ``end`` and was not sent."""
        start, self.behind = self.behind, max(end, self.behind)
        size = self.behind - start
        if isinstance(self.body, bytes):
            return self.body[start : start + size]
        return self.body.read(start, size) if size else b""


class Streams:
    """The answers of one player that have begun and not ended.

    Args:
        answers: the recorded ones.
        idle_time_limit_us: no pause is longer.
    """

    def __init__(self, answers: RecordedAnswers, idle_time_limit_us: int | None) -> None:
        self._answers, self._limit = answers, idle_time_limit_us
        self._streams: dict[int, _Stream] = {}
        self._tokens = 0

    def begin(
        self,
        exchange: int,
        recorded: RecordedExchange,
        answer: Response,
        timed: TimedBody,
        request: Request,
        *,
        owner: object,
        was_made: Callable[[int], bool],
        now: int,
    ) -> Iterator[Action]:
        """Begin to answer.

        Args:
            exchange: the live one.
            recorded: the one that is replayed.
            answer: its answer for the live client, whole.
            timed: when its pieces are due.
            request: of the live client.
            owner: the play-through that it belongs to.
            was_made: whether a recorded change, by its number, was made in that play-through.
            now: virtual time.
        """
        response = recorded.exchange.response
        assert response is not None, "only an answer has a body"
        due = offsets([timed.begun, *timed.times, timed.ended], self._limit)[1:]
        ends = list(timed.ends)
        body: bytes | StoredBody = answer.body
        if answer.stored is not None:
            body = answer.stored
        else:
            ends = cuts_in(response.body, answer.body, ends)
        gates = [
            _Gate(one.exchange.number, one.at, self._offset(timed, due, one.exchange.request.t_end))
            for one in self._changes_during(recorded, timed)
        ]
        stream = _Stream(
            exchange, body, ends, timed.places, due, timed, gates, owner=owner, base=now
        )
        self._streams[exchange] = stream
        self._resume(stream, response.header("Content-Type"), request)
        for gate in [gate for gate in gates if was_made(gate.exchange)]:
            self._pass(stream, gate, now)
        headers = answer.headers
        if timed.keeps_length:
            headers = (*headers, ("Content-Length", response.header("Content-Length")))
        head = msgspec.structs.replace(answer, headers=headers, body=b"", stored=None)
        yield Respond(exchange, head, more=True)
        yield from self._go_on(stream, now)

    def _changes_during(
        self, recorded: RecordedExchange, timed: TimedBody
    ) -> Iterator[RecordedExchange]:
        """What was done meanwhile to the thing that the path of the answer names."""
        subject = recorded.request_key.path.rpartition("/")[0]
        last = timed.places[-1] if timed.is_whole else _END
        if subject.count("/") < 2:
            return
        for changes in self._answers.changes.values():
            for one in changes:
                path, done = one.request_key.path, one.exchange.status or 0
                about = path == subject or path.startswith(f"{subject}/")
                if about and done < 400 and recorded.at < one.at < last:
                    yield one

    def _offset(self, timed: TimedBody, due: Sequence[int], t: int) -> int:
        """When something came, counted as the pieces are."""
        before, offset = timed.begun, 0
        for time, at in zip((*timed.times, timed.ended), due, strict=True):
            if time > t:
                break
            before, offset = time, at
        gap = max(t - before, 0)
        return offset + (gap if self._limit is None else min(gap, self._limit))

    def _resume(self, stream: _Stream, content_type: str, request: Request) -> None:
        """A client that comes back says what it had last; it gets what comes behind."""
        had = request.header("Last-Event-ID")
        if not had or not isinstance(stream.body, bytes):
            return
        for event in messages_of(content_type, stream.body):
            if event.id == had:
                stream.behind = event.end
        gone = 0
        while stream.at < len(stream.ends) and stream.ends[stream.at] <= stream.behind:
            gone = stream.due[stream.at]
            stream.at += 1
        stream.base -= gone

    # --- going on ------------------------------------------------------------------------------

    def advance(self, now: int) -> Iterator[Action]:
        """Send what is due."""
        for stream in list(self._streams.values()):
            yield from self._go_on(stream, now)

    def _go_on(self, stream: _Stream, now: int) -> Iterator[Action]:
        while stream.exchange in self._streams:
            is_end = stream.at == len(stream.ends)
            due = stream.base + stream.due[stream.at]
            if stream.gates and (is_end or stream.gates[0].place < stream.places[stream.at]):
                # Its own time is not waited for: the client is, from the time on when it came.
                due = min(due, stream.base + stream.gates[0].offset)
                if due <= now:
                    yield from self._wait(stream)
                    return
            if due > now:
                yield Wake(due)
                return
            if is_end:
                yield from self._end(stream)
                return
            data = stream.piece(stream.ends[stream.at])
            stream.at += 1
            if data:
                yield RespondMore(stream.exchange, data)

    def _end(self, stream: _Stream) -> Iterator[Action]:
        if stream.timed.is_whole:
            del self._streams[stream.exchange]
            yield RespondMore(stream.exchange, b"", last=True)
        elif stream.timed.left:
            # The recorded client went away just now, and the live one may be about to.
            yield from self._wait(stream)
        else:
            del self._streams[stream.exchange]
            yield HangUp(stream.exchange)

    def _wait(self, stream: _Stream) -> Iterator[Action]:
        if not stream.token:
            self._tokens -= 1
            stream.token = self._tokens
            yield WaitRealTime(stream.token, PATIENCE_US)

    def wait_ended(self, token: int, now: int) -> Iterator[Action]:
        """A wait for a client has an end; tokens of streams are below zero."""
        for stream in list(self._streams.values()):
            if stream.token == token:
                stream.token = 0
                if stream.gates:
                    self._pass(stream, stream.gates[0], now)
                    yield from self._go_on(stream, now)
                else:
                    del self._streams[stream.exchange]
                    yield HangUp(stream.exchange)

    def made(self, change: int, owner: object, now: int) -> Iterator[Action]:
        """A live client of a play-through did what a recorded one did."""
        for stream in list(self._streams.values()):
            if stream.owner is not owner:
                continue
            for gate in [gate for gate in stream.gates if gate.exchange == change]:
                self._pass(stream, gate, now)
                yield from self._go_on(stream, now)

    def _pass(self, stream: _Stream, gate: _Gate, now: int) -> None:
        """What comes behind a change comes as much later as it did when recorded."""
        stream.gates = [other for other in stream.gates if other.place > gate.place]
        stream.token = 0
        stream.base = now - gate.offset

    def aborted(self, exchange: int) -> None:
        """Its client went away."""
        self._streams.pop(exchange, None)
