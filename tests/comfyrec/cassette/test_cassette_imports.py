"""Captures and HAR files become cassettes; cassettes become HAR."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from comfyrec.cassette.har.read import is_har
from comfyrec.cassette.import_capture import NotACapture, is_capture, records_of_capture
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
from tests.support.cassette_samples import T
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
