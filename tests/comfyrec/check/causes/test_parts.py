"""A recording taken apart: what can be left out, and what remains."""

from __future__ import annotations

import json

import pytest

from comfyrec.cassette.files import find_cassette, open_cassette
from comfyrec.cassette.records import AnyRecord, HttpPart, Opened, WsFrame
from comfyrec.check.causes.parts import Cut, Part, Parts
from comfyrec.timeline import Timeline
from tests.support.shrink_session import session


def recorded(name: str) -> list[AnyRecord]:
    with open_cassette(find_cassette(name)) as records:
        return list(records)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts(session())


def texts(records: list[AnyRecord]) -> list[str | bytes]:
    return [
        message.data for socket in Timeline.build(records).sockets for message in socket.messages
    ]


def test_what_leaves_nothing_out_is_the_recording(parts: Parts) -> None:
    assert parts.records(Cut()) == session()


def test_a_message_is_left_out_and_the_rest_is_numbered_anew(parts: Parts) -> None:
    gone, *others = parts.messages(and_ends=True)

    left = parts.records(Cut().less([gone]))

    assert [record.seq for record in left] == list(range(len(left)))
    assert texts(left) == [parts.message(one.at).data for one in others]


def test_the_messages_that_end_the_prompt_can_be_kept(parts: Parts) -> None:
    all_, without_ends = parts.messages(and_ends=True), parts.messages(and_ends=False)

    kept = [part for part in all_ if part not in without_ends]

    assert [one.says.partition(" ")[0] for one in kept] == ["execution_success", "executing"]
    assert '"node": null' in kept[1].says


def test_a_message_may_say_something_else_and_an_answer_too(parts: Parts) -> None:
    (unknown,) = [one for one in parts.messages(and_ends=True) if "crystools" in one.says]
    number, body = parts.answers()[-1]
    (prompt_id,) = body

    cut = Cut(
        said=((unknown.at, '{"type": "x", "data": {}}'),),
        answered=((number, json.dumps({prompt_id: {"outputs": {}}})),),
    )
    timeline = Timeline.build(parts.records(cut))

    assert '{"type": "x", "data": {}}' in texts(parts.records(cut))
    assert timeline.exchanges[number].response_json == {prompt_id: {"outputs": {}}}
    assert timeline.problems == ()


def test_at_once_nothing_takes_time(parts: Parts) -> None:
    records = parts.records(Cut(at_once=True))

    assert records[-1].t - records[0].t < len(records)


def test_other_prompts_go_with_all_that_is_about_them() -> None:
    parts = Parts(recorded("all-cached"))
    first = parts.prompt
    assert first is not None

    left = Timeline.build(parts.records(Cut().less(parts.prompts())))

    assert [one.prompt_id for one in left.prompts if one.submitted is not None] == [first.prompt_id]
    assert left.prompts[0].outcome == "success"


def test_sockets_of_others_go_with_their_connection() -> None:
    parts = Parts(recorded("two-clients"))
    sockets = len(parts.timeline.sockets)

    left = parts.records(Cut().less(parts.connections()))

    assert sockets == 2
    assert len(Timeline.build(left).sockets) == 1
    used = {record.conn for record in left if isinstance(record, Opened)}
    assert {record.conn for record in left if isinstance(record, WsFrame)} <= used


def test_what_a_client_needs_is_not_offered(parts: Parts) -> None:
    assert parts.exchanges() == []
    exchanges, messages = parts.left(Cut().less(parts.messages(and_ends=True)))
    assert [one.says.partition(" ")[0] for one in exchanges] == ["GET", "POST", "GET"]
    assert messages == []


def test_a_recording_without_a_question_to_the_history_gets_one() -> None:
    whole = session()
    without = [
        record for record in whole if not (isinstance(record, HttpPart) and record.exchange == 1)
    ]

    number, body = Parts(without).answers()[-1]

    (entry,) = body.values()
    assert number == 2
    assert entry["status"]["status_str"] == "success"
    assert sorted(entry["outputs"]) == ["6", "7"]


def test_parts_say_what_they_are(parts: Parts) -> None:
    says = [part.says for part in parts.messages(and_ends=True)]

    assert any(one.startswith("progress {") for one in says)
    assert "binary of type 1, 412 bytes" in says
    assert isinstance(parts.messages(and_ends=True)[0], Part)
