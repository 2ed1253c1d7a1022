"""HTTP/1.1 wherever it is cut; what two servers could read in two ways is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comfyrec.wire.http1 import (
    HEAD_MAX,
    BodyPiece,
    Broken,
    End,
    Event,
    RequestHead,
    RequestReader,
    ResponseHead,
    ResponseReader,
    Unasked,
    field_values,
)
from tests.support.cutting import bytewise, cuts, damaged, fuzz

HOST = b"Host: 127.0.0.1:8188\r\n"

REQUESTS = {
    "get": b"GET /queue HTTP/1.1\r\n" + HOST + b"\r\n",
    "get with odd signs": b'GET /x?q=|^[]{}"<>\xe6 HTTP/1.1\r\n' + HOST + b"\r\n",
    "old": b"GET /queue HTTP/1.0\r\n\r\n",
    "post": b"POST /prompt HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n" + b'{"a": 12}',
    "post of nothing": b"POST /interrupt HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n",
    "chunked": b"POST /prompt HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
    "trailers": b"POST /prompt HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\nx-b:2\r\n\r\n",
    "blank lines first": b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    "odd method": b"PROPFIND /x HTTP/1.1\r\n" + HOST + b"\r\n",
    "full address": b"GET http://elsewhere/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "long head": b"GET /x HTTP/1.1\r\n" + HOST + b"X-Long: " + b"v" * 7000 + b"\r\n\r\n",
    "websocket": b"GET /ws HTTP/1.1\r\n"
    + HOST
    + b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
}
SEVERAL = REQUESTS["get"] + REQUESTS["post"] + REQUESTS["chunked"] + REQUESTS["get"]


def post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /x HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


REFUSED = {
    "length and chunked": (post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
    "chunked twice": (post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400),
    "chunked, identity": (post(b"Transfer-Encoding: chunked, identity\r\n"), 501),
    "xchunked": (post(b"Transfer-Encoding: xchunked\r\n"), 501),
    "vertical tab": (post(b"Transfer-Encoding:\x0bchunked\r\n"), 400),
    "space before colon": (post(b"Transfer-Encoding : chunked\r\n"), 400),
    "folded": (post(b"X-A: a\r\n b\r\n"), 400),
    "two lengths": (post(b"Content-Length: 0\r\nContent-Length: 50\r\n"), 400),
    "the same length twice": (post(b"Content-Length: 5\r\nContent-Length: 5\r\n"), 400),
    "length with plus": (post(b"Content-Length: +5\r\n"), 400),
    "length with underscore": (post(b"Content-Length: 1_0\r\n"), 400),
    "length below zero": (post(b"Content-Length: -1\r\n"), 400),
    "length list": (post(b"Content-Length: 5, 5\r\n"), 400),
    "no length": (post(b"Content-Length:\r\n"), 400),
    "length beyond bounds": (post(b"Content-Length: 1180591620717411303424\r\n"), 413),
    "two hosts": (post(b"Host: evil.example\r\n"), 400),
    "no host": (b"GET /x HTTP/1.1\r\n\r\n", 400),
    "bare line feeds": (b"GET /x HTTP/1.1\nHost: a\n\n", 400),
    "bare line feed in the head": (post(b"X-A: b\nX-B: c\r\n"), 400),
    "bare carriage return": (post(b"X-A: b\rX-B: c\r\n"), 400),
    "nul": (post(b"X-A: a\x00b\r\n"), 400),
    "nameless field": (post(b": b\r\n"), 400),
    "space in a name": (post(b"X A: b\r\n"), 400),
    "version": (b"GET /x HTTP/1.10\r\n" + HOST + b"\r\n", 505),
    "http/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "space in the target": (b"GET /x y HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "control byte in the target": (b"GET /x\x01y HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "connect": (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "ssh": (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), 400),
    "long head": (b"GET /x HTTP/1.1\r\nX-Big: " + b"v" * 2 * HEAD_MAX, 431),
    "many fields": (post(b"".join(b"X-%d: 1\r\n" % i for i in range(2000))), 431),
    "another protocol": (post(b"Connection: Upgrade\r\nUpgrade: h2c\r\n"), 501),
    "bytes behind an upgrade": (REQUESTS["websocket"] + REQUESTS["get"], 400),
    "chunk size with plus": (post(b"Transfer-Encoding: chunked\r\n", b"+5\r\nhello\r\n"), 400),
    "chunk size with underscore": (post(b"Transfer-Encoding: chunked\r\n", b"0_5\r\nhello"), 400),
    "chunk size with space": (post(b"Transfer-Encoding: chunked\r\n", b"5 \r\nhello\r\n"), 400),
    "chunk with a bare end": (post(b"Transfer-Encoding: chunked\r\n", b"5\nhello\n0\n\n"), 400),
    "chunk too long": (post(b"Transfer-Encoding: chunked\r\n", b"3\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk extension with a line feed": (
        post(b"Transfer-Encoding: chunked\r\n", b"5;a=\nb\r\nhello\r\n0\r\n\r\n"),
        400,
    ),
    "chunk size of 17 digits": (
        post(b"Transfer-Encoding: chunked\r\n", b"10000000000000005\r\nhello"),
        400,
    ),
    "trailer without a colon": (
        post(b"Transfer-Encoding: chunked\r\n", b"0\r\nGET / HTTP/1.1\r\n\r\n"),
        400,
    ),
}

ANSWERS = {
    "sized": (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/x\r\n\r\n{}"),
    "chunked": (
        b"GET",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
    ),
    "trailers": (
        b"GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Check: d\r\n\r\n",
    ),
    "to the end": (b"GET", b"HTTP/1.0 200 OK\r\n\r\nuntil the connection ends"),
    "head": (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"),
    "not modified": (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n"),
    "no content": (b"DELETE", b"HTTP/1.1 204 \r\n\r\n"),
    "hints first": (
        b"GET",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    ),
    "odd status": (b"GET", b"HTTP/1.1 599\r\nContent-Length: 0\r\n\r\n"),
    "the same length twice": (
        b"GET",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    ),
}
UNREADABLE_ANSWERS = {
    "ssh": b"SSH-2.0-OpenSSH\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nBroken header\r\nContent-Length: 2\r\n\r\nok",
    "folded": b"HTTP/1.1 200 OK\r\nX-F: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "chunk below zero": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n",
    "chunk beyond bounds": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1" + b"0" * 20,
}


def told(events: list[Event]) -> list[object]:
    """Events as they are wherever the bytes were cut: body pieces joined, positions left out."""
    plain: list[object] = []
    for event in events:
        if isinstance(event, BodyPiece) and plain and isinstance(plain[-1], bytes):
            plain[-1] += event.data
        elif isinstance(event, BodyPiece):
            plain.append(event.data)
        elif isinstance(event, RequestHead):
            plain.append((event.raw, event.method, event.target, event.size, event.upgrade))
        else:
            plain.append(event)
    return plain


def read_requests(
    pieces: list[bytes], reader: RequestReader | None = None
) -> tuple[list[Event], bytes]:
    reader = reader or RequestReader()
    events, onward = [], b""
    for piece in pieces:
        events += reader.feed(piece)
        onward += reader.onward
    return events, onward


def read_answers(pieces: list[bytes], methods: list[bytes]) -> list[Event]:
    reader = ResponseReader()
    for number, method in enumerate(methods):
        reader.expect(number, method)
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events + reader.eof()


@pytest.mark.parametrize("request_bytes", REQUESTS.values(), ids=REQUESTS)
def test_a_request_goes_on_whole_and_is_read_the_same_byte_by_byte(request_bytes: bytes) -> None:
    at_once, onward = read_requests([request_bytes])
    slowly, onward_slowly = read_requests(bytewise(request_bytes))

    assert onward == onward_slowly == request_bytes
    assert told(at_once) == told(slowly)
    assert isinstance(at_once[-1], End)


@pytest.mark.slow
@fuzz
@given(st.data())
def test_requests_are_read_the_same_wherever_they_are_cut(data: st.DataObject) -> None:
    pieces = data.draw(cuts(SEVERAL))

    events, onward = read_requests(pieces)

    assert told(events) == told(read_requests([SEVERAL])[0])
    assert onward == SEVERAL


@pytest.mark.parametrize("request_bytes, status", REFUSED.values(), ids=REFUSED)
def test_what_can_be_read_in_two_ways_is_refused_and_nothing_of_it_goes_on(
    request_bytes: bytes, status: int
) -> None:
    events, onward = read_requests([REQUESTS["get"] + request_bytes + REQUESTS["get"]])

    broken = events[-1]
    assert isinstance(broken, Broken)
    assert (broken.status, broken.torn) == (status, False)
    assert onward == REQUESTS["get"]
    assert len(events) == 3


@pytest.mark.slow
@pytest.mark.parametrize("request_bytes", [r for r, _ in REFUSED.values()], ids=REFUSED)
def test_what_is_refused_is_refused_byte_by_byte_too(request_bytes: bytes) -> None:
    # All but the upgrade: there the bytes behind it are held, which is as safe.
    reader = RequestReader()

    events, onward = read_requests(bytewise(request_bytes), reader)

    assert isinstance(events[-1], Broken) or reader.waits
    assert request_bytes.startswith(onward)


@pytest.mark.slow
@fuzz
@given(damaged([*REQUESTS.values(), SEVERAL, *(r for r, _ in REFUSED.values() if len(r) < 9000)]))
@example(b"\r")
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r")
def test_what_goes_on_is_a_beginning_that_anybody_reads_as_we_did(stream: bytes) -> None:
    events, onward = read_requests([stream])
    again, onward_again = read_requests([onward])

    assert stream.startswith(onward)
    assert onward_again == onward
    assert told(again) == told([event for event in events if not isinstance(event, Broken)])


@pytest.mark.slow
@fuzz
@given(st.data())
def test_what_goes_on_is_a_beginning_however_it_is_cut(data: st.DataObject) -> None:
    stream = data.draw(damaged([SEVERAL, *REQUESTS.values()]))

    _, onward = read_requests(data.draw(cuts(stream)))

    assert stream.startswith(onward)


def test_a_refused_message_that_began_in_an_earlier_chunk_is_torn() -> None:
    reader = RequestReader()
    reader.feed(post(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n"))

    events = reader.feed(b"xyz\r\n")

    assert events == [Broken("a line that is not a chunk size", b"xyz\r\n", 400, True)]


def test_a_refusal_does_not_tell_the_value_of_a_header() -> None:
    (broken,) = RequestReader().feed(post(b"Authorization : Bearer sk-123\r\n"))

    assert isinstance(broken, Broken)
    assert broken.why == "line 3 of the head is not a header field"


def test_the_bytes_behind_an_upgrade_wait_for_the_answer() -> None:
    reader = RequestReader()
    reader.feed(REQUESTS["websocket"])

    assert reader.feed(b"\x81\x80abcd") == []
    assert reader.onward == b""
    assert reader.waits
    assert reader.release() == b"\x81\x80abcd"


def test_after_a_refused_upgrade_the_next_request_is_read() -> None:
    reader = RequestReader()
    reader.feed(REQUESTS["websocket"])
    reader.feed(REQUESTS["get"])

    events = reader.resume()

    assert isinstance(events[0], RequestHead)
    assert reader.onward == REQUESTS["get"]


def test_any_upgrade_may_be_allowed() -> None:
    reader = RequestReader(upgrades=None)

    (head, end) = reader.feed(post(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"))

    assert isinstance(head, RequestHead)
    assert (head.upgrade, end) == (b"h2c", End())


@pytest.mark.parametrize("name", REQUESTS)
def test_the_short_way_says_the_same_as_the_long_one(name: str) -> None:
    stream = REQUESTS[name]

    head = RequestReader().whole(stream)

    long_way = [e for e in read_requests([stream])[0] if isinstance(e, RequestHead)]
    assert head is None or [head] == long_way


def test_the_short_way_is_for_whole_requests_only() -> None:
    assert RequestReader().whole(REQUESTS["post"][:-1]) is None
    assert RequestReader().whole(REQUESTS["post"] + b"G") is None
    assert RequestReader().whole(REQUESTS["chunked"]) is None
    assert RequestReader().whole(REFUSED["two hosts"][0]) is None


@pytest.mark.parametrize("method, answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_read_the_same_byte_by_byte(method: bytes, answer: bytes) -> None:
    at_once = read_answers([answer], [method])

    assert told(at_once) == told(read_answers(bytewise(answer), [method]))
    assert isinstance(at_once[-1], End)


@pytest.mark.slow
@fuzz
@given(st.data())
def test_answers_are_read_the_same_wherever_they_are_cut(data: st.DataObject) -> None:
    kept = [pair for name, pair in ANSWERS.items() if name != "to the end"]
    methods, stream = [m for m, _ in kept], b"".join(a for _, a in kept)

    events = read_answers(data.draw(cuts(stream)), methods)

    assert told(events) == told(read_answers([stream], methods))
    assert sum(isinstance(event, End) for event in events) == len(kept) + 1  # the hints are one


@pytest.mark.parametrize("answer", UNREADABLE_ANSWERS.values(), ids=UNREADABLE_ANSWERS)
def test_an_answer_without_a_clear_end_is_said_to_be_broken(answer: bytes) -> None:
    events = read_answers([answer], [b"GET"])

    assert isinstance(events[-1], Broken)


@pytest.mark.slow
@fuzz
@given(damaged([a for _, a in ANSWERS.values()]), st.sampled_from([b"GET", b"HEAD"]))
def test_no_answer_raises(stream: bytes, method: bytes) -> None:
    for piece in (1, 7, 4096):
        chunks = [stream[i : i + piece] for i in range(0, len(stream), piece)]
        read_answers(chunks, [method, method])


def test_bytes_that_nobody_asked_for_are_told_apart() -> None:
    stream = ANSWERS["sized"][1] + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

    events = read_answers([stream], [b"GET"])

    assert isinstance(events[-1], Unasked)
    assert events[-1].data.endswith(b"poison")


def test_an_answer_that_is_cut_off_is_no_end() -> None:
    events = read_answers([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"], [b"GET"])

    assert events[-1] == Broken("the answer was cut off", b"", torn=True)


def test_answers_carry_the_number_of_their_request() -> None:
    events = read_answers([ANSWERS["sized"][1] * 3], [b"GET", b"POST", b"GET"])

    assert [e.request for e in events if isinstance(e, ResponseHead)] == [0, 1, 2]


@pytest.mark.parametrize("method, answer", ANSWERS.values(), ids=ANSWERS)
def test_the_short_way_reads_an_answer_as_the_long_one(method: bytes, answer: bytes) -> None:
    reader = ResponseReader()
    reader.expect(7, method)

    head = reader.whole(answer)

    long_way = [e.raw for e in read_answers([answer], [method]) if isinstance(e, ResponseHead)]
    assert head is None or (head.request, [head.raw], reader.outstanding) == (7, long_way, 0)


def test_behind_a_101_nothing_is_http() -> None:
    reader = ResponseReader()
    reader.expect(0, b"GET")

    events = reader.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n\x81\x00")

    assert len(events) == 2
    assert (reader.switched, reader.release()) == (b"websocket", b"\x81\x00")


def test_field_values_are_found_in_order_without_their_blanks() -> None:
    head = b"get / http/1.1\r\na: 1\r\nb:2\t\r\na:  3 \r\n\r\n"

    assert field_values(head, b"a") == [b"1", b"3"]
    assert field_values(head, b"b") == [b"2"]
    assert field_values(head, b"c") == []
