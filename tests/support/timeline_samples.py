"""Records by hand: a recording in a few lines, for the timeline and for replays."""

from __future__ import annotations

import json
from typing import Any

from comfyrec.cassette.records import AnyRecord, Closed, End, HttpPart, Session, Side, WsFrame

CLIENT, SERVER = Side.CLIENT, Side.SERVER


class Recording:
    """Records in the order of the calls, one millisecond apart unless ``wait`` is called."""

    def __init__(self, **about: Any) -> None:
        self.records: list[AnyRecord] = []
        self.t = 1_000_000
        self.put(Session, about=about)

    def put(self, kind: Any, **fields: Any) -> None:
        self.records.append(kind(seq=len(self.records), t=self.t, **fields))
        self.t += 1_000

    def wait(self, microseconds: int) -> None:
        self.t += microseconds

    def request(
        self, conn: int, method: str, target: str, body: Any = b"", exchange: int = 0
    ) -> None:
        head = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:8188\r\n\r\n".encode()
        self._part(conn, CLIENT, exchange, head, body)

    def answer(
        self, conn: int, body: Any = b"", status: int = 200, exchange: int = 0, headers: str = ""
    ) -> None:
        head = f"HTTP/1.1 {status} OK\r\n{headers}\r\n".encode()
        self._part(conn, SERVER, exchange, head, body)

    def _part(self, conn: int, side: Side, exchange: int, head: bytes, body: Any) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.put(HttpPart, conn=conn, side=side, exchange=exchange, head=head, body=data)

    def row(self, conn: int, kind: str, *pieces: bytes, pause: int = 500_000) -> None:
        """An answer of chunks, each after a pause; the last one is its end."""
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        for number, piece in enumerate((b"", *pieces, b"")):
            self.put(
                HttpPart,
                conn=conn,
                side=SERVER,
                exchange=0,
                head=b"" if number else head.encode(),
                body=piece,
                last=number > len(pieces),
            )
            self.wait(pause)

    def asked(
        self, conn: int, method: str, target: str, body: Any = b"", answer: Any = b""
    ) -> None:
        """A request and its answer on a connection of their own."""
        self.request(conn, method, target, body)
        self.answer(conn, answer)

    def upgrade(self, conn: int, client_id: str | None = "recorded", status: int = 101) -> None:
        query = "" if client_id is None else f"?clientId={client_id}"
        head = (
            f"GET /ws{query} HTTP/1.1\r\nHost: 127.0.0.1:8188\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        self._part(conn, CLIENT, 0, head.encode(), b"")
        self.answer(conn, status=status)

    def frame(
        self,
        conn: int,
        payload: bytes,
        *,
        side: Side = SERVER,
        opcode: int = 1,
        fin: bool = True,
        rsv1: bool = False,
        begins: bool = True,
        **more: Any,
    ) -> None:
        first = opcode | (0x80 if fin else 0) | (0x40 if rsv1 else 0)
        head = bytes((first, 0)) if begins else b""
        self.put(WsFrame, conn=conn, side=side, head=head, payload=payload, **more)

    def says(self, conn: int, kind: str, **data: Any) -> None:
        self.frame(conn, json.dumps({"type": kind, "data": data}).encode())

    def status(self, conn: int, remaining: int, **more: Any) -> None:
        self.says(conn, "status", status={"exec_info": {"queue_remaining": remaining}}, **more)

    def closed(self, conn: int, side: Side, how: str = "eof") -> None:
        self.put(Closed, conn=conn, side=side, how=how)

    def end(self) -> list[AnyRecord]:
        self.put(End, records=len(self.records) + 1)
        return self.records


GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "color": 1}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
PROMPT = "c0ffee00-0000-4000-8000-000000000001"
OUTPUT = {"images": [{"filename": "a_1.png", "subfolder": "", "type": "output"}]}


def run(
    recording: Recording,
    *,
    prompt_id: str = PROMPT,
    graph: dict[str, Any] = GRAPH,
    client_id: str | None = "recorded",
    socket: int = 1,
    conn: int = 2,
    number: int = 0,
) -> Recording:
    """One whole prompt of an idle server, as its socket sees it."""
    body = {"prompt": graph, **({"client_id": client_id} if client_id else {})}
    answer = {"prompt_id": prompt_id, "number": number, "node_errors": {}}
    recording.request(conn, "POST", "/prompt", body)
    recording.answer(conn, answer, headers="Content-Type: application/json\r\n")
    recording.status(socket, 1)
    recording.status(socket, 1)
    recording.says(socket, "execution_start", prompt_id=prompt_id, timestamp=1)
    recording.says(socket, "execution_cached", nodes=["1"], prompt_id=prompt_id, timestamp=1)
    recording.says(socket, "executing", node="2", display_node="2", prompt_id=prompt_id)
    recording.says(
        socket, "executed", node="2", display_node="2", output=OUTPUT, prompt_id=prompt_id
    )
    recording.says(socket, "execution_success", prompt_id=prompt_id, timestamp=2)
    recording.status(socket, 0)
    recording.says(socket, "executing", node=None, prompt_id=prompt_id)
    return recording


def session(client_id: str | None = "recorded", sid: str | None = None, **about: Any) -> Recording:
    """A socket that was greeted."""
    recording = Recording(**about)
    recording.upgrade(1, client_id)
    recording.status(1, 0, sid=sid or client_id)
    return recording
