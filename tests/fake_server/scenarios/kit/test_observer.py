"""What the observer of a stage knows and writes down."""

from __future__ import annotations

import json

from fake_server.scenarios.kit import is_upgrade, refuse
from fake_server.source import Disconnected, Send
from tests.support.operator_rig import UPGRADE, OperatorRig, played


def test_the_journal_tells_who_did_what() -> None:
    rig = played()

    told = [(note.what, note.detail) for note in rig.stage.observer.journal]

    assert told[0] == ("knocked", "me")
    assert ("asked", "POST /prompt") in told
    assert ("ended", "success p") in told


def test_it_knows_which_ends_a_client_was_told_of() -> None:
    observer = OperatorRig().stage.observer
    for kind, data in (
        ("executing", {"node": "1", "prompt_id": "a"}),
        ("executing", {"node": None, "prompt_id": "b"}),
        ("executing", {"node": None}),
        ("execution_error", {"prompt_id": "c"}),
        ("executing", {"node": None, "prompt_id": "c"}),
        ("status", {}),
    ):
        observer.to_client(Send((1,), json.dumps({"type": kind, "data": data})))

    assert observer.ends_told == {"b": "success", "c": "error"}


def test_a_socket_is_open_from_its_accept_until_it_leaves() -> None:
    rig = OperatorRig()

    rig.feed(UPGRADE)
    accepted = dict(rig.stage.observer.sockets)
    rig.feed(Disconnected(1))

    assert accepted == {1: "me"}
    assert rig.stage.observer.sockets == {}


def test_a_refused_upgrade_is_no_socket_and_is_forgotten() -> None:
    rig = OperatorRig(refuse("it", n=1, how=403, fits=is_upgrade))

    rig.feed(UPGRADE)

    assert rig.stage.observer.sockets == {}
    assert rig.stage.observer.handshakes == {}


def test_a_message_reaches_the_client_by_a_socket_that_was_not_cut() -> None:
    observer = OperatorRig().stage.observer
    observer.cut.add(2)

    assert observer.reaches(Send((1,), "x"))
    assert not observer.reaches(Send((2, -1), "x"))
    assert not observer.reaches(Send((), "x"))


def test_tokens_of_real_time_differ_and_are_far_from_those_of_a_replay() -> None:
    observer = OperatorRig().stage.observer

    first, second = observer.token(), observer.token()

    assert first != second
    assert min(first, second) > 1 << 40
