"""Operations that wait, hold a server after a frame, and let it go on."""

from __future__ import annotations

from typing import Final

from comfyrec.control.controlled import Controlled
from comfyrec.control.operation import Empty, Operation
from comfyrec.control.seen import shown_request, shown_socket
from comfyrec.control.shapes import (
    Done,
    FrameAnswer,
    HoldAnswer,
    HoldBody,
    HoldList,
    RunUntilBody,
    SeenRequestAnswer,
    SeenSocketAnswer,
    TimeoutBody,
    WaitQuery,
    WaitRequestBody,
    WaitSocketBody,
)
from comfyrec.testing.handle import WaitedTooLong, check_awaited, in_words

__all__ = ["HOLDS"]


def _hold(controlled: Controlled, body: HoldBody) -> HoldAnswer:
    holding = controlled.server.hold_at(body.event, **body.where)
    number = controlled.next_number()
    controlled.holdings[number] = holding
    return _shown(controlled, number)


def _shown(controlled: Controlled, number: int) -> HoldAnswer:
    holding = controlled.holding(number)
    message = holding.message if isinstance(holding.message, str) else None
    return HoldAnswer(id=number, frame=holding.what, reached=holding.reached, message=message)


def _holds(controlled: Controlled, _: Empty) -> HoldList:
    held = controlled.server.held
    return HoldList(
        holds=[_shown(controlled, number) for number in controlled.holdings],
        held_at=None if held is None else str(held),
    )


async def _wait_for_hold(controlled: Controlled, query: WaitQuery, number: int) -> HoldAnswer:
    holding = controlled.holding(number)
    await controlled.in_time(lambda: holding.reached, query.wait_s)
    return _shown(controlled, number)


def _release_hold(controlled: Controlled, _: Empty, number: int) -> Done:
    controlled.holding(number).release()
    del controlled.holdings[number]
    return Done()


def _release(controlled: Controlled, _: Empty) -> Done:
    controlled.server.release()
    controlled.holdings = {n: one for n, one in controlled.holdings.items() if not one.reached}
    return Done()


async def _step(controlled: Controlled, body: TimeoutBody) -> FrameAnswer:
    server = controlled.server
    server.let_one_out()
    await controlled.until(lambda: server.held is not None, "one more frame", body.timeout_s)
    message = server.held.message if server.held else None
    return FrameAnswer(message=message if isinstance(message, str) else None)


async def _run_until(controlled: Controlled, body: RunUntilBody) -> HoldAnswer:
    number = _hold(controlled, body).id
    holding = controlled.holding(number)
    _release(controlled, Empty())
    try:
        await controlled.until(lambda: holding.reached, holding.what, body.timeout_s)
    except WaitedTooLong:
        holding.settle()
        raise
    return _shown(controlled, number)


async def _wait_for_request(controlled: Controlled, body: WaitRequestBody) -> SeenRequestAnswer:
    server, count = controlled.server, body.count
    check_awaited(body.method, body.path)
    await controlled.until(
        lambda: len(server.requests_to(body.method, body.path)) >= count,
        in_words(body.method, body.path, count),
        body.timeout_s,
    )
    return shown_request(server.requests_to(body.method, body.path)[count - 1])


async def _wait_for_socket(controlled: Controlled, body: WaitSocketBody) -> SeenSocketAnswer:
    server, count = controlled.server, body.count
    await controlled.until(
        lambda: len(server.accepted_sockets()) >= count, f"socket number {count}", body.timeout_s
    )
    return shown_socket(server.accepted_sockets()[count - 1])


HOLDS: Final = (
    Operation(
        "waitForRequest", "POST", "/wait/request",
        "Wait until so many such requests have come in all; gives the last of them.",
        _wait_for_request, SeenRequestAnswer, WaitRequestBody,
        example={"method": "POST", "path": "/prompt", "count": 1, "timeout_s": 5},
    ),
    Operation(
        "waitForSocket", "POST", "/wait/socket",
        "Wait until so many websockets have been opened in all; gives the last of them.",
        _wait_for_socket, SeenSocketAnswer, WaitSocketBody, example={"count": 1, "timeout_s": 5},
    ),
    Operation(
        "holdAt", "POST", "/holds", "Hold the server after the next frame that fits.",
        _hold, HoldAnswer, HoldBody, example={"event": "executing", "where": {"node": "3"}},
    ),
    Operation("holds", "GET", "/holds", "The holds that were not released.", _holds, HoldList),
    Operation(
        "hold", "GET", "/holds/{id}", "One hold; waits up to wait_s until it is reached.",
        _wait_for_hold, HoldAnswer, query=WaitQuery,
    ),
    Operation(
        "releaseHold", "DELETE", "/holds/{id}",
        "Let the server go on from this hold; one that was never reached is dropped.",
        _release_hold, Done,
    ),
    Operation("release", "POST", "/release", "Let a held server go on.", _release, Done),
    Operation(
        "step", "POST", "/step", "Let exactly one more frame out of a held server; gives it.",
        _step, FrameAnswer, TimeoutBody, example={"timeout_s": 5},
    ),
    Operation(
        "runUntil", "POST", "/run_until",
        "Release, and wait until the server is held after such a frame.",
        _run_until, HoldAnswer, RunUntilBody, example={"event": "executed", "timeout_s": 5},
    ),
)  # fmt: skip
