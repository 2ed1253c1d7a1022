from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from comfyrec.cassette.records import AnyRecord, Note, Session
from comfyrec.flight.carry import Carry
from comfyrec.timeline import Timeline
from tests.support.cassette_samples import ONE_OF_EACH, cassettes
from tests.support.timeline_samples import CLIENT, GRAPH, PROMPT, Recording, run, session

LINGER = 1_000_000
LATER = 1 << 50


def carried(recording: Recording, *, upto: int | None = None) -> tuple[Carry, list[AnyRecord]]:
    carry = Carry(LINGER)
    for record in recording.records[:upto]:
        carry.saw(record)
    return carry, list(carry.cut(1, 5))


def test_a_session_is_whole_when_its_prompt_is_over_and_nothing_more_is_said() -> None:
    carry, now = Carry(LINGER), 0
    whole = []
    for record in run(session()).end():
        carry.saw(record)
        now = record.t
        whole.append(carry.is_whole(now))

    assert not any(whole)
    assert not carry.is_whole(now + LINGER // 2)
    assert carry.is_whole(now + LINGER)


def test_nothing_is_whole_while_a_prompt_waits_or_an_answer_is_under_way() -> None:
    recording = session()
    recording.request(2, "POST", "/prompt", {"prompt": GRAPH})
    posted = len(recording.records)
    recording.answer(2, {"prompt_id": PROMPT, "number": 0, "node_errors": {}})
    answered = len(recording.records)
    recording.status(1, 1)
    recording.request(3, "GET", "/history")

    assert not carried(recording, upto=posted)[0].is_between(LATER)
    assert carried(recording, upto=answered)[0].waiting == {PROMPT}
    assert not carried(recording, upto=answered)[0].is_between(LATER)


def test_history_and_queue_tell_that_a_prompt_is_over_where_no_socket_does() -> None:
    for target, body in (("/history/x", {PROMPT: {}}), ("/api/queue", {"queue_running": []})):
        recording = Recording()
        recording.asked(2, "POST", "/prompt", {"prompt": GRAPH}, {"prompt_id": PROMPT, "number": 0})
        recording.asked(3, "GET", target, answer=body)

        carry, _ = carried(recording)

        assert carry.waiting == frozenset()


def test_a_refused_prompt_is_a_session_too() -> None:
    recording = Recording()
    recording.request(2, "POST", "/prompt", {})
    recording.answer(2, {"error": {}}, status=400)
    carry = Carry(LINGER)
    for record in recording.records:
        carry.saw(record)

    assert carry.is_whole(LATER)


def test_the_next_part_begins_with_the_sockets_that_are_open() -> None:
    recording = run(session(client_id="me"))
    _, beginning = carried(recording)
    more = run(Recording(), prompt_id="another-prompt", conn=7)
    records = [Session(0, 4), *beginning, *more.records[1:]]
    records = [msgspec.structs.replace(r, seq=seq) for seq, r in enumerate(records)]

    timeline = Timeline.build(records)

    (socket,) = timeline.sockets
    assert (socket.client_id, socket.sid) == ("me", "me")
    assert [prompt.outcome for prompt in timeline.prompts] == ["success"]
    assert timeline.problems == ()


def test_what_was_under_way_is_begun_again_and_what_is_left_out_is_said() -> None:
    recording = session()
    recording.request(2, "POST", "/upload/image", b"x" * 500_000)
    recording.request(3, "POST", "/prompt", {"prompt": GRAPH})

    _, beginning = carried(recording)

    notes = [r for r in beginning if isinstance(r, Note) and r.what == "body_omitted"]
    assert [(note.conn, note.count) for note in notes] == [(2, 500_000)]
    exchanges = Timeline.build([Session(0, 4), *beginning]).exchanges
    assert [e.path for e in exchanges] == ["/ws", "/upload/image", "/prompt"]
    assert exchanges[1].request.omitted_bytes == 500_000


def test_a_closed_connection_is_not_carried_and_not_remembered() -> None:
    recording = run(session())
    recording.request(4, "GET", "/queue")
    for conn in (1, 2, 4):
        recording.closed(conn, CLIENT)

    carry, beginning = carried(recording)

    assert beginning == []
    assert carry.is_between(LATER)
    assert carry._connections == {}


@pytest.mark.slow
@given(cassettes)
def test_no_record_disturbs_it(records: list[AnyRecord]) -> None:
    carry = Carry(LINGER)
    for record in (*ONE_OF_EACH, *records):
        carry.saw(record)

    beginning = list(carry.cut(7, 9))

    assert [record.seq for record in beginning] == [*range(7, 7 + len(beginning))]
    assert {record.t for record in beginning} <= {9}
