"""A surface over a server: claims, questions, sockets of its own, time, and what is left alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from comfyrec.client.http import requests
from comfyrec.client.http.exchange import Conversation, HttpResponse
from comfyrec.http.hint import HINT_HEADER
from fake_server.http.responses import json_response
from fake_server.options import SurfaceChoice
from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    Accept,
    Action,
    Close,
    HangUp,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    Response,
    Send,
    UpgradeRequested,
    Woke,
)
from fake_server.surfaces.registry import with_surfaces
from fake_server.surfaces.surface import ANSWER_US, Asking, Door, Front, Surface, via
from tests.support.scripted_source import Scripted


class Sample(Surface):
    """Counts the queue at /count, and listens from /listen on."""

    def __init__(self, door: Door) -> None:
        super().__init__(door)
        self.messages: list[Any] = []
        self.socket = -1
        self.gone: list[int] = []
        self.woken = 0

    def claims(self, request: Request) -> bool:
        return request.path in ("/count", "/listen")

    def asked(self, exchange: int, request: Request) -> None:
        if request.path == "/count":
            self.door.ask(self, self._count(), exchange)
        else:
            self.socket = self.door.connect(self, "the-surface")
            self.door.do(Respond(exchange, json_response({})))

    def _count(self) -> Asking[Response | None]:
        asked = requests.queue()
        shown = requests.read_queue(asked, HttpResponse(status=200, body=b"{}"))
        answer = yield Request("GET", "/queue", (("Host", "x"),))
        return json_response({"seen": answer.status, "known": shown is not None})

    def heard(self, socket: int, message: str | bytes) -> None:
        self.messages.append(json.loads(message))

    def lost(self, socket: int) -> None:
        self.gone.append(socket)

    def aborted(self, exchange: int) -> None:
        self.gone.append(exchange)

    def woke(self) -> None:
        self.woken += 1


def front(inner: Any = None, *, native: bool = True) -> Front:
    return Front(inner or SimulatedServer(), [Sample], native=native)


def surface(of: Front) -> Sample:
    (found,) = of.surfaces
    assert isinstance(found, Sample)
    return found


def get(target: str, exchange: int = 1) -> RequestReceived:
    return RequestReceived(exchange, Request("GET", target, (("Host", "x"),)))


def answers(actions: Sequence[Action]) -> list[tuple[int, int]]:
    return [(a.exchange, a.answer.status) for a in actions if isinstance(a, Respond)]


def test_what_is_claimed_is_answered_by_the_surface_and_the_rest_by_the_server() -> None:
    served = front()

    counted = served.handle(get("/count"), 0)
    native = served.handle(get("/queue", 2), 0)

    assert answers(counted) == [(1, 200)]
    assert answers(native) == [(2, 200)]


@pytest.mark.parametrize("target", ["/queue", "/ws", "/"])
def test_without_the_native_surface_nothing_else_is_there(target: str) -> None:
    served = front(native=False)

    assert answers(served.handle(get(target), 0)) == [(1, 404)]
    assert answers(served.handle(get("/count", 2), 0)) == [(2, 200)]
    upgrade = UpgradeRequested(3, Request("GET", "/ws"))
    assert answers(served.handle(upgrade, 0)) == [(3, 404)]


def test_a_socket_of_the_surface_hears_the_server_and_no_client_sees_it() -> None:
    served = front()

    actions = served.handle(get("/listen"), 0)

    assert [type(one) for one in actions] == [Respond]
    assert [one["type"] for one in surface(served).messages] == ["status"]
    assert surface(served).messages[0]["data"]["sid"] == "the-surface"


def test_a_message_to_all_goes_both_ways() -> None:
    served = front()
    served.handle(get("/listen"), 0)
    served.handle(UpgradeRequested(7, Request("GET", "/ws?clientId=c")), 0)

    prompt = {"1": {"class_type": "PreviewAny", "inputs": {"source": "a"}}}
    post = Request("POST", "/prompt", (), json.dumps({"prompt": prompt}).encode())
    actions = served.handle(RequestReceived(8, post), 0)

    sends = [one for one in actions if isinstance(one, Send)]
    assert {one.sockets for one in sends} == {(7,)}
    assert len(surface(served).messages) == len(sends) + 1  # and its own greeting


def test_a_socket_that_the_server_ends_is_lost() -> None:
    source = Scripted(
        UpgradeRequested=lambda h, _: [Accept(h.socket), Close(h.socket, 1001)],
    )
    served = front(source)

    assert [type(one) for one in served.handle(get("/listen"), 0)] == [Respond]
    assert surface(served).gone == [surface(served).socket]


def test_a_server_that_hangs_is_given_up_and_one_that_hangs_up_is_a_bad_gateway() -> None:
    hanging = front(Scripted(RequestReceived=lambda h, _: []))
    cutting = front(Scripted(RequestReceived=lambda h, _: [HangUp(h.exchange)]))

    waits = hanging.handle(get("/count"), 0)
    late = hanging.handle(Woke(), ANSWER_US)
    cut = cutting.handle(get("/count"), 0)

    assert [getattr(one, "at", None) for one in waits] == [ANSWER_US]
    assert _seen(late) == 504
    assert _seen(cut) == 502


def _seen(actions: Sequence[Action]) -> int:
    (answer,) = [one.answer for one in actions if isinstance(one, Respond)]
    seen: int = json.loads(answer.body)["seen"]
    return seen


def test_a_caller_that_left_is_not_answered() -> None:
    held: list[int] = []
    served = front(Scripted(RequestReceived=lambda h, _: held.append(h.exchange) or []))
    served.handle(get("/count", 5), 0)

    served.handle(RequestAborted(5), 0)
    late = served.handle(Woke(), ANSWER_US)

    assert surface(served).gone == [5]
    assert answers(late) == []


def test_a_conversation_of_our_client_is_asked_through_the_door() -> None:
    def looks() -> Asking[Response | None]:
        shown = yield from via(queue())
        return json_response(shown)

    def queue() -> Conversation[int]:
        answer = yield requests.queue()
        return answer.status

    served = front()
    door = served._door
    door.ask(surface(served), looks(), 9)

    (answer,) = [one for one in served.handle(Woke(), 0) if isinstance(one, Respond)]
    assert (answer.exchange, answer.answer.body) == (9, b"200")
    assert surface(served).woken == 1


HINTS = {
    "a prompt": (Request("POST", "/prompt"), True),
    "a prompt below /api": (Request("POST", "/api/prompt"), True),
    "a question, by which clients find out who is there": (Request("GET", "/queue"), False),
    "nothing of ComfyUI": (Request("POST", "/somewhere"), False),
}


@pytest.mark.parametrize("request_, hinted", HINTS.values(), ids=HINTS)
def test_who_speaks_comfyuis_own_api_is_told_how_to_be_understood(
    request_: Request, hinted: bool
) -> None:
    choices = [SurfaceChoice("v2")]
    source = with_surfaces(SimulatedServer(), choices)

    (answer,) = [
        action.answer
        for action in source.handle(RequestReceived(1, request_), 0)
        if isinstance(action, Respond)
    ]

    assert answer.status == 404
    assert ("--surface native" in dict(answer.headers).get(HINT_HEADER, "")) is hinted
