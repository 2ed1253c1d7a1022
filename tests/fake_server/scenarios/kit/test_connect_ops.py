"""Operators on connecting: refused, delayed, under a path, or reaching the source as others."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    change_message,
    delay_upgrade,
    is_request_or_upgrade,
    is_upgrade,
    refuse,
    under_prefix,
)
from fake_server.source import (
    Accept,
    HangUp,
    MessageReceived,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    UpgradeRequested,
)
from tests.support.operator_rig import (
    ASK,
    UPGRADE,
    OperatorRig,
)


def test_a_delayed_upgrade_keeps_its_frames_behind_it() -> None:
    rig = OperatorRig(delay_upgrade("it", ms=100))

    assert rig.feed(UPGRADE) == []
    assert [type(action) for _, action in rig.run().out] == [Accept, Send]


def test_refuse_turns_away_the_first_attempts_only() -> None:
    rig = OperatorRig(refuse("it", n=2, how=403, fits=is_upgrade))

    answers = [rig.feed(UpgradeRequested(n, UPGRADE.request))[0] for n in (1, 2, 3)]

    assert [type(one) for one in answers] == [Respond, Respond, Accept]


def test_refuse_lasts_at_least_as_long_as_it_is_told_to() -> None:
    rig = OperatorRig(refuse("it", n=1, fits=is_request_or_upgrade, least_ms=50))

    assert rig.feed(UPGRADE) == [HangUp(1)]
    assert rig.feed(ASK) == [HangUp(3)]
    rig.run()
    assert isinstance(rig.feed(UPGRADE)[0], Accept)


def test_a_changed_message_may_be_none_at_all() -> None:
    rig = OperatorRig(change_message("it", lambda said, scene: ()))

    assert rig.feed(UPGRADE, MessageReceived(1, "hello"))[2:] == []


def test_under_a_prefix_there_is_nothing_else() -> None:
    rig = OperatorRig(under_prefix("/p/"))

    assert rig.feed(ASK) == [Respond(3, Response(404))]
    assert rig.feed(RequestReceived(4, Request("GET", "/p/history/p")))[0].answer.status == 200
