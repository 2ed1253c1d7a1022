"""Records for the tests of this room: one of each kind, and strategies for any."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from comfyrec.cassette.records import (
    AnyRecord,
    Closed,
    End,
    HttpPart,
    Note,
    Opened,
    Raw,
    Session,
    Side,
    WsFrame,
)

T = 1_795_218_964_682_000
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 12
STATUS = b'{"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 1}}}}'

ONE_OF_EACH: Sequence[AnyRecord] = (
    Session(0, T, 1, 1, "comfyrec 0.1.0", "http://127.0.0.1:8188", ("secret",), {"note": "päper"}),
    Opened(1, T + 1, 1, "127.0.0.1:50000"),
    HttpPart(2, T + 2, 1, Side.CLIENT, 0, b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n"),
    HttpPart(3, T + 3, 1, Side.SERVER, 0, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    WsFrame(4, T + 4, 1, Side.SERVER, b"\x81\x4d", STATUS),
    WsFrame(5, T + 5, 1, Side.SERVER, b"\x82\x7e\x0c\x08", PICTURE),
    WsFrame(6, T + 6, 1, Side.SERVER, b"\xc1\x05", b"\x01\x02\x03\x04\x05", True, b'{"a": 1}'),
    WsFrame(7, T + 7, 1, Side.CLIENT, b"\x01\x85abcd", "hé".encode(), False),
    WsFrame(8, T + 8, 1, Side.CLIENT, b"", b"\xff\x00", True, None, 2),
    HttpPart(
        9,
        T + 9,
        1,
        Side.SERVER,
        3,
        b"HTTP/1.1 200 OK\r\nX: \xff\r\n\r\n",
        PICTURE,
        b"A: b\r\n\r\n",
        False,
        1,
        (3, 4),
    ),
    HttpPart(10, T + 9, 1, Side.SERVER, 3, b"", b"tail"),
    Raw(11, T + 10, 1, Side.CLIENT, b"\x16\x03\x01hello", "no HTTP"),
    Note(12, T + 11, 0, "lost", "disk full", 7),
    Closed(13, T + 12, 1, Side.SERVER, "reset", "went away"),
    End(14, T + 13, 14),
)

_t = st.integers(0, 2**53)
_conn = st.integers(0, 2**31)
_side = st.sampled_from(Side)
_bytes = st.binary(max_size=80) | st.text(max_size=40).map(str.encode)
_large = st.sampled_from([PICTURE, PICTURE[:3000], b'{"a": [1, 2]} ' * 3000, STATUS])
_body = _bytes | _large
_text = st.text(max_size=20)
_about = st.dictionaries(_text, _text | st.integers(-(2**60), 2**60) | st.booleans(), max_size=3)

_any_but_session = st.one_of(
    st.builds(Opened, st.just(0), _t, _conn, _text),
    st.builds(Closed, st.just(0), _t, _conn, _side, _text, _text),
    st.builds(
        HttpPart,
        *(st.just(0), _t, _conn, _side, _conn, _bytes, _body, _bytes, st.booleans(), _conn),
        st.lists(_conn, max_size=3).map(tuple),
    ),
    st.builds(
        WsFrame,
        *(st.just(0), _t, _conn, _side, st.binary(max_size=14), _body, st.booleans()),
        st.none() | _body,
        _conn,
    ),
    st.builds(Raw, st.just(0), _t, _conn, _side, _body, _text),
    st.builds(Note, st.just(0), _t, _conn, _text, _text, _conn),
)


def numbered(session: Session, between: list[AnyRecord]) -> list[AnyRecord]:
    """A whole cassette: numbers given, an end put behind."""
    import msgspec

    records = [msgspec.structs.replace(r, seq=seq) for seq, r in enumerate([session, *between])]
    return [*records, End(len(records), T, len(records))]


cassettes = st.builds(
    numbered,
    st.builds(Session, st.just(0), _t, tool=_text, upstream=_text, about=_about),
    st.lists(_any_but_session, max_size=12),
)
