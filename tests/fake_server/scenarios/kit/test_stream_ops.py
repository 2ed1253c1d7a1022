"""Operators on event streams: what is changed, cut, muted or lost, and what is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.scenarios import Stage
from fake_server.scenarios.kit import change_events, cut_stream, lose_response, mute_stream
from fake_server.scenarios.kit.operator import Operator
from fake_server.scenarios.kit.stream_ops import event_name
from fake_server.source import (
    Action,
    HangUp,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    RespondMore,
    Response,
)
from tests.support.scripted_source import Scripted

PIECES = (b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", b"event: a\ndata: 3\n\n", b": beat\n\n")


def stream(request: Request) -> bool:
    return request.target == "/stream"


def telling(happened: RequestReceived, now: int) -> list[Action]:
    if happened.request.target != "/stream":
        return [Respond(happened.exchange, Response(200, (), b"whole"))]
    begun = Respond(happened.exchange, Response(200, (), PIECES[0]), more=True)
    more = [RespondMore(happened.exchange, piece) for piece in PIECES[1:]]
    return [begun, *more, RespondMore(happened.exchange, b"event: b\ndata: 4\n\n", last=True)]


def played(*operators: Operator, target: str = "/stream") -> tuple[list[Action], Scripted]:
    source = Scripted(RequestReceived=telling)  # type: ignore[arg-type]  # of requests alone
    stage = Stage(lambda: source, operators)
    return list(stage.handle(RequestReceived(1, Request("GET", target)), 0)), source


def body(actions: list[Action]) -> bytes:
    pieces = [a.answer.body if isinstance(a, Respond) else a.data for a in actions
              if isinstance(a, Respond | RespondMore)]  # fmt: skip
    return b"".join(map(bytes, pieces))


def test_events_of_one_type_are_dropped_or_doubled_and_the_rest_passes() -> None:
    dropped, _ = played(change_events(stream, "a", "a", lambda block: b""))
    doubled, _ = played(change_events(stream, "b", "b", lambda block: block * 2))

    assert body(dropped) == b"event: b\ndata: 2\n\n: beat\n\nevent: b\ndata: 4\n\n"
    assert body(doubled).count(b"event: b") == 4
    assert isinstance(dropped[-1], RespondMore)
    assert dropped[-1].last


@pytest.mark.parametrize(("after", "left"), [(1, 1), (2, 2), (3, 3), (9, None)])
def test_a_stream_is_cut_after_so_many_events_and_the_source_is_told(
    after: int, left: int | None
) -> None:
    actions, source = played(cut_stream(stream, "it", after=after))

    if left is None:
        assert not any(isinstance(one, HangUp) for one in actions)
        return
    assert isinstance(actions[-1], HangUp)
    assert body(actions).count(b"event: ") == left
    assert any(isinstance(one, RequestAborted) for one in source.happened)


def test_it_is_cut_so_often_and_then_no_more() -> None:
    operator = cut_stream(stream, "it", after=1, times=1)
    source = Scripted(RequestReceived=telling)  # type: ignore[arg-type]  # of requests alone
    stage = Stage(lambda: source, [operator])

    first = list(stage.handle(RequestReceived(1, Request("GET", "/stream")), 0))
    second = list(stage.handle(RequestReceived(2, Request("GET", "/stream")), 0))

    assert isinstance(first[-1], HangUp)
    assert not any(isinstance(one, HangUp) for one in second)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_mute_stream_stays_open(after: int) -> None:
    actions, _ = played(mute_stream(stream, "it", after=after))

    assert body(actions).count(b"event: ") == after
    assert not any(isinstance(one, RespondMore) and one.last for one in actions)
    assert not any(isinstance(one, HangUp) for one in actions)


def test_what_is_no_stream_passes() -> None:
    for operator in (
        change_events(stream, "a", "a", lambda block: b""),
        cut_stream(stream, "it", after=1),
        mute_stream(stream, "it"),
    ):
        actions, _ = played(operator, target="/other")
        assert body(actions) == b"whole"


def test_an_answer_is_lost_though_the_request_was_carried_out() -> None:
    operator = lose_response(lambda request: True, "it", times=1)
    source = Scripted()
    stage = Stage(lambda: source, [operator])

    first: Any = list(stage.handle(RequestReceived(1, Request("POST", "/x")), 0))
    second: Any = list(stage.handle(RequestReceived(2, Request("POST", "/x")), 0))

    assert first == [HangUp(1)]
    assert isinstance(second[0], Respond)
    assert len(source.happened) == 2


def test_the_type_of_an_event_is_read() -> None:
    assert event_name(b"event: status\ndata: {}\n\n") == "status"
    assert event_name(b": beat\n\n") == ""
