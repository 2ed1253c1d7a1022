"""The stage: operators in a row over a source."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from fake_server.scenarios.kit import (
    PLAIN,
    Operator,
    Stage,
    cut,
    drop,
    dump,
    event,
    inject,
    some_node,
    third_party_request,
)
from fake_server.scenarios.kit.observer import Observer
from fake_server.scenarios.kit.operator import Step, Tally
from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    Abort,
    Happened,
    RealTimePassed,
    Request,
    RequestReceived,
    Respond,
    Send,
    UpgradeRequested,
    WaitRealTime,
)
from tests.support.operator_rig import ASK, POST, RUN, START, STATUS, UPGRADE, OperatorRig, played


def test_a_stage_without_operators_is_the_source_itself() -> None:
    assert played().sent == [STATUS, *RUN]


def test_operators_stand_in_a_row_the_first_nearest_to_the_client() -> None:
    def both() -> tuple[Operator, Operator]:
        return drop(event("x"), "x"), inject([dump("x", {})], "x", at=some_node)

    assert dump("x", {}) not in played(*both()).sent
    assert dump("x", {}) in played(*reversed(both())).sent


# --- a client without a socket -------------------------------------------------------------------


def waiting(*operators: Operator) -> tuple[OperatorRig, WaitRealTime]:
    """A run that waits behind the answer to its POST, and what it waits for."""
    rig = OperatorRig(*operators, waits_for_socket=True)
    waits = [one for one in rig.feed(POST) if isinstance(one, WaitRealTime)]
    return rig.run(), waits[0]


def connected(rig: OperatorRig) -> OperatorRig:
    """The client opens its socket, and its handshake arrives."""
    waits = [one for one in rig.feed(UPGRADE) if isinstance(one, WaitRealTime)]
    rig.feed(*(RealTimePassed(wait.token) for wait in waits))
    return rig.run()


def test_a_run_waits_behind_the_answer_to_its_post_for_the_socket() -> None:
    rig, _ = waiting()

    before = list(rig.sent)
    connected(rig)

    assert next(kind for kind in rig.kinds() if kind in (Respond, Send)) is Respond
    assert before == []
    assert rig.sent == [STATUS, *RUN]


def test_a_run_goes_on_without_a_socket_when_patience_is_over() -> None:
    rig, wait = waiting()

    rig.feed(RealTimePassed(wait.token))
    rig.run()

    (answer,) = rig.feed(ASK)
    assert isinstance(answer, Respond)
    assert "p" in json.loads(answer.answer.body)


def test_a_client_that_never_opens_a_socket_is_waited_for_once() -> None:
    rig, wait = waiting()

    again = rig.feed(RealTimePassed(wait.token), POST)

    assert not [one for one in again if isinstance(one, WaitRealTime)]


def test_a_run_does_not_wait_for_a_client_with_a_socket() -> None:
    rig = OperatorRig(waits_for_socket=True)

    actions = rig.feed(UPGRADE, POST)

    assert not [one for one in actions if isinstance(one, WaitRealTime)]


def test_what_is_done_to_a_frame_is_done_to_a_socket_that_is_late() -> None:
    rig, _ = waiting(cut("in a node"))

    connected(rig)

    assert Abort(1) in [action for _, action in rig.out]
    assert rig.stage.finish() == []


def test_what_somebody_does_later_about_a_run_waits_with_it() -> None:
    asked: list[int] = []

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        if isinstance(happened, RequestReceived) and happened.exchange < 0:
            asked.append(observer.now)
        yield happened

    stops = third_party_request(
        "a stop", lambda prompt: Request("POST", "/interrupt"), at=None, delay_ms=15
    )
    rig, _ = waiting(stops, Operator(Tally("looks on", needed=None), hear=hear))
    before = list(asked)

    connected(rig)

    assert before == []
    assert asked[0] > rig.times(START)[0]


def test_what_passed_before_the_socket_was_open_was_not_exercised() -> None:
    rig, wait = waiting(cut("in a node"))
    rig.feed(RealTimePassed(wait.token))

    (complaint,) = rig.run().stage.finish()

    assert (complaint.needed, complaint.missed) == (True, True)
    assert str(complaint) == (
        "the frame for 'cut in a node' passed before the client's socket was open"
    )


# --- who the client is ---------------------------------------------------------------------------

UPGRADES = {"no id": "/ws", "an empty id": "/ws?clientId=", "its own id": "/ws?clientId=mine"}


@pytest.mark.parametrize("target", UPGRADES.values(), ids=UPGRADES)
def test_a_client_goes_by_the_id_that_the_source_greets_it_with(target: str) -> None:
    stage = Stage(SimulatedServer, seed=5)
    greeting = list(stage.handle(UpgradeRequested(1, Request("GET", target)), 0))[1]
    assert isinstance(greeting, Send)
    sid = json.loads(greeting.message)["data"]["sid"]
    body = json.dumps({"prompt": PLAIN, "client_id": sid}).encode()

    actions = list(stage.handle(RequestReceived(2, Request("POST", "/prompt", (), body)), 0))

    heard = [json.loads(one.message)["type"] for one in actions if isinstance(one, Send)]
    assert stage.observer.sockets == {1: sid}
    assert "execution_success" in heard
    assert all(one.sockets == (1,) for one in actions if isinstance(one, Send))
