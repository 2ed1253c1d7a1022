"""WebSocket frames as they were sent, wherever they are cut; against websockets' own writer."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode

from comfyrec.wire.websocket import (
    FRAGMENTS_MAX,
    HOLD_MAX,
    INFLATED_MAX,
    Deflate,
    Fragments,
    Frame,
    FrameReader,
    Unread,
    negotiated,
    unmask,
)
from tests.support.cutting import bytewise, cuts, damaged, fuzz

Seen = Frame | Fragments | Unread

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


def frames_of(seen: list[Seen]) -> Iterator[Frame]:
    for item in seen:
        if isinstance(item, Fragments):
            yield from item.frames
        elif isinstance(item, tuple):
            yield item


def read(pieces: list[bytes], deflate: Deflate | None = None) -> list[Seen]:
    reader = FrameReader(deflate)
    return [item for piece in pieces for item in reader.feed(piece)] + reader.eof()


def on_the_wire(seen: list[Seen]) -> bytes:
    """The bytes that frames were made of."""
    out, key, offset = b"", b"", 0
    for item in seen:
        out += item.data if isinstance(item, Unread) else b""
        for head, payload, _, _ in frames_of([item]):
            if head:
                key, offset = (head[-4:] if head[1] & 0x80 else b""), 0
            out += head + (unmask(payload, key, offset) if key else payload)
            offset += len(payload)
    return out


def write(frames: list[TheirFrame], *, mask: bool) -> bytes:
    return b"".join(frame.serialize(mask=mask) for frame in frames)


@fuzz
@given(st.lists(their_frames, max_size=6), st.booleans(), st.data())
def test_frames_are_read_the_same_wherever_they_are_cut_and_give_back_their_bytes(
    frames: list[TheirFrame], mask: bool, data: st.DataObject
) -> None:
    stream = write(frames, mask=mask)

    seen = read(data.draw(cuts(stream)))

    assert [f[1] for f in frames_of(seen)] == [f.data for f in frames]
    assert [f[0][0] & 0x8F for f in frames_of(seen)] == [f.fin << 7 | f.opcode for f in frames]
    assert on_the_wire(seen) == stream


@fuzz
@given(damaged([write([TheirFrame(Opcode.TEXT, b"{}" * 90)] * 3, mask=m) for m in (True, False)]))
def test_whatever_comes_nothing_raises_and_no_byte_is_dropped(stream: bytes) -> None:
    seen = read([stream[:50], stream[50:]])

    assert on_the_wire(seen) == stream


def test_a_frame_of_a_server_comes_out_as_soon_as_its_last_byte_is_there() -> None:
    reader = FrameReader()
    stream = write([TheirFrame(Opcode.TEXT, b"a" * 300)], mask=False)

    assert [reader.feed(piece) for piece in bytewise(stream)[:-1]] == [[]] * (len(stream) - 1)
    assert reader.feed(stream[-1:]) == [(stream[:4], b"a" * 300, True, None)]


def test_the_frames_of_a_fragmented_message_come_together_with_the_ping_between() -> None:
    frames = [
        TheirFrame(Opcode.TEXT, b"a", fin=False),
        TheirFrame(Opcode.PING, b"?"),
        TheirFrame(Opcode.CONT, b"b"),
        TheirFrame(Opcode.TEXT, b"c"),
    ]

    whole, after = read([write(frames, mask=False)])

    assert isinstance(whole, Fragments)
    assert [f[1] for f in whole.frames] == [b"a", b"?", b"b"]
    assert after == (b"\x81\x01", b"c", True, None)


def test_a_message_that_is_never_finished_is_given_out_at_the_end() -> None:
    seen = read([write([TheirFrame(Opcode.TEXT, b"a", fin=False)], mask=False) + b"\x81"])

    assert seen == [
        Fragments([(b"\x01\x01", b"a", True, None)]),
        Unread(b"\x81", "cut off inside a frame"),
    ]


def test_too_many_fragments_are_not_held() -> None:
    frames = [TheirFrame(Opcode.BINARY, b"", fin=False)]
    frames += [TheirFrame(Opcode.CONT, b"", fin=False)] * FRAGMENTS_MAX
    reader = FrameReader()

    (given_out,) = reader.feed(write(frames, mask=False))

    assert isinstance(given_out, Fragments)
    assert len(given_out.frames) == FRAGMENTS_MAX


@pytest.mark.parametrize("mask", [True, False])
def test_a_long_frame_comes_in_pieces_with_its_head_on_the_first(mask: bool) -> None:
    data = bytes(range(256)) * (HOLD_MAX // 128)
    stream = write([TheirFrame(Opcode.BINARY, data), TheirFrame(Opcode.TEXT, b"!")], mask=mask)

    seen = read([stream[i : i + 65537] for i in range(0, len(stream), 65537)])

    *pieces, last, after = frames_of(seen)
    assert b"".join(p[1] for p in pieces) + last[1] == data
    assert [bool(p[0]) for p in pieces] == [True] + [False] * (len(pieces) - 1)
    assert (any(p[2] for p in pieces), last[2], after[1]) == (False, True, b"!")
    assert on_the_wire(seen) == stream


def test_a_long_frame_that_is_cut_off_says_how_much_is_missing() -> None:
    stream = write([TheirFrame(Opcode.BINARY, bytes(2 * HOLD_MAX))], mask=False)

    *_, remark = read([stream[:-7]])

    assert remark == Unread(b"", "7 bytes of the last frame are missing")


def test_a_length_without_end_makes_the_rest_unreadable() -> None:
    stream = b"\x81\x01a\x82\x7f" + b"\xff" * 8
    reader = FrameReader()

    assert reader.feed(stream + b"rest") == [
        (b"\x81\x01", b"a", True, None),
        Unread(stream[3:] + b"rest", "a frame whose length has no end"),
    ]
    assert reader.feed(b"more") == [Unread(b"more", "behind bytes that are no frame")]


def test_the_fragments_before_bytes_that_are_no_frame_come_before_them() -> None:
    no_frame = b"\x00\x7f" + b"\xff" * 8

    fragments, unread = FrameReader().feed(b"\x01\x01a" + no_frame)

    assert fragments == Fragments([(b"\x01\x01", b"a", True, None)])
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

    assert [f[3] for f in frames_of(seen) if f[3] is not None] == TEXTS
    assert on_the_wire(seen) == stream


def test_packed_and_plain_messages_may_be_mixed() -> None:
    deflate = PerMessageDeflate(False, False, 15, 15)
    packed = [TheirFrame(Opcode.TEXT, t).serialize(mask=False, extensions=[deflate]) for t in TEXTS]
    plain = TheirFrame(Opcode.TEXT, b"plain").serialize(mask=False)

    seen = read([packed[0] + plain + packed[1]], Deflate())

    assert [f[3] for f in frames_of(seen)] == [TEXTS[0], None, TEXTS[1]]


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

    assert [f[3] for f in frames_of(seen)] == [b"first " * 20, b"second"]


def test_a_bomb_is_kept_as_it_was_sent_and_the_next_message_still_inflates() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(INFLATED_MAX + 1)) + packer.flush(zlib.Z_SYNC_FLUSH)
    after = packer.compress(b"\0\0\0ok") + packer.flush(zlib.Z_SYNC_FLUSH)

    remark, first, second = read([frame_of(bomb[:-4]) + frame_of(after[:-4])], Deflate())

    assert isinstance(remark, Unread)
    assert f"more than {INFLATED_MAX} bytes" in remark.why
    assert isinstance(first, tuple) and isinstance(second, tuple)
    assert (first[1], first[3], second[3]) == (bomb[:-4], None, b"\0\0\0ok")


def test_what_cannot_be_inflated_is_said_once_and_kept() -> None:
    junk = frame_of(b"\xff\xff\xff\xff")

    seen = read([junk + junk], Deflate())

    assert [type(item) for item in seen] == [Unread, tuple, tuple]
    assert [f[1] for f in frames_of(seen)] == [b"\xff\xff\xff\xff"] * 2


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
