"""What is seen becomes records, without secrets, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyrec.cassette.files import create_cassette
from comfyrec.cassette.records import AnyRecord, HttpPart, Note, Raw, Side, WsFrame
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.proxy.recorder import Recorder, is_frontend_file, next_conn, now_us
from comfyrec.wire.tap import Part, Seen
from comfyrec.wire.websocket import Frame, Unread
from tests.support.proxy_harness import Shelf

KEY = b"sk-0123456789abcdefghij"
BLANK = b"x" * len(KEY)
ASK = Part(0, b"GET /queue HTTP/1.1\r\nHost: a\r\n\r\n")


def recorder(shelf: Shelf, **options: object) -> Recorder:
    return Recorder(shelf, Redactor(), say=lambda sentence: None, **options)  # type: ignore[arg-type]


def kept(*seen: Seen) -> list[AnyRecord]:
    shelf = Shelf()
    recorder(shelf).keep(1, Side.CLIENT, list(seen))
    return shelf.records


def frame(first: int, payload: bytes, inflated: bytes | None = None) -> Frame:
    return Frame(bytes((first, len(payload))), payload, True, inflated)


def test_records_are_numbered_and_carry_the_time_and_the_connection() -> None:
    before = now_us()

    records = kept(ASK, frame(0x81, b"a"), Unread(b"?", "why"), Unread(b"", "a remark"))

    assert [type(record) for record in records] == [HttpPart, WsFrame, Raw, Note]
    assert [record.seq for record in records] == [1, 2, 3, 4]
    assert before <= records[0].t == records[3].t <= now_us()
    assert [record.conn for record in records if not isinstance(record, Note)] == [1, 1, 1]


def test_a_secret_in_a_header_does_not_reach_the_cassette_again_anywhere() -> None:
    head = b"GET / HTTP/1.1\r\nAuthorization: Bearer " + KEY + b"\r\n\r\n"

    part, raw = kept(Part(0, head), Unread(b"behind " + KEY, "why"))

    assert isinstance(part, HttpPart) and isinstance(raw, Raw)
    assert part.head == head.replace(KEY, BLANK)
    assert (part.redacted, raw.data) == (1, b"behind " + BLANK)


def test_a_message_that_was_clean_is_looked_at_again_when_a_secret_is_learnt() -> None:
    question = Part(0, ASK.head, b"it says " + KEY[3:])
    shelf = Shelf()
    keep = recorder(shelf).keep

    keep(1, Side.CLIENT, [question])
    keep(1, Side.CLIENT, [question])
    keep(1, Side.CLIENT, [Part(1, b"GET / HTTP/1.1\r\nX-Api-Key: " + KEY[3:] + b"\r\n\r\n")])
    keep(1, Side.CLIENT, [question])

    bodies = [part.body for part in shelf.of(HttpPart)]
    assert bodies == [question.body, question.body, b"", b"it says " + BLANK[3:]]


def test_a_secret_that_spans_fragments_is_blanked_in_both() -> None:
    text = b'{"extra_data": {"api_key_comfy_org": "' + KEY + b'"}}'
    at = text.index(KEY) + 9

    records = kept(frame(0x01, text[:at]), frame(0x89, b"?"), frame(0x80, text[at:]))

    frames = [record for record in records if isinstance(record, WsFrame)]
    assert [len(f.payload) for f in frames] == [at, 1, len(text) - at]
    assert frames[0].payload + frames[2].payload == text.replace(KEY, BLANK)
    assert frames[1].payload == b"?"


def test_fragments_without_secrets_are_kept_as_they_are() -> None:
    whole = frame(0x01, b"a"), frame(0x00, b""), frame(0x80, b"b")

    assert [r.payload for r in kept(*whole) if isinstance(r, WsFrame)] == [b"a", b"", b"b"]


def test_what_is_lost_is_counted_and_noted_before_what_follows() -> None:
    shelf, said = Shelf(), list[str]()
    ours = Recorder(shelf, Redactor(), say=said.append)

    shelf.full = True
    ours.keep(1, Side.CLIENT, [ASK, frame(0x81, b"a")])
    ours.opened(2, "127.0.0.1:1")
    shelf.full = False
    ours.keep(1, Side.CLIENT, [ASK])

    note, part = shelf.records
    assert isinstance(note, Note) and isinstance(part, HttpPart)
    assert (note.what, note.count, ours.lost, ours.records) == ("lost", 3, 3, 2)
    assert len(said) == 2


def test_a_disk_that_is_almost_full_is_not_talked_about_for_ever() -> None:
    shelf, said = Shelf(), list[str]()
    ours = Recorder(shelf, Redactor(), say=said.append)

    for turn in range(100):
        shelf.full = turn % 2 == 0
        ours.keep(1, Side.CLIENT, [ASK])

    assert len(said) < 10


def test_appended_recordings_number_their_connections_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert next_conn(path) == 1

    with create_cassette(path, clock_us=now_us) as writer:
        ours = Recorder(writer, Redactor(), say=lambda sentence: None)
        assert [ours.new_conn(), ours.new_conn()] == [1, 2]
        ours.opened(2, "127.0.0.1:1")

    assert next_conn(path) == 3


FRONTEND = [
    (b"GET", b"/"),
    (b"GET", b"/assets/index-C2hnmN5U.js"),
    (b"HEAD", b"/fonts/inter.woff2?v=1"),
    (b"GET", b"/extensions/core/saveImage.js"),
    (b"GET", b"/templates/default.webp"),
    (b"GET", b"/user.css"),
    (b"GET", b"/favicon.ico"),
]
API = [
    (b"POST", b"/prompt"),
    (b"GET", b"/queue"),
    (b"GET", b"/extensions"),
    (b"GET", b"/api/userdata/comfy.templates.json"),
    (b"GET", b"/userdata/user.css"),
    (b"GET", b"/view?filename=a.png"),
    (b"GET", b"/mtb/actions/list.json"),
    (b"GET", b"http://elsewhere/a.js"),
    (b"POST", b"/assets/x.js"),
    (b"GET", b"/ws"),
]


@pytest.mark.parametrize("method, target", FRONTEND)
def test_a_file_of_the_frontend_is_known(method: bytes, target: bytes) -> None:
    assert is_frontend_file(method, target)


@pytest.mark.parametrize("method, target", API)
def test_the_api_is_not_taken_for_a_file_of_the_frontend(method: bytes, target: bytes) -> None:
    assert not is_frontend_file(method, target)
