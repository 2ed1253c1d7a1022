"""Operations on connections and time: drop, stop, start, pause, step, advance."""

from __future__ import annotations

from typing import Final

from comfyrec.control.controlled import Controlled
from comfyrec.control.operation import Empty, Operation
from comfyrec.control.shapes import (
    AdvanceBody,
    Done,
    DropBody,
    Dropped,
    SpeedBody,
    Stepped,
    StopBody,
    TimeAnswer,
)
from comfyrec.errors import UsageError
from comfyrec.wording import did_you_mean
from fake_server.server.clock import MAX

__all__ = ["FAULTS", "time_of"]

REASON_MAX: Final = 123
"""Bytes of a close frame that are left for the reason (RFC 6455 section 5.5)."""


def _drop(controlled: Controlled, body: DropBody) -> Dropped:
    if len(body.reason.encode()) > REASON_MAX:
        raise UsageError(f'"reason" is a text of at most {REASON_MAX} bytes')
    if body.reason and body.code is None:
        raise UsageError('"reason" goes with "code"; without a code the socket is cut')
    there = [socket for socket in controlled.server.sockets if socket.open]
    if body.socket is not None and all(one.number != body.socket for one in there):
        raise UsageError(f"there is no open socket {body.socket}; GET /__fake__/sockets")
    clients = [one.client_id for one in there]
    if body.client_id is not None and body.client_id not in clients:
        names = [name for name in clients if name]
        listed = f"open are those of {', '.join(names)}" if names else "none is open"
        hint = did_you_mean(body.client_id, names, otherwise=listed)
        raise UsageError(f"no open socket has the client_id {body.client_id!r}; {hint}")
    numbers = [
        one.number
        for one in there
        if body.socket in (None, one.number) and body.client_id in (None, one.client_id)
    ]
    controlled.server.drop_sockets(numbers, code=body.code, reason=body.reason)
    return Dropped(dropped=numbers)


def _stop(controlled: Controlled, body: StopBody) -> Done:
    server = controlled.server
    if controlled.coming_back is not None:
        controlled.coming_back.cancel()
    server.stop()
    if body.seconds is not None:
        loop = server.handle.thread.loop
        controlled.coming_back = loop.call_later(body.seconds, _come_back, controlled)
    return Done()


def _come_back(controlled: Controlled) -> None:
    controlled.server.start()


def _start(controlled: Controlled, _: Empty) -> Done:
    if controlled.coming_back is not None:
        controlled.coming_back.cancel()
    _come_back(controlled)
    return Done()


def _restart(controlled: Controlled, _: Empty) -> Done:
    controlled.server.stop()
    return _start(controlled, Empty())


def time_of(controlled: Controlled) -> TimeAnswer:
    """The virtual time of a server."""
    clock = controlled.server.handle.server.clock
    speed = clock.speed
    return TimeAnswer(
        now_us=clock.now(), speed="max" if speed == MAX else speed, next_us=clock.next_moment
    )


def _time(controlled: Controlled, _: Empty) -> TimeAnswer:
    return time_of(controlled)


def _pause(controlled: Controlled, _: Empty) -> TimeAnswer:
    clock = controlled.server.handle.server.clock
    controlled.resume_speed = clock.speed or controlled.resume_speed
    controlled.server.pause()
    return time_of(controlled)


def _resume(controlled: Controlled, _: Empty) -> TimeAnswer:
    clock = controlled.server.handle.server.clock
    if clock.speed == 0:
        clock.set_speed(controlled.resume_speed)
    return time_of(controlled)


def _step_time(controlled: Controlled, _: Empty) -> Stepped:
    stepped = controlled.server.handle.server.clock.step() is not None
    now = time_of(controlled)
    return Stepped(stepped=stepped, now_us=now.now_us, speed=now.speed, next_us=now.next_us)


def _advance(controlled: Controlled, body: AdvanceBody) -> TimeAnswer:
    controlled.server.advance(body.seconds)
    return time_of(controlled)


def _set_speed(controlled: Controlled, body: SpeedBody) -> TimeAnswer:
    controlled.server.set_speed(MAX if body.speed == "max" else float(body.speed))
    return time_of(controlled)


FAULTS: Final = (
    Operation(
        "dropSockets", "POST", "/sockets/drop",
        "Cut open websockets without a close frame, or close them with a code.",
        _drop, Dropped, DropBody, example={"client_id": "me", "code": 1001, "reason": "bye"},
    ),
    Operation(
        "stop", "POST", "/stop",
        "Cut all connections and refuse new ones, those of this control plane as well: say for how "
        "many seconds, or ask the server that made this one.",
        _stop, Done, StopBody, example={"seconds": 0.5},
    ),
    Operation(
        "start", "POST", "/start",
        "Come back on the same port, as a fresh process that remembers nothing.", _start, Done,
    ),
    Operation(
        "restart", "POST", "/restart", "Stop and start: queue and history are gone.",
        _restart, Done,
    ),
    Operation("time", "GET", "/time", "Virtual time.", _time, TimeAnswer),
    Operation("pause", "POST", "/time/pause", "Stop virtual time.", _pause, TimeAnswer),
    Operation("resume", "POST", "/time/resume", "Let it go on.", _resume, TimeAnswer),
    Operation(
        "stepTime", "POST", "/time/step", "Move virtual time to what is due next.",
        _step_time, Stepped,
    ),
    Operation(
        "advance", "POST", "/time/advance",
        "Move virtual time on; what is due on the way happens at its own moment.",
        _advance, TimeAnswer, AdvanceBody, example={"seconds": 2.5},
    ),
    Operation(
        "setSpeed", "PUT", "/time/speed", "Let virtual time go at another speed.",
        _set_speed, TimeAnswer, SpeedBody, example={"speed": "max"},
    ),
)  # fmt: skip
