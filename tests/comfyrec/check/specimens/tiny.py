"""A client of the standard library alone, which starts fast: right, or with one planted bug.

    python -S tiny.py right URL WORKFLOW

Each bug shows at one kind of message only.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import sys
import time
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

QUIET_S = 0.8
"""So long without a frame, and the history is asked; long enough for a machine that is busy."""
ENDS = ("execution_success", "execution_error", "execution_interrupted")
KNOWN = {
    "status", "execution_start", "execution_cached", "executing", "executed", "progress",
    "progress_state", "feature_flags", *ENDS,
}  # fmt: skip


class Tiny:
    """One prompt, from the socket to the outcome."""

    def __init__(self, bug: str, url: str, workflow: dict[str, Any]) -> None:
        self.bug, self.workflow = bug, workflow
        where = urlsplit(url)
        self.host, self.port = where.hostname or "", where.port or 80
        self.prompt_id, self.deaf = "", False
        self.outputs: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        self.connect()
        body = {"prompt": self.workflow, "client_id": "tiny"}
        self.prompt_id = self.ask("POST", "/prompt", body)["prompt_id"]
        outcome = ""
        until = time.monotonic() + 5
        while not outcome and time.monotonic() < until:
            frame = self.frame()
            if frame is None:
                outcome = "" if self.waits_for_ever() else self.history()
            elif frame[0] == 2:
                self.take_binary(frame[1])
            elif frame[0] == 1:
                outcome = self.take(frame[1])
        told = {"outcome": outcome or "timed-out", "prompt_id": self.prompt_id}
        return {**told, "outputs": self.outputs}

    def waits_for_ever(self) -> bool:
        while self.bug == "foreign_start" and self.deaf:
            time.sleep(60)
        return False

    # --- messages --------------------------------------------------------------------------------

    def take_binary(self, payload: bytes) -> None:
        if self.bug == "binary_is_text" and payload[:4] == b"\0\0\0\1":
            payload.decode("ascii")

    def take(self, payload: bytes) -> str:
        event = json.loads(payload)
        kind, data = event["type"], event["data"]
        if self.bug == "unknown_type" and kind not in KNOWN:
            raise LookupError("an event that nobody knows")
        if self.bug == "status_shape" and kind == "status":
            data["status"]["exec_info"]["queue_remaining"]
        if self.bug == "foreign_null" and kind == "executing" and data["node"] is None:
            return "success"
        if self.bug == "foreign_start" and kind == "execution_start":
            self.deaf = data["prompt_id"] != self.prompt_id
        if data.get("prompt_id") != self.prompt_id:
            return ""
        return "" if self.deaf else self.take_own(kind, data)

    def take_own(self, kind: str, data: dict[str, Any]) -> str:
        if self.bug == "unknown_node" and kind == "executing" and data["node"] is not None:
            self.workflow[data["node"]]
        if self.bug == "progress_over" and kind == "progress" and data["value"] > data["max"]:
            raise ArithmeticError("more than all of it")
        if self.bug == "blocked_is_error" and kind == "execution_error":
            return "error"
        if kind == "executed":
            if self.bug == "null_output":
                len(data["output"])
            self.outputs[data["node"]] = data["output"]
        if kind in ENDS and data.get("exception_type") != "ExecutionBlocked":
            return self.history()
        return ""

    def history(self) -> str:
        entry = self.ask("GET", f"/history/{self.prompt_id}").get(self.prompt_id)
        if entry is None:
            return ""
        self.outputs = entry["outputs"]
        if "execution_interrupted" in json.dumps(entry["status"]):
            return "interrupted"
        return "success" if entry["status"]["status_str"] == "success" else "error"

    # --- the wire --------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = HTTPConnection(self.host, self.port, timeout=5)
        sent = None if body is None else json.dumps(body).encode()
        connection.request(method, path, sent, {"Content-Type": "application/json"})
        return json.load(connection.getresponse())

    def connect(self) -> None:
        self.socket = socket.create_connection((self.host, self.port), timeout=5)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws?clientId=tiny HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        self.kept = b""
        while b"\r\n\r\n" not in self.kept:
            self.kept += self.socket.recv(65_536)
        self.kept = self.kept.partition(b"\r\n\r\n")[2]
        self.socket.settimeout(QUIET_S)

    def frame(self) -> tuple[int, bytes] | None:
        """Opcode and payload of the next frame; None: nothing comes."""
        try:
            first, size = self.read(2)
            if size == 126:
                (size,) = struct.unpack(">H", self.read(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self.read(8))
            return first & 15, self.read(size)
        except (TimeoutError, ConnectionError):
            return None

    def read(self, size: int) -> bytes:
        while len(self.kept) < size:
            more = self.socket.recv(1 << 20)
            if not more:
                time.sleep(0.05)
                raise ConnectionError
            self.kept += more
        taken, self.kept = self.kept[:size], self.kept[size:]
        return taken


if __name__ == "__main__":
    chosen, address, file = sys.argv[1:4]
    with open(file, encoding="utf-8") as flow:  # noqa: PTH123  # pathlib takes its time
        told = Tiny(chosen, address, json.load(flow)).run()
    sys.stdout.write(json.dumps({"comfyrec": told}) + "\n")
    sys.exit(told["outcome"] != "success")
