"""A recording with large bodies: an upload, and a view of a file that the server made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from comfyrec.cassette.records import AnyRecord, End, HttpPart, Session, Side

__all__ = ["LIVE", "MADE", "RECORDED", "SIZE", "large_records", "upload_form"]

SIZE: Final = 1_300_000
RECORDED, MADE, LIVE = (bytes([n]) * SIZE for n in (1, 2, 3))
_PIECE: Final = 400_000


def upload_form(image: bytes, name: str) -> bytes:
    """The body of an upload."""
    head = b'--B\r\nContent-Disposition: form-data; name="image"; filename="%b"\r\n' % name.encode()
    return head + b"Content-Type: image/png\r\n\r\n" + image + b"\r\n--B--\r\n"


def large_records() -> Iterator[AnyRecord]:
    """The recording, its bodies in pieces."""
    sent = upload_form(RECORDED, "recorded.png")
    said = b'{"name": "recorded.png", "subfolder": "", "type": "input"}'
    post = b"POST /upload/image HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=B\r\n\r\n"
    exchanges = [
        (post, sent, b"application/json", said),
        (b"GET /view?filename=made.png HTTP/1.1\r\n\r\n", b"", b"image/png", MADE),
    ]
    yield Session(0, 1)
    seq = 0
    for conn, (asked, body, kind, answer) in enumerate(exchanges, 1):
        for side, head, whole in (
            (Side.CLIENT, asked, body),
            (Side.SERVER, b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n" % kind, answer),
        ):
            for at in range(0, max(len(whole), 1), _PIECE):
                seq += 1
                piece, last = whole[at : at + _PIECE], at + _PIECE >= len(whole)
                yield HttpPart(seq, conn, conn, side, 0, b"" if at else head, piece, last=last)
    yield End(seq + 1, 3, seq + 2)
