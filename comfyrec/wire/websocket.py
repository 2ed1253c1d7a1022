"""bytes -> WebSocket frames, one direction, the same wherever the bytes were cut.

A frame is kept as it was sent: its header, its payload unmasked but not inflated. Rules of the
protocol that a frame breaks (a reserved opcode, a fragmented ping) do not matter here; only what
has no end is unreadable. Nothing raises.

What has come of a frame is given out at once, so that it can be written down before it is passed
on; only a header that is not complete yet is held (``held``), and goes on with what completes it.

Strategy: almost all frames that a ComfyUI server sends are whole, short and unmasked, and many come
in one read. They take a path of their own, without a call per frame.

Sources: RFC 6455 section 5 (frames), RFC 7692 section 7 (permessage-deflate).
"""

from __future__ import annotations

import zlib
from typing import Final, final

import msgspec

from comfyrec.wire.http1_heads import field_values

__all__ = ["Deflate", "Frame", "FrameReader", "Unread", "negotiated", "unmask"]

INFLATED_MAX: Final = 16 * 1024 * 1024
"""Bytes of one inflated message that are kept: four times what aiohttp takes."""
DISCARDED_MAX: Final = 4 * INFLATED_MAX
"""Bytes of one message that are inflated only to keep the window of the next one right."""


@final
class Frame(msgspec.Struct, frozen=True, gc=False):
    """One frame, or a piece of one, as in ``WsFrame``."""

    head: bytes
    """The frame header as sent; empty on the later pieces of a frame."""
    payload: bytes
    """Unmasked."""
    last: bool = True
    """False: the payload goes on in the next piece."""
    inflated: bytes | None = None
    """On the last piece of a message that permessage-deflate compressed: the whole message, or None
    where it could not be inflated."""


@final
class Unread(msgspec.Struct, frozen=True):
    """Bytes that are no frames, or (``data`` empty) a remark on what could not be read."""

    data: bytes
    why: str


class Deflate(msgspec.Struct, frozen=True):
    """What permessage-deflate was agreed for one direction."""

    takeover: bool = True
    """The window of one message goes on in the next."""


def negotiated(response_head: bytes) -> tuple[Deflate | None, Deflate | None]:
    """What a 101 agrees on, for client and server frames: (None, None) without deflate."""
    values = field_values(response_head.lower(), b"sec-websocket-extensions")
    for extension in b",".join(values).split(b","):
        name, *parameters = (part.strip(b" \t") for part in extension.split(b";"))
        if name == b"permessage-deflate":
            return (
                Deflate(takeover=b"client_no_context_takeover" not in parameters),
                Deflate(takeover=b"server_no_context_takeover" not in parameters),
            )
    return None, None


def unmask(payload: bytes, key: bytes, offset: int = 0) -> bytes:
    """Undo a client's mask; ``offset`` bytes of the frame's payload came before."""
    size = len(payload)
    if not size:
        return payload
    turn = offset & 3
    if turn:
        key = key[turn:] + key[:turn]
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(
        size, "little"
    )


class _Inflater:
    """The window of one direction, and the message that is under way."""

    def __init__(self, deflate: Deflate) -> None:
        self._takeover = deflate.takeover
        self._window = zlib.decompressobj(-15)
        self._out = bytearray()
        self._discarded = 0
        self._broken = False
        self.remark = ""
        """Why a message could not be inflated; whoever reads it empties it."""

    def more(self, payload: bytes) -> None:
        """Inflate a piece of a message."""
        room = INFLATED_MAX - len(self._out)
        while payload and not self._broken:
            try:
                piece = self._window.decompress(payload, max(room, 65536))
            except zlib.error as trouble:
                self._break(f"it cannot be inflated: {trouble}")
                return
            payload = self._window.unconsumed_tail
            room -= len(piece)
            if room >= 0:
                self._out += piece
            else:
                self._discarded += len(piece)
                if self._discarded > DISCARDED_MAX:
                    self._break(f"it inflates to more than {DISCARDED_MAX} bytes")
            if self._window.eof:  # a sender may close its stream; RFC 7692 section 7.2.3.4
                payload = self._window.unused_data
                self._window = zlib.decompressobj(-15, zdict=bytes(self._out[-32768:]))

    def end(self) -> bytes | None:
        """The whole message, or None when it could not be inflated or is too long to keep."""
        self.more(b"\x00\x00\xff\xff")
        if self._discarded and not self._broken:
            self.remark = f"it inflates to more than {INFLATED_MAX} bytes"
        whole = None if self._broken or self._discarded else bytes(self._out)
        self._out.clear()
        self._discarded = 0
        if not self._takeover:
            self._window, self._broken = zlib.decompressobj(-15), False
        return whole

    def _break(self, why: str) -> None:
        # With takeover the window of all later messages is gone too.
        self._broken, self.remark = True, why


# First bytes that need no second look: FIN set, nothing reserved, text, binary, close, ping, pong.
_PLAIN: Final = frozenset((0x81, 0x82, 0x88, 0x89, 0x8A))


class FrameReader:
    """One direction of a WebSocket."""

    def __init__(self, deflate: Deflate | None = None) -> None:
        self._inflater = _Inflater(deflate) if deflate is not None else None
        self.held = b""
        """The bytes of a header that is not complete yet; 13 at most."""
        # Of the frame that is under way: what is left of it, its key, what came before, its bits.
        self._left = 0
        self._key = b""
        self._offset = 0
        self._first = 0
        self._packed = False
        self.dead = False

    def feed(self, data: bytes) -> list[Frame | Unread]:
        """Read on: what came of frames, in the order of the wire."""
        if self.dead:
            return [Unread(data, "behind bytes that are not a frame")]
        if self.held:
            data = self.held + data
        seen: list[Frame | Unread] = []
        at, end = 0, len(data)
        if self._left:
            at = self._go_on(data, 0, seen)
        keep = seen.append
        while at < end - 1:
            start = at + 2
            size = data[at + 1]
            if size == 126 and at + 4 <= end:
                start = at + 4
                size = data[at + 2] << 8 | data[at + 3]
            elif size > 125:  # a mask or a long frame
                start = end + 1
            stop = start + size
            if stop <= end and data[at] in _PLAIN:
                keep(Frame(data[at:start], data[start:stop]))
                at = stop
                continue
            reached = self._begin(data, at, seen)
            if reached == at:
                break
            at = reached
        self.held = data[at:] if at < end else b""
        return seen

    def eof(self) -> list[Frame | Unread]:
        """The sender has said its last: what is missing of an unfinished frame."""
        seen: list[Frame | Unread] = []
        if self.held:
            seen.append(Unread(self.held, "cut off inside the header of a frame"))
            self.held = b""
        elif self._left:
            seen.append(Unread(b"", f"{self._left} bytes of the last frame are missing"))
        self._left, self.dead = 0, True
        return seen

    def _begin(self, data: bytes, at: int, seen: list[Frame | Unread]) -> int:
        """Any frame at all: the position behind what came of it, or ``at`` when its header is not
        complete."""
        second = data[at + 1]
        size = second & 127
        start = at + 2
        if size > 125:
            start += 2 if size == 126 else 8
        stop = start + (4 if second & 128 else 0)
        if stop > len(data):
            return at
        if size > 125:
            size = int.from_bytes(data[at + 2 : start], "big")
        if size >> 63:  # RFC 6455 section 5.2: the most significant bit must be 0
            self.dead = True
            seen.append(Unread(data[at:], "a frame whose length has no end"))
            return len(data)
        self._first = first = data[at]
        if first & 0x0F and not first & 0x08:  # the first frame of a message says how it is packed
            self._packed = bool(first & 0x40)
        self._left, self._key, self._offset = size, data[start:stop], 0
        return self._go_on(data, stop, seen, data[at:stop])

    def _go_on(self, data: bytes, at: int, seen: list[Frame | Unread], head: bytes = b"") -> int:
        """Give out what is there of the frame that is under way."""
        upto = min(len(data), at + self._left)
        payload = data[at:upto]
        if self._key:
            payload = unmask(payload, self._key, self._offset)
        self._left -= upto - at
        self._offset += upto - at
        inflated = self._inflated(payload, seen)
        seen.append(Frame(head, payload, not self._left, inflated))
        return upto

    def _inflated(self, payload: bytes, seen: list[Frame | Unread]) -> bytes | None:
        """The whole message, when this is its last piece and it was compressed."""
        if not self._packed or self._inflater is None or self._first & 0x08:
            return None
        self._inflater.more(payload)
        if self._left or not self._first & 0x80:
            return None
        whole = self._inflater.end()
        if self._inflater.remark:
            why, self._inflater.remark = self._inflater.remark, ""
            seen.append(Unread(b"", f"a compressed message is kept as it was sent: {why}"))
        return whole
