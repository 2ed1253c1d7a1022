"""Captures and HAR files become cassettes; cassettes become HAR."""

from __future__ import annotations

import base64
import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from comfyrec.cassette.capture import NotACapture, is_capture, records_of_capture
from comfyrec.cassette.har import NotAHar, is_har, records_of_har, to_har
from comfyrec.cassette.records import (
    AnyRecord,
    Closed,
    End,
    HttpPart,
    Note,
    Opened,
    Session,
    Side,
    WsFrame,
)
from tests.support.cassette_samples import ONE_OF_EACH, T
from tests.support.paths import SHARED

RECORDINGS = SHARED / "recordings"
CAPTURES = sorted(RECORDINGS.glob("*/*.jsonl"))

HEADER = {
    "kind": "header",
    "format": "comfy-wire-capture/1",
    "scenario": "made-up",
    "comfyui_version": "0.27.0",
    "started_unix_ms": 1_795_218_964_682,
}
HEADERS = [["Host", "127.0.0.1:8188"], ["X-Odd", "ä"]]


def converted(*rows: dict[str, Any]) -> list[AnyRecord]:
    lines = [json.dumps(row).encode() for row in (HEADER, *rows)]
    return list(records_of_capture(lines))


def test_the_header_of_a_capture_is_told_by_the_session() -> None:
    session, end = converted()

    assert isinstance(session, Session)
    assert session.t == 1_795_218_964_682_000
    assert session.about["scenario"] == "made-up"
    assert isinstance(end, End)


def test_a_request_and_its_answer_get_plain_heads() -> None:
    request = {"t": 0.5, "conn": "h1", "kind": "http.request", "dir": "c2s", "method": "POST",
               "path": "/prompt", "query": "a=%20", "headers": HEADERS, "text": "{}"}  # fmt: skip
    response = {"t": 0.75, "conn": "h1", "kind": "http.response", "dir": "s2c", "status": 200,
                "reason": "OK", "headers": [], "b64": "/w=="}  # fmt: skip

    _, opened, asked, answered, closed, _ = converted(request, response)

    assert opened == Opened(1, T + 500_000, 1, "h1")
    assert isinstance(asked, HttpPart)
    fields = "Host: 127.0.0.1:8188\r\nX-Odd: ä\r\n\r\n"
    assert asked.head == f"POST /prompt?a=%20 HTTP/1.1\r\n{fields}".encode()
    assert asked.body == b"{}"
    assert isinstance(answered, HttpPart)
    assert (answered.side, answered.head, answered.body) == (
        Side.SERVER,
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\xff",
    )
    assert isinstance(closed, Closed)


def test_frames_get_their_smallest_header_and_clients_a_mask_of_zeros() -> None:
    rows = [
        {"t": 0, "conn": "w", "kind": "ws.frame", "dir": side, "opcode": "text", "text": "x" * size}
        for side, size in [("s2c", 5), ("s2c", 300), ("s2c", 70_000), ("c2s", 5)]
    ]

    heads = [record.head for record in converted(*rows) if isinstance(record, WsFrame)]

    assert heads == [
        b"\x81\x05",
        b"\x81\x7e\x01\x2c",
        b"\x81\x7f\0\0\0\0\0\x01\x11\x70",
        b"\x81\x85\0\0\0\0",
    ]


def test_a_close_is_said_by_both_sides_and_an_abnormal_one_by_nobody() -> None:
    closing = {"t": 1, "conn": "w", "kind": "ws.close", "dir": "c2s", "code": 1000, "reason": "bye"}
    lost = {"t": 1, "conn": "v", "kind": "ws.close", "dir": "s2c", "code": 1006, "reason": "",
            "abnormal": True}  # fmt: skip
    aborted = {"t": 1, "conn": "u", "kind": "ws.abort", "dir": "c2s"}

    records = converted(closing, lost, aborted)

    frames = [record for record in records if isinstance(record, WsFrame)]
    assert [(f.side, f.payload) for f in frames] == [
        (Side.CLIENT, b"\x03\xe8bye"),
        (Side.SERVER, b"\x03\xe8bye"),
    ]
    assert [r.how for r in records if isinstance(r, Closed)] == ["eof", "reset", "reset"]


def test_what_a_capture_left_out_is_noted() -> None:
    row = {"t": 1, "conn": "h", "kind": "http.response", "status": 200, "reason": "OK",
           "headers": [], "body_omitted": True, "body_bytes": 50_000,
           "body_sha256": "ab"}  # fmt: skip

    notes = [record for record in converted(row) if isinstance(record, Note)]

    assert [(n.what, n.text, n.count) for n in notes] == [("body_omitted", "ab", 50_000)]


@pytest.mark.parametrize(
    "line",
    [b"why", b"[]", b'{"kind":"x"}', b'{"t":"soon","kind":"note"}', b"[" * 100_000],
    ids=["no JSON", "a list", "unknown kind", "no time", "nesting"],
)
def test_a_line_that_does_not_fit_is_named(line: bytes) -> None:
    with pytest.raises(NotACapture, match="line 2"):
        list(records_of_capture([json.dumps(HEADER).encode(), line]))


def test_a_capture_is_told_from_a_har() -> None:
    assert is_capture(json.dumps(HEADER).encode())
    assert not is_har(json.dumps(HEADER).encode())
    assert is_har(b' {"log": {}}')


@pytest.mark.skipif(not CAPTURES, reason="the recordings of real servers are not here")
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_recording_of_a_real_server_converts(path: Path) -> None:
    lines = path.read_bytes().splitlines()
    rows = [json.loads(line) for line in lines[1:]]

    records = list(records_of_capture(lines))

    said = [r.payload for r in records if isinstance(r, WsFrame) and r.head[0] & 15 in (1, 2)]
    recorded = [row for row in rows if row["kind"] == "ws.frame"]
    assert said == [
        row["text"].encode() if row["opcode"] == "text" else base64.b64decode(row["b64"])
        for row in recorded
    ]
    assert [record.seq for record in records] == list(range(len(records)))
    assert all(a.t <= b.t for a, b in pairwise(records))


# --- HAR -------------------------------------------------------------------------------------


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
    _, _, asked, answered, _, _ = records_of_har(har(entry()))

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

    frames = [r for r in records_of_har(har(upgrade)) if isinstance(r, WsFrame)]

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
    back = list(records_of_har(json.dumps(made).encode()))

    socket, prompt = made["log"]["entries"]
    assert socket["request"]["url"] == "ws://h:1/ws?clientId=a"
    assert [m["data"] for m in socket["_webSocketMessages"]] == ['{"a":1}', "AAAAAQ=="]
    assert prompt["response"]["content"]["text"] == "[]"
    assert [r.payload for r in back if isinstance(r, WsFrame)] == [b'{"a":1}', b"\0\0\0\1"]
    assert [r.body for r in back if isinstance(r, HttpPart)] == [b"", b"", b"{}", b"[]"]


@pytest.mark.parametrize(
    "data, words",
    [
        (b"{", "no HAR"),
        (b"{}", "no HAR"),
        (b'{"log": {"entries": [1]}}', "no HAR"),
        (har(entry(request={})), r"entries\[0\]"),
        (har(entry(), entry(_webSocketMessages=[{"type": "send"}])), r"entries\[1\]"),
        (har(entry(time=1e308)), r"entries\[0\]"),
        (har(entry(_webSocketMessages=[{"type": "send", "time": 1e308}])), r"entries\[0\]"),
        (b'{"log": {"creator": "me", "entries": []}}', "no HAR"),
        (b'{"log": {"entries": 3}}', "no HAR"),
        (b'{"log": ' + b"[" * 100_000, "no HAR"),
    ],
    ids=[
        "cut",
        "no log",
        "no entry",
        "no request",
        "no message",
        "for ever",
        "said for ever",
        "creator",
        "no entries",
        "nesting",
    ],
)
def test_a_har_that_does_not_fit_is_refused_by_its_place(data: bytes, words: str) -> None:
    with pytest.raises(NotAHar, match=words):
        list(records_of_har(data))
