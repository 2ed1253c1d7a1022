"""Operators on requests and responses: in the place of the source, late, cut."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    HISTORY,
    delay_response,
    hang,
    respond,
    text_response,
    truncate,
)
from fake_server.source import Respond
from tests.support.operator_rig import ASK, OperatorRig


def test_a_response_comes_in_the_place_of_the_source() -> None:
    trouble = text_response("trouble", 500)
    rig = OperatorRig(respond(HISTORY, "it", trouble, times=1))

    assert rig.feed(ASK) == [Respond(3, trouble)]
    assert rig.feed(ASK)[0] != Respond(3, trouble)


def test_hang_never_answers() -> None:
    assert OperatorRig(hang(HISTORY, "it")).feed(ASK) == []


def test_a_delayed_response_comes_later() -> None:
    rig = OperatorRig(delay_response(HISTORY, "it", ms=200))
    rig.feed(ASK)

    assert rig.run().out[0][0] == 200_000


def test_truncate_promises_more_than_it_sends() -> None:
    rig = OperatorRig(truncate(HISTORY, "it", first=1))

    (reply,) = rig.feed(ASK)

    assert isinstance(reply, Respond)
    assert (reply.answer.body, reply.answer.close) == (b"{", True)
    assert ("Content-Length", "2") in reply.answer.headers
