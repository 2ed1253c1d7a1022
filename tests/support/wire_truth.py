"""Compare a cassette with what the torture tools' ``--truth`` says crossed the upstream's wire.

    python tests/proxy/truth.py CASSETTE TRUTH

The truth of ``ws_conformance.py`` has one line per connection, that of ``http_conformance.py`` one
per exchange. Prints each difference; exit status 0 when there is none.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from comfyrec.cassette.files import open_cassette
from comfyrec.cassette.records import AnyRecord, HttpPart, Side, WsFrame

Message = list[Any]


def short_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


class Exchange:
    """One request or answer, put together from its parts."""

    def __init__(self) -> None:
        self.head, self.body, self.trailers = b"", b"", b""
        self.interim = b""
        self.chunks: list[int] = []
        self.redacted = 0

    def add(self, part: HttpPart) -> None:
        self.interim += self.head if part.head else b""
        self.head = part.head or self.head
        self.body += part.body
        self.trailers += part.trailers
        self.chunks += part.chunks
        self.redacted += part.redacted

    def on_the_wire(self) -> bytes:
        """The body as it was sent, its chunks included."""
        if b"chunked" not in self.head.lower():
            return self.body
        pieces, at = [], 0
        for size in self.chunks:
            pieces.append(b"%x\r\n%s\r\n" % (size, self.body[at : at + size]))
            at += size
        return b"".join([*pieces, b"0\r\n", self.trailers, b"\r\n"])


class Wire:
    """What a cassette says of each connection."""

    def __init__(self, records: Iterable[AnyRecord]) -> None:
        self.exchanges: dict[tuple[int, int, Side], Exchange] = defaultdict(Exchange)
        self.frames: dict[tuple[int, Side], list[Message]] = defaultdict(list)
        self._payloads: dict[tuple[int, Side], list[bytes]] = defaultdict(list)
        for record in records:
            if isinstance(record, HttpPart):
                self.exchanges[record.conn, record.exchange, record.side].add(record)
            elif isinstance(record, WsFrame):
                self._frame(record)

    def _frame(self, record: WsFrame) -> None:
        key = record.conn, record.side
        if record.head:
            first = record.head[0]
            self.frames[key].append([first >> 7, first >> 4 & 7, first & 15, 0, ""])
        self._payloads[key].append(record.payload)
        if record.last:
            payload = b"".join(self._payloads.pop(key))
            self.frames[key][-1][3:] = [len(payload), short_hash(payload)]

    def conns_of(self, mark: bytes) -> list[tuple[int, int]]:
        """(connection, exchange) of the requests whose head holds a mark."""
        return [
            (conn, number)
            for (conn, number, side), exchange in self.exchanges.items()
            if side == Side.CLIENT and mark in exchange.head
        ]


def differences(wire: Wire, rows: Iterable[dict[str, Any]]) -> list[str]:
    """What the cassette says otherwise than the truth, in words."""
    return [
        f"{row['case']!r}: {why}"
        for row in rows
        for why in (_frames_differ(wire, row) if "c2s" in row else _exchange_differs(wire, row))
    ]


def _frames_differ(wire: Wire, row: dict[str, Any]) -> list[str]:
    found = wire.conns_of(row["target"].encode("latin-1"))
    if len(found) != 1:
        return [f"{len(found)} connections in the cassette"]
    conn = found[0][0]
    # The peer may not have read the last frames that a client sent; what it sent went through.
    ours = wire.frames[conn, Side.CLIENT][: len(row["c2s"])]
    theirs = wire.frames[conn, Side.SERVER][: len(row["s2c"])]
    return [
        f"{name}: frame {_first_difference(got, want)} of {len(want)}"
        for name, got, want in (("c2s", ours, row["c2s"]), ("s2c", theirs, row["s2c"]))
        if got != want
    ]


def _first_difference(got: list[Message], want: list[Message]) -> int:
    pairs = enumerate(zip(got, want, strict=False))
    return next((i for i, (ours, true) in pairs if ours != true), len(got))


def _exchange_differs(wire: Wire, row: dict[str, Any]) -> list[str]:
    request = row["request"].encode("latin-1")
    mark = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"x-case:"))
    found = wire.conns_of(mark + b"\r\n")
    if len(found) != 1:
        return [f"{len(found)} such requests in the cassette"]
    sent = wire.exchanges[*found[0], Side.CLIENT]
    came = wire.exchanges[*found[0], Side.SERVER]
    # A secret is blanked out; its size is kept.
    same = (lambda a, b: len(a) == len(b)) if sent.redacted or came.redacted else bytes.__eq__
    facts = [
        ("the request's head", same(sent.head, request)),
        ("the request's body", short_hash(sent.body) == row["request_body_sha"]),
        ("the answer's head", same(came.interim + came.head, _answer_head(row))),
        ("the answer's body", _is_body(came, row)),
    ]
    return [f"{name} differs" for name, holds in facts if not holds]


def _answer_head(row: dict[str, Any]) -> bytes:
    return row["response"].encode("latin-1") + b"\r\n\r\n"


def _is_body(came: Exchange, row: dict[str, Any]) -> bool:
    if not row["response_body_len"]:
        return not came.body
    return short_hash(came.on_the_wire()) == row["response_body_sha"]


def main(cassette: str, truth: str) -> int:
    rows = [json.loads(line) for line in Path(truth).read_text().splitlines()]
    with open_cassette(cassette) as reader:
        found = differences(Wire(reader), rows)
    for line in found:
        print(line)  # noqa: T201 -- run by hand
    print(f"{len(rows)} rows of truth, {len(found)} differences")  # noqa: T201 -- run by hand
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
