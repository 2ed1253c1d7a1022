"""A client of the recorded session over real sockets, made of other people's code.

It reads a capture or the records of a cassette line by line: every request is made with ids of its
own, every frame that was received is waited for and compared. It knows nothing of time lines.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket as sockets
import struct
import uuid
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from comfyrec.cassette.records import AnyRecord, Closed, HttpPart, Side, WsFrame

WAIT_S = 20
_SKIPPED = ("content-length", "connection", "transfer-encoding", "expect")
_KEYS = "client_id|clientId|sid|prompt_id|id"


class Differs(AssertionError):
    """The replay said something else than the recording."""


class WireClient:
    """Does what the recorded clients did, in their order, and compares what it gets."""

    def __init__(self, records: Sequence[AnyRecord], port: int) -> None:
        self.records, self.port = records, port
        self.ids: dict[str, str] = {}
        self.sockets: dict[int, ClientConnection] = {}
        self.frames = 0
        heads = b"".join(r.head for r in records if isinstance(r, HttpPart))
        port = re.search(rb"\nHost: 127.0.0.1(:\d+)", heads)
        self._recorded_port = port[1].decode() if port else ":0"
        self.answers = {
            (r.conn, r.exchange): r
            for r in records
            if isinstance(r, HttpPart) and r.side is Side.SERVER and r.head
        }

    def run(self) -> None:
        """The whole session."""
        try:
            for record in self.records:
                if isinstance(record, HttpPart) and record.side is Side.CLIENT:
                    self._request(record)
                elif isinstance(record, WsFrame):
                    self._frame(record)
                elif isinstance(record, Closed) and record.conn in self.sockets:
                    self._closed(record)
        finally:
            for socket in self.sockets.values():
                socket.close()

    # --- ids -----------------------------------------------------------------------------------

    def own(self, text: str) -> str:
        """The text with ids of its own."""
        for recorded, own in self.ids.items():
            if len(recorded) >= 32:
                text = text.replace(recorded, own)
            else:
                text = re.sub(rf'("(?:{_KEYS})": )"{re.escape(recorded)}"', rf'\1"{own}"', text)
        return text

    def _choose(self, recorded: Any) -> None:
        if isinstance(recorded, str) and recorded:
            # Of another length than the recorded one.
            self.ids.setdefault(recorded, f"wire-{uuid.uuid4()}-{len(self.ids)}")

    # --- requests ------------------------------------------------------------------------------

    def _request(self, record: HttpPart) -> None:
        start, *lines = record.head.decode("latin-1").split("\r\n")
        method, target, _ = start.split(" ")
        headers = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines) if v]
        answer = self.answers.get((record.conn, record.exchange))
        status = answer.head[9:12] if answer is not None else b""
        if status == b"101":
            self._connect(record.conn, target, headers)
        elif answer is not None and not any(n.lower() == "upgrade" for n, _ in headers):
            self._ask(method, target, headers, record.body, answer)

    def _connect(self, conn: int, target: str, headers: list[tuple[str, str]]) -> None:
        path, _, query = target.partition("?")
        client_id = query.removeprefix("clientId=") if query.startswith("clientId=") else ""
        self._choose(client_id)
        if client_id:
            query = f"clientId={quote(self.ids[client_id])}"
        self.sockets[conn] = connect(
            f"ws://127.0.0.1:{self.port}{path}?{query}",
            compression=None,
            max_size=None,
            open_timeout=WAIT_S,
            legacy=True,
        )

    def _ask(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: bytes,
        answer: HttpPart,
    ) -> None:
        submits = method == "POST" and target.endswith("/prompt")
        told = self._json(answer.body) if submits else None
        asked = self._json(body) if submits else None
        if isinstance(asked, dict):
            self._choose(asked.get("client_id"))
            if told and asked.get("prompt_id", "") == told.get("prompt_id"):
                self.ids.setdefault(told["prompt_id"], str(uuid.uuid4()))
        status, got = self._exchange(method, self.own(target), headers, self._own_bytes(body))
        if status != int(answer.head[9:12]):
            raise Differs(f"{method} {target}: {status} instead of {answer.head[9:12]!r}")
        if isinstance(told, dict) and "prompt_id" in told:
            self.ids.setdefault(told["prompt_id"], json.loads(got)["prompt_id"])

    @staticmethod
    def _json(body: bytes) -> Any:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(body)
        return None

    def _own_bytes(self, body: bytes) -> bytes:
        with contextlib.suppress(UnicodeDecodeError):
            return self.own(body.decode()).encode()
        return body

    def _exchange(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        with contextlib.closing(connection):
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                if name.lower() in ("host", "origin"):
                    value = value.replace(self._recorded_port, f":{self.port}")
                if name.lower() not in _SKIPPED:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, answer.read()

    # --- frames --------------------------------------------------------------------------------

    def _frame(self, record: WsFrame) -> None:
        socket, opcode = self.sockets[record.conn], record.head[0] & 0x0F
        if opcode not in (1, 2):
            return
        message: str | bytes = record.payload.decode() if opcode == 1 else record.payload
        if record.side is Side.CLIENT:
            socket.send(self.own(message) if isinstance(message, str) else message)
            return
        got = socket.recv(timeout=WAIT_S)
        self._learn_sid(message, got)
        self.frames += 1
        if got != self._expected(message):
            raise Differs(f"record {record.seq}: {got[:200]!r} instead of {message[:200]!r}")

    def _learn_sid(self, recorded: str | bytes, got: str | bytes) -> None:
        found = re.search(r'"sid": "([0-9a-f]{32})"', str(recorded))
        own = re.search(r'"sid": "([0-9a-f]{32})"', str(got))
        if found and own:
            self.ids[found[1]] = own[1]

    def _expected(self, recorded: str | bytes) -> str | bytes:
        if isinstance(recorded, str):
            return self.own(recorded)
        if recorded[:4] != b"\0\0\0\4":
            return recorded
        size = int.from_bytes(recorded[4:8], "big")
        words = self.own(recorded[8 : 8 + size].decode()).encode()
        return recorded[:4] + len(words).to_bytes(4, "big") + words + recorded[8 + size :]

    def _closed(self, record: Closed) -> None:
        socket = self.sockets[record.conn]
        if record.side is Side.SERVER and record.how == "reset":
            code = next(self._end_of(socket))
            if code != 1006:
                raise Differs(f"record {record.seq}: closed with {code} instead of 1006")
        elif record.how == "reset":
            # Cut, without a close frame: what a client that is killed looks like.
            linger = struct.pack("ii", 1, 0)
            socket.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, linger)
            socket.socket.shutdown(sockets.SHUT_RDWR)
        else:
            socket.close()

    @staticmethod
    def _end_of(socket: ClientConnection) -> Iterator[int]:
        try:
            socket.recv(timeout=WAIT_S)
        except ConnectionClosed as closed:
            yield closed.rcvd.code if closed.rcvd else 1006
        else:
            raise Differs("a frame came instead of the end")
