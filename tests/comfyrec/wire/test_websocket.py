"""WebSocket frames as they were sent, wherever they are cut; against websockets' own writer."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode

from comfyrec.wire.websocket import (
    INFLATED_MAX,
    Deflate,
    Frame,
    FrameReader,
    Unread,
    negotiated,
    unmask,
)
from tests.support.cutting import bytewise, cuts, damaged, fuzz

Seen = Frame | Unread

payloads = st.binary(max_size=40) | st.sampled_from([b"x" * 125, b"x" * 126, b"y" * 70000])
their_frames = st.builds(
    TheirFrame,
    st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.CONT]),
    payloads,
    fin=st.booleans(),
) | st.builds(
    TheirFrame,
    st.sampled_from([Opcode.PING, Opcode.PONG, Opcode.CLOSE]),
    st.just(b"") | st.binary(max_size=123).map(lambda tail: b"\x03\xe8" + tail),
)


def frames_of(seen: list[Seen]) -> list[Frame]:
    """Whole frames, each put together from its pieces."""
    whole: list[Frame] = []
    begun: list[Frame] = []
    for piece in (item for item in seen if isinstance(item, Frame)):
        begun.append(piece)
        if piece.last:
            payload = b"".join(part.payload for part in begun)
            whole.append(Frame(begun[0].head, payload, True, piece.inflated))
            begun = []
    return whole


def read(pieces: list[bytes], deflate: Deflate | None = None) -> list[Seen]:
    reader = FrameReader(deflate)
    return [item for piece in pieces for item in reader.feed(piece)] + reader.eof()


def on_the_wire(seen: list[Seen]) -> bytes:
    """The bytes that frames were made of."""
    out, key, offset = b"", b"", 0
    for item in seen:
        out += item.data if isinstance(item, Unread) else b""
        if isinstance(item, Frame):
            if item.head:
                key, offset = (item.head[-4:] if item.head[1] & 0x80 else b""), 0
            out += item.head + (unmask(item.payload, key, offset) if key else item.payload)
            offset += len(item.payload)
    return out


def write(frames: list[TheirFrame], *, mask: bool) -> bytes:
    return b"".join(frame.serialize(mask=mask) for frame in frames)


@pytest.mark.slow
@fuzz
@given(st.lists(their_frames, max_size=6), st.booleans(), st.data())
def test_frames_are_read_the_same_wherever_they_are_cut_and_give_back_their_bytes(
    frames: list[TheirFrame], mask: bool, data: st.DataObject
) -> None:
    stream = write(frames, mask=mask)

    seen = read(data.draw(cuts(stream)))

    assert [f.payload for f in frames_of(seen)] == [f.data for f in frames]
    assert [f.head[0] & 0x8F for f in frames_of(seen)] == [f.fin << 7 | f.opcode for f in frames]
    assert on_the_wire(seen) == stream


@pytest.mark.slow
@fuzz
@given(damaged([write([TheirFrame(Opcode.TEXT, b"{}" * 90)] * 3, mask=m) for m in (True, False)]))
def test_whatever_comes_nothing_raises_and_no_byte_is_dropped(stream: bytes) -> None:
    seen = read([stream[:50], stream[50:]])

    assert on_the_wire(seen) == stream


@pytest.mark.parametrize("mask", [True, False])
def test_a_frame_comes_out_as_far_as_it_has_come_and_half_a_header_is_held(mask: bool) -> None:
    reader = FrameReader()
    stream = write([TheirFrame(Opcode.TEXT, b"a" * 300)], mask=mask)
    header = 8 if mask else 4

    seen = [reader.feed(piece) for piece in bytewise(stream[: header - 1])]
    held = reader.held
    pieces = [reader.feed(piece) for piece in bytewise(stream[header - 1 :])]

    assert (seen, held) == ([[]] * (header - 1), stream[: header - 1])
    assert pieces[0] == [Frame(stream[:header], b"", False)]
    assert pieces[1:] == [[Frame(b"", b"a", n == 299)] for n in range(300)]


def test_the_frames_of_a_fragmented_message_come_one_by_one_with_the_ping_between() -> None:
    frames = [
        TheirFrame(Opcode.TEXT, b"a", fin=False),
        TheirFrame(Opcode.PING, b"?"),
        TheirFrame(Opcode.CONT, b"b"),
        TheirFrame(Opcode.TEXT, b"c"),
    ]

    seen = read([write(frames, mask=False)])

    assert seen == [
        Frame(b"\x01\x01", b"a"),
        Frame(b"\x89\x01", b"?"),
        Frame(b"\x80\x01", b"b"),
        Frame(b"\x81\x01", b"c"),
    ]


def test_half_a_header_is_given_out_at_the_end() -> None:
    seen = read([write([TheirFrame(Opcode.TEXT, b"a", fin=False)], mask=False) + b"\x81"])

    assert seen == [
        Frame(b"\x01\x01", b"a"),
        Unread(b"\x81", "cut off inside the header of a frame"),
    ]


def test_a_ping_in_pieces_inside_a_compressed_message_is_not_taken_for_a_part_of_it() -> None:
    packed = pack(TEXTS[0])
    half = len(packed) // 2
    first = b"\x41" + bytes((half,)) + packed[:half]
    last = b"\x80" + bytes((len(packed) - half,)) + packed[half:]

    seen = read([first + b"\x89\x04pi", b"ng" + last], Deflate())

    assert [f.inflated for f in frames_of(seen)] == [None, None, TEXTS[0]]


@pytest.mark.parametrize("mask", [True, False])
def test_a_long_frame_comes_in_pieces_with_its_head_on_the_first(mask: bool) -> None:
    data = bytes(range(256)) * 8192
    stream = write([TheirFrame(Opcode.BINARY, data), TheirFrame(Opcode.TEXT, b"!")], mask=mask)

    seen = read([stream[i : i + 65537] for i in range(0, len(stream), 65537)])

    pieces = [item for item in seen if isinstance(item, Frame)][:-1]
    assert [f.payload for f in frames_of(seen)] == [data, b"!"]
    assert [bool(p.head) for p in pieces] == [True] + [False] * (len(pieces) - 1)
    assert [p.last for p in pieces] == [False] * (len(pieces) - 1) + [True]
    assert on_the_wire(seen) == stream


def test_a_long_frame_that_is_cut_off_says_how_much_is_missing() -> None:
    stream = write([TheirFrame(Opcode.BINARY, bytes(2 << 20))], mask=False)

    *_, remark = read([stream[:-7]])

    assert remark == Unread(b"", "7 bytes of the last frame are missing")


def test_a_length_without_end_makes_the_rest_unreadable() -> None:
    stream = b"\x81\x01a\x82\x7f" + b"\xff" * 8
    reader = FrameReader()

    assert reader.feed(stream + b"rest") == [
        Frame(b"\x81\x01", b"a"),
        Unread(stream[3:] + b"rest", "a frame whose length has no end"),
    ]
    assert reader.feed(b"more") == [Unread(b"more", "behind bytes that are not a frame")]


def test_the_fragments_before_bytes_that_are_no_frame_come_before_them() -> None:
    no_frame = b"\x00\x7f" + b"\xff" * 8

    fragments, unread = FrameReader().feed(b"\x01\x01a" + no_frame)

    assert fragments == Frame(b"\x01\x01", b"a")
    assert unread == Unread(no_frame, "a frame whose length has no end")


TEXTS = [b'{"type":"progress","data":{"value":%d,"max":20}}' % i for i in range(20)]


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("parts", [1, 3])
def test_compressed_messages_are_inflated_beside_what_was_sent(takeover: bool, parts: int) -> None:
    deflate = PerMessageDeflate(not takeover, not takeover, 15, 15)
    stream = b""
    for text in TEXTS:
        size = len(text) // parts + 1
        cut = [text[i : i + size] for i in range(0, len(text), size)]
        for number, piece in enumerate(cut):
            opcode = Opcode.TEXT if number == 0 else Opcode.CONT
            frame = TheirFrame(opcode, piece, fin=number == len(cut) - 1)
            stream += frame.serialize(mask=True, extensions=[deflate])

    seen = read([stream], Deflate(takeover=takeover))

    assert [f.inflated for f in frames_of(seen) if f.inflated is not None] == TEXTS
    assert on_the_wire(seen) == stream


def test_packed_and_plain_messages_may_be_mixed() -> None:
    deflate = PerMessageDeflate(False, False, 15, 15)
    packed = [TheirFrame(Opcode.TEXT, t).serialize(mask=False, extensions=[deflate]) for t in TEXTS]
    plain = TheirFrame(Opcode.TEXT, b"plain").serialize(mask=False)

    seen = read([packed[0] + plain + packed[1]], Deflate())

    assert [f.inflated for f in frames_of(seen)] == [TEXTS[0], None, TEXTS[1]]


def pack(message: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(message) + packer.flush(zlib.Z_SYNC_FLUSH)
    return data[:-4]


def frame_of(payload: bytes) -> bytes:
    return b"\xc1\x7f" + len(payload).to_bytes(8, "big") + payload


def test_a_sender_may_close_its_stream_and_go_on() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    closed = packer.compress(b"first " * 20) + packer.flush(zlib.Z_FINISH)

    seen = read([frame_of(closed + b"\0") + frame_of(pack(b"second"))], Deflate())

    assert [f.inflated for f in frames_of(seen)] == [b"first " * 20, b"second"]


def test_a_bomb_is_kept_as_it_was_sent_and_the_next_message_still_inflates() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(INFLATED_MAX + 1)) + packer.flush(zlib.Z_SYNC_FLUSH)
    after = packer.compress(b"\0\0\0ok") + packer.flush(zlib.Z_SYNC_FLUSH)

    remark, first, second = read([frame_of(bomb[:-4]) + frame_of(after[:-4])], Deflate())

    assert isinstance(remark, Unread)
    assert f"more than {INFLATED_MAX} bytes" in remark.why
    assert isinstance(first, Frame) and isinstance(second, Frame)
    assert (first.payload, first.inflated, second.inflated) == (bomb[:-4], None, b"\0\0\0ok")


def test_what_cannot_be_inflated_is_said_once_and_kept() -> None:
    junk = frame_of(b"\xff\xff\xff\xff")

    seen = read([junk + junk], Deflate())

    assert [type(item) for item in seen] == [Unread, Frame, Frame]
    assert [f.payload for f in frames_of(seen)] == [b"\xff\xff\xff\xff"] * 2


NEGOTIATIONS = {
    b"": (None, None),
    b"permessage-deflate": (Deflate(), Deflate()),
    b"x-other, Permessage-Deflate; server_no_context_takeover": (
        Deflate(),
        Deflate(takeover=False),
    ),
    b"permessage-deflate; client_no_context_takeover; server_max_window_bits=9": (
        Deflate(takeover=False),
        Deflate(),
    ),
}


@pytest.mark.parametrize("line, agreed", NEGOTIATIONS.items())
def test_the_answer_says_what_was_agreed(
    line: bytes, agreed: tuple[Deflate | None, Deflate | None]
) -> None:
    head = b"HTTP/1.1 101 X\r\nSec-WebSocket-Extensions: " + line + b"\r\n\r\n"

    assert negotiated(head) == agreed
