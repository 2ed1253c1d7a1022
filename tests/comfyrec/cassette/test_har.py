"""HAR files in and out: nothing is lost unsaid."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from comfyrec.cassette.har.read import HarImport, NotAHar
from comfyrec.cassette.har.write import to_har
from comfyrec.cassette.records import AnyRecord, HttpPart, Note, Side, WsFrame
from tests.support.cassette_samples import ONE_OF_EACH, T


def records_of(data: bytes, **options: Any) -> list[AnyRecord]:
    return list(HarImport(data, **options).records())


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "startedDateTime": "2026-11-21T00:00:01.500Z",
        "time": 12.5,
        "request": {
            "method": "GET",
            "url": "http://127.0.0.1:8188/history?max_items=1",
            "headers": [{"name": ":authority", "value": "x"}, {"name": "Accept", "value": "*/*"}],
        },
        "response": {
            "status": 200,
            "statusText": "OK",
            "headers": [{"name": "Content-Encoding", "value": "gzip"}],
            "content": {"text": "{}", "mimeType": "application/json"},
        },
    } | changes


def har(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"log": {"version": "1.2", "entries": list(entries)}}).encode()


def test_an_entry_becomes_a_request_and_an_answer_with_true_lengths() -> None:
    _, _, asked, answered, _, _ = records_of(har(entry()))

    assert isinstance(asked, HttpPart)
    assert asked.head == (
        b"GET /history?max_items=1 HTTP/1.1\r\nHost: 127.0.0.1:8188\r\nAccept: */*\r\n\r\n"
    )
    assert isinstance(answered, HttpPart)
    assert answered.t - asked.t == 12_500
    assert answered.head == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


def test_websocket_messages_of_devtools_become_frames() -> None:
    messages = [
        {"type": "send", "time": 1795219202.0, "opcode": 1, "data": "hé"},
        {"type": "receive", "time": 1795219203.0, "opcode": 2, "data": "AAE="},
    ]  # fmt: skip
    upgrade = entry(_webSocketMessages=messages, response={"status": 101, "headers": []})

    frames = [r for r in records_of(har(upgrade)) if isinstance(r, WsFrame)]

    assert [(f.side, f.head[0], f.payload, f.t) for f in frames] == [
        (Side.CLIENT, 0x81, "hé".encode(), 1_795_219_202_000_000),
        (Side.SERVER, 0x82, b"\0\1", 1_795_219_203_000_000),
    ]


def test_a_cassette_goes_through_har_with_its_messages() -> None:
    head = b"GET /ws?clientId=a HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\n\r\n"
    records: list[AnyRecord] = [
        ONE_OF_EACH[0],
        HttpPart(1, T, 1, Side.CLIENT, 0, head),
        HttpPart(
            2, T, 1, Side.SERVER, 0, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: w\r\n\r\n"
        ),
        WsFrame(3, T, 1, Side.SERVER, b"\x01\x02", b'{"'),
        WsFrame(4, T, 1, Side.SERVER, b"\x89\x01", b"p"),
        WsFrame(5, T, 1, Side.SERVER, b"\x80\x05", b'a":1}'),
        WsFrame(6, T, 1, Side.SERVER, b"\xc2\x05", b"xxxxx", True, b"\0\0\0\1"),
        HttpPart(7, T, 2, Side.CLIENT, 0, b"POST /prompt HTTP/1.1\r\nHost: h:1\r\n\r\n", b"{}"),
        HttpPart(
            *(8, T + 2000, 2, Side.SERVER, 0),
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
            gzip.compress(b"[]"),
        ),
    ]

    made = to_har(records, tool="comfyrec 1")
    back = list(records_of(json.dumps(made).encode()))

    socket, prompt = made["log"]["entries"]
    assert socket["request"]["url"] == "ws://h:1/ws?clientId=a"
    assert [m["data"] for m in socket["_webSocketMessages"]] == ['{"a":1}', "AAAAAQ=="]
    assert prompt["response"]["content"]["text"] == "[]"
    assert [r.payload for r in back if isinstance(r, WsFrame)] == [b'{"a":1}', b"\0\0\0\1"]
    assert [r.body for r in back if isinstance(r, HttpPart)] == [b"", b"", b"{}", b"[]"]


@pytest.mark.parametrize(
    "data, words",
    [
        (b"{", "not JSON"),
        (b"{}", 'no "log"'),
        (b'{"log": {"entries": 3}}', 'no "log"'),
        (b'{"log": ' + b"[" * 100_000, "not JSON"),
    ],
    ids=["cut", "no log", "no entries", "nesting"],
)
def test_a_file_that_is_no_har_is_refused_in_plain_words(data: bytes, words: str) -> None:
    with pytest.raises(NotAHar, match=words) as refused:
        HarImport(data)

    assert "Error" not in str(refused.value)


BAD_ENTRIES = {
    "no object": 1,
    "no request": entry(request={}),
    "no time": entry(startedDateTime="yesterday"),
    "for ever": entry(time=1e308),
    "a message without time": entry(_webSocketMessages=[{"type": "send", "data": "a"}]),
    "a message said for ever": entry(
        _webSocketMessages=[{"type": "send", "time": 1e308, "data": "a", "opcode": 1}]
    ),
    "no opcode of a frame": entry(
        _webSocketMessages=[{"type": "send", "time": 1, "data": "a", "opcode": 99}]
    ),
    "headers of words": entry(response={"status": 200, "headers": "none"}),
    "an address of numbers": entry(request={"method": "GET", "url": 7, "headers": []}),
    "no address": entry(request={"method": "GET", "url": "http://[::1", "headers": []}),
    "odd base64": entry(
        response={"status": 200, "headers": [], "content": {"text": "a", "encoding": "base64"}}
    ),
}


@pytest.mark.parametrize("bad", BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_one_bad_entry_is_one_note_and_the_others_are_taken(bad: Any) -> None:
    made = HarImport(har(bad, entry()))

    records = list(made.records())

    (note,) = (r for r in records if isinstance(r, Note))
    assert (note.what, made.unreadable) == ("unreadable_entry", 1)
    assert note.text.startswith("log.entries[0]: ")
    assert "Error" not in note.text
    assert sum(isinstance(r, HttpPart) for r in records) == 2
    assert [r.seq for r in records] == list(range(len(records)))


def test_a_body_that_the_file_does_not_hold_is_an_omission_with_its_size() -> None:
    content = {"size": 4321, "mimeType": "image/png"}
    made = HarImport(har(entry(response={"status": 200, "headers": [], "content": content})))

    (note,) = (r for r in made.records() if isinstance(r, Note))

    assert (note.what, note.count, made.bodies_omitted) == ("body_omitted", 4321, 1)


@pytest.mark.parametrize("status, size", [(304, 100), (204, 0), (200, 0)])
def test_an_answer_that_has_no_body_is_not_an_omission(status: int, size: int) -> None:
    answer = {"status": status, "headers": [], "content": {"size": 0}, "bodySize": size}
    made = HarImport(har(entry(response=answer)))

    assert not any(isinstance(r, Note) for r in made.records())
    assert made.bodies_omitted == 0


def test_bodies_in_files_of_their_own_are_read() -> None:
    content = {"size": 3, "mimeType": "image/png", "_file": "abc.png"}
    answer = {"status": 200, "headers": [], "content": content}
    data = har(entry(response=answer), entry(response=answer | {"content": {"_file": "gone"}}))
    made = HarImport(data, attached={"abc.png": b"PNG"}.get)

    records = list(made.records())

    assert b"PNG" in [r.body for r in records if isinstance(r, HttpPart)]
    assert [r.text for r in records if isinstance(r, Note)] == ["the file gone is not there"]


@pytest.mark.parametrize("time", [1795219202.5, 1795219202500.0])
def test_times_of_messages_in_seconds_and_in_milliseconds_are_told_apart(time: float) -> None:
    messages = [{"type": "receive", "time": time, "opcode": 1, "data": "a"}]
    records = records_of(har(entry(_webSocketMessages=messages)))

    (frame,) = (r for r in records if isinstance(r, WsFrame))

    assert frame.t == 1_795_219_202_500_000


def test_times_of_messages_may_count_from_the_request() -> None:
    messages = [{"type": "receive", "time": 2.5, "opcode": 1, "data": "a"}]

    records = records_of(har(entry(_webSocketMessages=messages)))

    asked, frame = records[1], next(r for r in records if isinstance(r, WsFrame))
    assert frame.t - asked.t == 2_500_000


def test_a_byte_order_mark_is_no_error() -> None:
    assert len(records_of(b"\xef\xbb\xbf" + har(entry()))) == 6


def elsewhere(url: str) -> dict[str, Any]:
    return entry(request={"method": "GET", "url": url, "headers": []})


def test_only_the_host_that_speaks_comfyui_is_taken_and_others_are_counted() -> None:
    data = har(
        elsewhere("https://fonts.example/a.css"),
        entry(),
        elsewhere("https://cdn.example/x.js"),
        elsewhere("data:image/png;base64,AA"),
        elsewhere("blob:http://127.0.0.1:8188/1-2"),
    )
    made = HarImport(data)

    asked = [r.head for r in made.records() if isinstance(r, HttpPart) and r.side is Side.CLIENT]

    assert len(asked) == 1 and b"/history" in asked[0]
    assert made.other_hosts == {"fonts.example": 1, "cdn.example": 1}


def test_the_host_may_be_chosen() -> None:
    data = har(entry(), elsewhere("http://other:8188/queue"))

    made = HarImport(data, host="other")

    (asked,) = (r for r in made.records() if isinstance(r, HttpPart) and r.side is Side.CLIENT)
    assert b"Host: other:8188" in asked.head
    with pytest.raises(NotAHar, match=r"no entry of the host nobody; it has 127.0.0.1:8188, other"):
        HarImport(data, host="nobody")


@pytest.mark.parametrize("t", [2**62, -(2**62)])
def test_a_time_that_no_calendar_has_does_not_stop_the_way_out(t: int) -> None:
    head = b"GET /queue HTTP/1.1\r\nHost: h\r\n\r\n"

    made = to_har([HttpPart(1, t, 1, Side.CLIENT, 0, head)])

    assert made["log"]["entries"][0]["request"]["method"] == "GET"


def test_a_ping_in_pieces_between_fragments_does_not_become_a_part_of_the_message() -> None:
    head = b"GET /ws HTTP/1.1\r\nHost: h\r\n\r\n"
    records: list[AnyRecord] = [
        HttpPart(1, T, 1, Side.CLIENT, 0, head),
        WsFrame(2, T, 1, Side.SERVER, b"\x01\x01", b"a"),
        WsFrame(3, T, 1, Side.SERVER, b"\x89\x02", b"p", False),
        WsFrame(4, T, 1, Side.SERVER, b"", b"q"),
        WsFrame(5, T, 1, Side.SERVER, b"\x80\x02", b"b", False),
        WsFrame(6, T, 1, Side.SERVER, b"", b"c"),
    ]

    (made,) = to_har(records)["log"]["entries"]

    assert [message["data"] for message in made["_webSocketMessages"]] == ["abc"]
