"""A whole connection: what goes on, what is seen, and when it must stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.wire.tap import Part, Step, Stop, Tap
from comfyrec.wire.websocket import Frame, Unread
from tests.support.cutting import cuts, damaged, fuzz

HOST = b"Host: 127.0.0.1\r\n"
GET = b"GET /queue HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /prompt HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
UPGRADE = b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
HELLO = b"\x81\x05hello"


def split(message: bytes) -> tuple[bytes, bytes]:
    head, blank, body = message.partition(b"\r\n\r\n")
    return head + blank, body


def part(exchange: int, message: bytes) -> Part:
    return Part(exchange, *split(message))


def upgraded() -> Tap:
    tap = Tap()
    tap.client(UPGRADE)
    tap.server(SWITCH)
    return tap


def test_a_question_and_its_answer_are_seen_whole_and_go_on_as_they_are() -> None:
    tap = Tap()

    assert tap.client(POST) == Step([part(0, POST)], POST)
    assert tap.outstanding
    assert tap.server(OK) == Step([part(0, OK)], OK)
    assert not tap.outstanding


def test_what_has_come_of_a_body_is_seen_as_it_goes_on() -> None:
    tap = Tap()
    tap.client(GET)
    head, body = split(OK)

    first, second = tap.server(OK[:-1]), tap.server(OK[-1:])

    assert first == Step([Part(0, head, body[:-1], last=False)], OK[:-1])
    assert second == Step([Part(0, body=body[-1:])], OK[-1:])


def test_half_a_head_waits_for_the_rest_of_it_before_it_goes_on() -> None:
    tap = Tap()
    tap.client(GET)

    first, second = tap.server(OK[:9]), tap.server(OK[9:])

    assert first == Step([], b"")
    assert second == Step([part(0, OK)], OK)


def test_half_a_head_goes_on_when_no_more_of_it_comes() -> None:
    tap = Tap()
    tap.client(GET)
    tap.server(OK[:9])

    assert tap.server_eof() == Step([Unread(OK[:9], "the answer was cut off")], OK[:9])


def joined(steps: list[Step]) -> list[Part]:
    """Messages, each put together from the parts that it was seen in."""
    whole: list[Part] = []
    begun: list[Part] = []
    for seen in (seen for step in steps for seen in step.seen):
        assert isinstance(seen, Part)
        begun.append(seen)
        if seen.last:
            body = b"".join(piece.body for piece in begun)
            whole.append(Part(seen.exchange, begun[0].head, body))
            begun = []
    return whole


@pytest.mark.slow
@fuzz
@given(st.data())
def test_the_same_is_seen_wherever_the_bytes_are_cut(data: st.DataObject) -> None:
    asked, answered = GET + POST + GET, OK * 3
    tap = Tap()

    steps = [tap.client(piece) for piece in data.draw(cuts(asked))]
    answers = [tap.server(piece) for piece in data.draw(cuts(answered))]

    assert joined(steps) == [part(0, GET), part(1, POST), part(2, GET)]
    assert joined(answers) == [part(i, OK) for i in range(3)]
    assert b"".join(step.onward for step in steps + answers) == asked + answered


@pytest.mark.slow
@fuzz
@given(damaged([GET + POST, UPGRADE + HELLO]), damaged([OK + OK, SWITCH + HELLO * 3]))
def test_nothing_raises(asked: bytes, answered: bytes) -> None:
    tap = Tap()

    for piece in (asked[:30], asked[30:]):
        tap.client(piece)
    for piece in (answered[:90], answered[90:]):
        tap.server(piece)
    tap.client_eof()
    tap.server_eof()


def test_a_stream_is_seen_as_it_comes() -> None:
    tap = Tap()
    tap.client(GET)
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    steps = [tap.server(head), tap.server(b"2\r\na\n\r\n"), tap.server(b"0\r\n\r\n")]

    assert [step.seen for step in steps] == [
        [Part(0, head, last=False)],
        [Part(0, body=b"a\n", last=False, chunks=(2,))],
        [Part(0)],
    ]


def test_what_is_not_wanted_goes_on_unseen() -> None:
    tap = Tap(unwanted=lambda method, target: target == b"/queue")

    steps = [tap.client(GET), tap.server(OK), tap.client(POST), tap.server(OK)]

    assert [step.seen for step in steps] == [[], [], [part(1, POST)], [part(1, OK)]]
    assert [step.onward for step in steps] == [GET, OK, POST, OK]
    assert tap.left_out == 1


def test_heads_may_be_rewritten_and_the_original_is_seen() -> None:
    tap = Tap(rewrite=lambda head: head.replace(b"127.0.0.1", b"elsewhere"))

    step = tap.client(POST + GET)

    assert step.seen == [part(0, POST), part(1, GET)]
    assert step.onward == (POST + GET).replace(b"127.0.0.1", b"elsewhere")
    assert tap.client(POST).onward == POST.replace(b"127.0.0.1", b"elsewhere")


def test_a_bad_request_stops_the_connection_behind_the_good_ones() -> None:
    bad = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"

    step = Tap().client(GET + bad)

    assert step.onward == GET
    assert step.stop == Stop("2 Host fields instead of one", 400)
    assert step.seen == [part(0, GET), Unread(bad, "2 Host fields instead of one")]


def test_an_answer_that_nobody_asked_for_does_not_go_on() -> None:
    tap = Tap()
    tap.client(GET)

    step = tap.server(OK + b"HTTP/1.1 200 OK\r\n\r\n")

    assert step.onward == OK
    assert step.stop is not None
    assert isinstance(step.seen[-1], Unread)


def test_an_unreadable_answer_goes_on_and_is_kept_as_it_is() -> None:
    tap = Tap()
    tap.client(GET)

    steps = [tap.server(b"SSH-2.0-x\r\n"), tap.server(b"more")]

    assert [step.onward for step in steps] == [b"SSH-2.0-x\r\n", b"more"]
    assert [type(seen) for step in steps for seen in step.seen] == [Unread, Unread]


def test_behind_a_101_there_are_frames() -> None:
    tap = Tap()
    tap.client(UPGRADE)

    step = tap.server(SWITCH + HELLO)

    assert step == Step([part(0, SWITCH), Frame(b"\x81\x05", b"hello")], SWITCH + HELLO)
    assert tap.client(b"\x89\x80abcd").seen == [Frame(b"\x89\x80abcd", b"")]


def test_frames_that_were_sent_too_early_go_on_after_the_101() -> None:
    tap = Tap()
    tap.client(UPGRADE)

    assert tap.client(HELLO) == Step([], b"")
    tap.server(SWITCH)
    assert tap.resumes
    assert tap.resume() == Step([Frame(b"\x81\x05", b"hello")], HELLO)


def test_after_a_refused_upgrade_requests_go_on() -> None:
    tap = Tap()
    tap.client(UPGRADE)
    tap.client(GET)

    tap.server(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    assert tap.resumes
    assert tap.resume() == Step([part(1, GET)], GET)


def test_a_101_that_nobody_asked_for_is_kept_as_raw_bytes() -> None:
    tap = Tap()
    tap.client(GET)

    tap.server(SWITCH)

    assert tap.server(HELLO).seen == [Unread(HELLO, "behind a 101 that nobody asked for")]
    assert tap.client(POST).seen == [part(1, POST)]


def test_another_protocol_is_relayed_as_raw_bytes_when_it_may_be_asked_for() -> None:
    tap = Tap(any_upgrade=True)
    tap.client(UPGRADE.replace(b"websocket", b"h2c"))

    tap.server(SWITCH.replace(b"websocket", b"h2c"))

    assert tap.client(b"PRI") == Step([Unread(b"PRI", "another protocol: h2c")], b"PRI")


@pytest.mark.parametrize("wish", [b"Connection: close\r\n", b"Connection: a, Close\r\n"])
def test_the_client_may_want_the_connection_to_end(wish: bytes) -> None:
    tap = Tap()
    tap.client(GET.replace(HOST, HOST + wish))

    assert not tap.finished
    tap.server(OK)
    assert tap.finished


def test_at_the_end_it_is_said_that_a_message_was_not_finished() -> None:
    tap = Tap()
    tap.client(POST[:-1])
    tap.server(OK[:-1])

    assert tap.client_eof() == Step([Unread(b"", "the request was cut off")], b"")
    assert tap.server_eof() == Step([Unread(b"", "the answer was cut off")], b"")


def test_the_end_of_the_connection_may_be_the_end_of_the_answer() -> None:
    tap = Tap()
    tap.client(GET)
    answer = b"HTTP/1.0 200 OK\r\n\r\nall of it"

    head, body = split(answer)
    assert tap.server(answer).seen == [Part(0, head, body, last=False)]
    assert tap.server_eof() == Step([Part(0)], b"")


def test_frames_that_are_not_whole_are_seen_at_the_end() -> None:
    tap = upgraded()
    tap.server(HELLO + HELLO[:1])
    tap.client(HELLO[:-1])

    header = Unread(HELLO[:1], "cut off inside the header of a frame")
    assert tap.server_eof() == Step([header], HELLO[:1])
    assert tap.client_eof() == Step([Unread(b"", "1 bytes of the last frame are missing")], b"")


def test_a_tap_may_be_told_to_read_nothing_more() -> None:
    tap = Tap()
    tap.client(GET[:9])

    step = tap.give_up(GET[9:], of_client=True)

    assert step.onward == GET
    assert tap.server(b"anything").onward == b"anything"
