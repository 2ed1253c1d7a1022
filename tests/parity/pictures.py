"""Small PNG files to send, and what pictures and binary frames say of themselves."""

from __future__ import annotations

import json
import struct
import zlib


def make_png(size=(16, 16), color="808080", text=None) -> bytes:
    """A flat PNG; a colour of eight hex digits gives an RGBA image, six an RGB one."""
    width, height = size
    pixel = bytes.fromhex(str(color))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 6 if len(pixel) == 4 else 2, 0, 0, 0)
    notes = b"".join(
        chunk(b"tEXt", k.encode() + b"\0" + v.encode()) for k, v in (text or {}).items()
    )
    rows = zlib.compress((b"\0" + pixel * width) * height)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + notes
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def image_info(data: bytes) -> dict | None:
    """Format, size and what else the header of an image says; None if it is not an image."""
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        width, height, _, kind = struct.unpack(">IIBB", data[16:26])
        keys, at = [], 8
        while at + 8 <= len(data):
            length, name = struct.unpack(">I4s", data[at : at + 8])
            if name in (b"tEXt", b"iTXt", b"zTXt"):
                keys.append(data[at + 8 : at + 8 + length].split(b"\0")[0].decode("latin-1"))
            at += 12 + length
        mode = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}.get(kind, str(kind))
        return {"format": "png", "size": [width, height], "mode": mode, "text": sorted(keys)}
    if data[:2] == b"\xff\xd8":
        at = 2
        while at + 9 < len(data):
            marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                height, width = struct.unpack(">HH", data[at + 5 : at + 9])
                return {"format": "jpeg", "size": [width, height]}
            at += 2 + length
        return {"format": "jpeg", "size": None}
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        size = None
        if data[12:16] == b"VP8 ":
            size = [n & 0x3FFF for n in struct.unpack("<HH", data[26:30])]
        elif data[12:16] == b"VP8L":
            bits = struct.unpack("<I", data[21:25])[0]
            size = [(bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1]
        elif data[12:16] == b"VP8X":
            size = [
                int.from_bytes(data[24:27], "little") + 1,
                int.from_bytes(data[27:30], "little") + 1,
            ]
        return {"format": "webp", "size": size}
    return None


def read_binary_frame(data: bytes) -> dict:
    """A binary websocket frame as plain data: its event number, its header fields, its image."""
    if len(data) < 4:
        return {"type": "<binary>", "data": {"bytes": len(data)}}
    event, rest = struct.unpack(">I", data[:4])[0], data[4:]
    if event == 1 and len(rest) >= 4:
        fields: dict = {"format": struct.unpack(">I", rest[:4])[0], "image": image_info(rest[4:])}
    elif event in (3, 4) and len(rest) >= 4:
        size = struct.unpack(">I", rest[:4])[0]
        head, tail = rest[4 : 4 + size], rest[4 + size :]
        if event == 3:
            fields = {
                "node": head.decode("utf-8", "replace"),
                "text": tail.decode("utf-8", "replace"),
            }
        else:
            try:
                fields = {"meta": json.loads(head), "image": image_info(tail)}
            except ValueError:
                fields = {"meta": "<not json>"}
    else:
        fields = {"bytes": len(rest)}
    return {"type": f"<binary {event}>", "data": fields}
