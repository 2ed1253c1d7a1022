"""bytes -> WebSocket frames, one direction, the same wherever the bytes were cut.

A frame is kept as it was sent: its header, its payload unmasked but not inflated. Rules of the
protocol that a frame breaks (a reserved opcode, a fragmented ping) do not matter here; only what
has no end is unreadable. Nothing raises.

Strategy: almost all frames that a ComfyUI server sends are whole, short and unmasked, and many come
in one read. They take a path of their own, without a call per frame, and a frame is a plain tuple.

Sources: RFC 6455 section 5 (frames), RFC 7692 section 7 (permessage-deflate).
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec

from comfyrec.wire.http1 import field_values

__all__ = ["Deflate", "Fragments", "Frame", "FrameReader", "Unread", "negotiated", "unmask"]

HOLD_MAX: Final = 1024 * 1024
"""Bytes of a message that are held until it is whole; a longer one comes in pieces. aiohttp takes
4 MiB at most, the `websockets` package 1 MiB."""
FRAGMENTS_MAX: Final = 4096
"""Frames of a message that are held until it is whole."""
INFLATED_MAX: Final = 16 * 1024 * 1024
"""Bytes of one inflated message that are kept: four times what aiohttp takes."""
DISCARDED_MAX: Final = 4 * INFLATED_MAX
"""Bytes of one message that are inflated only to keep the window of the next one right."""

Frame = tuple[bytes, bytes, bool, bytes | None]
"""``(head, payload, last, inflated)``, as in ``WsFrame``: the frame header as sent, the payload
unmasked, False when the payload goes on in the next tuple, and on the final frame of a message that
permessage-deflate compressed the whole message, or None where it could not be inflated."""


class Fragments(msgspec.Struct, frozen=True):
    """The frames of one fragmented message, with the control frames that came between them."""

    frames: list[Frame]


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
_NOTHING: Final = frozenset[int]()


class FrameReader:
    """One direction of a WebSocket."""

    def __init__(self, deflate: Deflate | None = None) -> None:
        self._inflater = _Inflater(deflate) if deflate is not None else None
        self._held: list[bytes] = []
        self._have = 0
        self._need = 2
        # A frame that is longer than HOLD_MAX: what is left of it, its key, what came before.
        self._left = 0
        self._key = b""
        self._offset = 0
        # A message of which frames are held, or (streaming) given out one by one.
        self._parts: list[Frame] = []
        self._size = 0
        self._open = False
        self._packed = False
        self.dead = False

    def feed(self, data: bytes) -> list[Frame | Fragments | Unread]:
        """Read on: what became whole, in the order of the wire."""
        if self.dead:
            return [Unread(data, "behind bytes that are no frame")]
        if self._held:
            self._held.append(data)
            self._have += len(data)
            if self._have < self._need:
                return []
            data = b"".join(self._held)
            self._held.clear()
        seen: list[Frame | Fragments | Unread] = []
        at, end = 0, len(data)
        if self._left:
            at = self._go_on(data, 0, seen)
        keep, plain = seen.append, self._plain
        while at < end - 1:
            start = at + 2
            size = data[at + 1]
            if size == 126:
                start = at + 4
                if start > end:
                    self._need = 4
                    break
                size = data[at + 2] << 8 | data[at + 3]
            elif size > 126:  # a mask or a long frame
                plain = _NOTHING
            if data[at] not in plain:
                reached = self._slow(data, at, seen)
                plain = self._plain
                if reached == at:
                    break
                at = reached
                continue
            stop = start + size
            if stop > end:
                self._need = stop - at
                break
            keep((data[at:start], data[start:stop], True, None))
            at = stop
        else:
            self._need = 2
        if at < end:
            self._hold(data[at:] if at else data)
        return seen

    @property
    def _plain(self) -> frozenset[int]:
        """First bytes of the frames that may take the short way now."""
        return _NOTHING if self._open else _PLAIN

    def eof(self) -> list[Frame | Fragments | Unread]:
        """The sender has said its last: what was held of an unfinished message or frame."""
        seen: list[Frame | Fragments | Unread] = []
        self._let_go(seen)
        if self._held:
            seen.append(Unread(b"".join(self._held), "cut off inside a frame"))
            self._held.clear()
        elif self._left:
            seen.append(Unread(b"", f"{self._left} bytes of the last frame are missing"))
        self._left, self.dead = 0, True
        return seen

    def _hold(self, rest: bytes) -> None:
        self._held.append(rest)
        self._have = len(rest)

    def _slow(self, data: bytes, at: int, seen: list[Frame | Fragments | Unread]) -> int:
        """Any frame at all: the position behind it, or ``at`` when more bytes are needed."""
        second = data[at + 1]
        size = second & 127
        start = at + 2
        if size > 125:
            start += 2 if size == 126 else 8
        stop = start + (4 if second & 128 else 0)
        if stop > len(data):
            self._need = stop - at
            return at
        if size > 125:
            size = int.from_bytes(data[at + 2 : start], "big")
        if size >> 63:  # RFC 6455 section 5.2: the most significant bit must be 0
            self.dead = True
            self._let_go(seen)
            seen.append(Unread(data[at:], "a frame whose length has no end"))
            return len(data)
        head, key = data[at:stop], data[start:stop]
        if size > HOLD_MAX:
            return self._begin_long(data, stop, head, key, size, seen)
        start, stop = stop, stop + size
        if stop > len(data):
            self._need = stop - at
            return at
        payload = data[start:stop]
        self._whole(head, unmask(payload, key) if key else payload, seen)
        return stop

    def _whole(self, head: bytes, payload: bytes, seen: list[Frame | Fragments | Unread]) -> None:
        first = head[0]
        if first & 0x08:  # a control frame
            self._give((head, payload, True, None), seen)
            return
        self._starts(first)
        self._inflate(payload)
        inflated = self._inflated(seen) if first & 0x80 else None
        frame = (head, payload, True, inflated)
        final = bool(first & 0x80)
        self._open = not final or bool(self._parts)
        self._give(frame, seen, final=final)

    def _starts(self, first: int) -> None:
        if first & 0x0F:
            self._packed = bool(first & 0x40)

    def _inflated(self, seen: list[Frame | Fragments | Unread]) -> bytes | None:
        if not self._packed or self._inflater is None:
            return None
        whole = self._inflater.end()
        if self._inflater.remark:
            why, self._inflater.remark = self._inflater.remark, ""
            seen.append(Unread(b"", f"a compressed message is kept as it was sent: {why}"))
        return whole

    def _inflate(self, payload: bytes) -> None:
        if self._packed and self._inflater is not None:
            self._inflater.more(payload)

    def _give(
        self, frame: Frame, seen: list[Frame | Fragments | Unread], *, final: bool = False
    ) -> None:
        """Keep a frame with the message it stands in; give the message out when it is whole."""
        if not self._open:
            seen.append(frame)
            return
        self._parts.append(frame)
        self._size += len(frame[1])
        if final or self._size > HOLD_MAX or len(self._parts) >= FRAGMENTS_MAX:
            self._let_go(seen)
        self._open = not final

    def _let_go(self, seen: list[Frame | Fragments | Unread]) -> None:
        """Give out the frames that are held."""
        if self._parts:
            seen.append(Fragments(self._parts))
            self._parts, self._size = [], 0

    # A control frame of this size is against RFC 6455 section 5.5; it is read as data.
    def _begin_long(
        self,
        data: bytes,
        at: int,
        head: bytes,
        key: bytes,
        size: int,
        seen: list[Frame | Fragments | Unread],
    ) -> int:
        self._let_go(seen)
        self._starts(head[0])
        self._open = not head[0] & 0x80
        self._left, self._key, self._offset = size, key, 0
        return self._go_on(data, at, seen, head)

    def _go_on(
        self, data: bytes, at: int, seen: list[Frame | Fragments | Unread], head: bytes = b""
    ) -> int:
        """Give out a piece of a long frame."""
        upto = min(len(data), at + self._left)
        payload = data[at:upto]
        if self._key:
            payload = unmask(payload, self._key, self._offset)
        self._left -= upto - at
        self._offset += upto - at
        self._inflate(payload)
        inflated = None if self._left or self._open else self._inflated(seen)
        seen.append((head, payload, not self._left, inflated))
        return upto
