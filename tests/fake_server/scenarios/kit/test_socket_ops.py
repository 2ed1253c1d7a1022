"""Operators on open connections: cut, held, stalled, and a server that dies."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    crash,
    cut,
    event,
    freeze,
    hold,
    mute_socket,
    some_node,
    stall,
)
from fake_server.source import (
    Abort,
    Close,
    Freeze,
    HangUp,
    Listen,
    Request,
    RequestReceived,
    Send,
    UpgradeRequested,
)
from tests.support.operator_rig import (
    ASK,
    NODE,
    POST,
    RUN,
    START,
    STATUS,
    UPGRADE,
    OperatorRig,
    played,
)


def test_stall_holds_everything_back_and_lets_it_go_in_one_burst() -> None:
    rig = played(stall("it", at=event("execution_start"), for_ms=500))

    assert rig.sent == [STATUS, *RUN]
    assert {rig.times(message)[-1] for message in RUN[1:]} == {520_000}


def test_cut_aborts_or_closes_and_nothing_is_sent_to_the_dead() -> None:
    assert played(cut("it", at=some_node)).out[-1][1] == Abort(1)
    assert played(cut("it", at=some_node, code=1011)).out[-1][1] == Close(1, 1011)


def test_hold_keeps_the_source_still_until_the_client_reacts() -> None:
    rig = played(hold("it", at=some_node))

    before = list(rig.sent)
    rig.feed(RequestReceived(9, Request("GET", "/view?filename=a")))
    still = list(rig.run().sent)
    rig.feed(ASK)
    rig.run()

    assert before == still == [STATUS, START, NODE]
    assert rig.sent == [STATUS, *RUN]


def test_freeze_goes_dead_without_a_word() -> None:
    rig = played(freeze("it", at=event("execution_start")))

    assert rig.out[-1][1] == Freeze(1)


def test_a_muted_socket_gets_its_first_frames_only() -> None:
    rig = OperatorRig(mute_socket("it", connection=2))
    rig.feed(UPGRADE, UpgradeRequested(7, Request("GET", "/ws?clientId=me")), POST)
    rig.run()

    assert [a.sockets for _, a in rig.out if isinstance(a, Send)] == [(1,), (7,)]


def test_a_crash_cuts_everything_and_a_fresh_source_comes_back() -> None:
    rig = played(crash("it", at=some_node, back_ms=100))

    assert [kind for kind in rig.kinds() if kind in (Abort, Listen)] == [Abort, Listen, Listen]
    assert rig.stage.observer.mine()[0].ending == "lost"
    assert rig.stage.facts()["left"] == len(RUN)


def test_a_crash_for_good_answers_nobody() -> None:
    rig = played(crash("it", at=some_node))

    assert rig.feed(ASK) == [HangUp(3)]
