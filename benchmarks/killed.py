"""A recorder that is killed in the middle of large messages: what its cassette lacks.

    python benchmarks/killed.py [--kills 1000] [--seed 1] [--json]

Each round starts ``comfyrec record`` in a process of its own, lets one message pass (a body that is
downloaded or uploaded, a WebSocket frame, a message in fragments) and sends SIGKILL once a random
number of its bytes has arrived: every second time in full flow, else when no more were sent. Then
all that arrived must stand in the cassette, byte by byte.

kills           rounds, with the kinds of messages in turn, in both encodings
arrived_bytes   what clients and servers had received of those messages when all was over
lacking_bytes   what of it no cassette holds: must be 0
beyond_bytes    what cassettes hold besides, on its way when the recorder was killed
torn            rounds in which the message had not arrived whole
unreadable      cassettes that could not be read: must be 0

Exit status 1 when one of those is not what it must be.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import random
import re
import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from comfyrec.cassette.files import open_cassette
from comfyrec.cassette.records import AnyRecord, HttpPart, Side, WsFrame
from comfyrec.cli import main as comfyrec
from comfyrec.errors import CassetteError
from comfyrec.wire.frames import frame_head

LIMIT_S = 20
PORT = re.compile(r"\A.*127\.0\.0\.1:([0-9]+)/?\n")
QUIET_S = 0.3
SIZES = (300, 70_000, 900_000, 3_000_000)
UPGRADE = (
    b"GET /ws?clientId=c1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
TYPES = (b"image/png", b"application/json", b"text/javascript", b"application/octet-stream")


class Talk(NamedTuple):
    """What is said in a round; ``said`` is what may arrive in part."""

    asked: bytes
    said: bytes
    is_upload: bool = False
    sent: bytes = b""
    """Where only the first part of it is sent."""


# --- messages --------------------------------------------------------------------------------


def content(chance: random.Random) -> bytes:
    size = chance.choice(SIZES)
    if chance.random() < 0.5:
        return chance.randbytes(size)
    line = b'{"type": "executed", "data": {"output": {"text": ["words %d of a node"]}}}\n'
    return b"".join(line % chance.randrange(10**9) for _ in range(size // 70 + 1))


def download(chance: random.Random) -> Talk:
    data = content(chance)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    kind = chance.choice(TYPES)
    return Talk(b"GET /view HTTP/1.1\r\nHost: h\r\n\r\n", head % (kind, len(data)) + data)


def upload(chance: random.Random) -> Talk:
    data = content(chance)
    head = (
        b"POST /upload/image HTTP/1.1\r\nHost: h\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    )
    return Talk(b"", head % (chance.choice(TYPES), len(data)) + data, is_upload=True)


def frame(chance: random.Random) -> Talk:
    data = content(chance)
    whole = frame_head(chance.choice((1, 2)) if data[:1] == b"{" else 2, len(data), masked=False)
    return Talk(UPGRADE, SWITCH + whole + data)


def fragments(chance: random.Random) -> Talk:
    data, size, frames = content(chance), chance.choice((1, 7, 1000, 40_000)), [SWITCH]
    data = data[: 5000 * size]
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        head = frame_head(0 if at else 2, len(piece), masked=False)
        final = 0x80 if at + size >= len(data) else 0
        frames.append(bytes((head[0] & 0x7F | final,)) + head[1:] + piece)
    return Talk(UPGRADE, b"".join(frames))


KINDS = {"download": download, "upload": upload, "frame": frame, "fragments": fragments}


# --- one round -------------------------------------------------------------------------------


def record(upstream: int, path: str) -> None:
    """The recorder's process; it says its address in a file."""
    command = ["record", "--listen", "127.0.0.1:0", "--upstream", f"127.0.0.1:{upstream}"]
    with Path(said_beside(path)).open("w", buffering=1) as told:
        sys.stdout = sys.stderr = told
        comfyrec([*command, "-o", path])


def said_beside(path: str) -> str:
    return f"{path}.said"


def narrow(line: socket.socket) -> socket.socket:
    """With little room for what has come and was not read: more waits in the recorder."""
    line.settimeout(LIMIT_S)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    return line


def dialled(said: Path, running: multiprocessing.process.BaseProcess) -> socket.socket:
    while not (found := PORT.search(said.read_text() if said.exists() else "")):
        if not running.is_alive():
            raise SystemExit("the recorder has ended before anybody asked it")
        running.join(0.01)
    line = narrow(socket.socket())
    line.connect(("127.0.0.1", int(found[1])))
    return line


class Arrivals:
    """Reads one end and kills the recorder when so many bytes are there, or no more come."""

    def __init__(self, at: int, running: multiprocessing.process.BaseProcess) -> None:
        self.at, self.running = at, running
        self.had = bytearray()

    def read(self, line: socket.socket, chance: random.Random) -> None:
        with contextlib.suppress(ConnectionError):
            while data := self._more(line, chance.choice((1, 100, 5_000, 100_000))):
                self.had += data
                if len(self.had) >= self.at:
                    self.running.kill()

    def _more(self, line: socket.socket, size: int) -> bytes:
        """Half the head of a message is not passed on: then nothing comes."""
        line.settimeout(QUIET_S)
        with contextlib.suppress(TimeoutError):
            return line.recv(size)
        self.running.kill()
        line.settimeout(LIMIT_S)
        return line.recv(size)


def sent(line: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        line.sendall(data)


def one_round(kind: str, chance: random.Random, path: Path) -> tuple[bytes, Talk]:
    """Record, kill; what had arrived."""
    talk = KINDS[kind](chance)
    at = 1 + chance.randrange(len(talk.said))
    if chance.random() < 0.5:
        talk = talk._replace(sent=talk.said[:at])
    context = multiprocessing.get_context("forkserver")
    with socket.create_server(("127.0.0.1", 0)) as server:
        narrow(server)
        running = context.Process(target=record, args=(server.getsockname()[1], str(path)))
        running.start()
        arrivals = Arrivals(at, running)
        try:
            with dialled(Path(said_beside(str(path))), running) as client:
                first = (talk.sent or talk.said) if talk.is_upload else talk.asked
                sender = threading.Thread(target=sent, args=(client, first))
                sender.start()
                with server.accept()[0] as far:
                    if talk.is_upload:
                        arrivals.read(far, chance)
                    else:
                        answering = threading.Thread(target=answer, args=(far, talk))
                        answering.start()
                        arrivals.read(client, chance)
                        answering.join()
                sender.join()
        finally:
            running.kill()
            running.join()
            running.close()
    return bytes(arrivals.had), talk


def answer(far: socket.socket, talk: Talk) -> None:
    got = b""
    with contextlib.suppress(OSError):
        while len(got) < len(talk.asked) and (data := far.recv(65536)):
            got += data
        far.sendall(talk.sent or talk.said)


def on_the_wire(records: list[AnyRecord], side: Side) -> bytes:
    """The bytes that a side's records were made of."""
    out = []
    for one in records:
        if isinstance(one, HttpPart) and one.side is side:
            out += [one.head, one.body]
        elif isinstance(one, WsFrame) and one.side is side:
            out += [one.head, one.payload]
    return b"".join(out)


def lacking(path: Path, had: bytes, talk: Talk) -> tuple[int, int]:
    """How many bytes of what had arrived the cassette lacks, and how many it has besides.

    Half a head is not a record yet, and is not passed on either.
    """
    with open_cassette(path) as reader:
        recorded = on_the_wire(list(reader), Side.CLIENT if talk.is_upload else Side.SERVER)
    if talk.is_upload:  # the recorder writes the address of the upstream into the head
        had = had.partition(b"\r\n\r\n")[2]
        recorded = recorded.partition(b"\r\n\r\n")[2]
    same = next((n for n, (a, b) in enumerate(zip(had, recorded, strict=False)) if a != b), None)
    held = min(len(had), len(recorded)) if same is None else same
    return len(had) - held, len(recorded) - held


def rounds(kills: int, seed: int, folder: Path) -> Iterator[tuple[str, int, int, int, bool]]:
    chance, kinds = random.Random(seed), list(KINDS)
    for number in range(kills):
        kind = kinds[number % len(kinds)]
        path = folder / f"{number}{('.crec', '.jsonl')[number // len(kinds) % 2]}"
        had, talk = one_round(kind, chance, path)
        try:
            missing, beyond = lacking(path, had, talk)
        except CassetteError:
            missing, beyond, kind = len(had), 0, "unreadable"
        path.unlink(missing_ok=True)
        Path(said_beside(str(path))).unlink()
        yield kind, len(had), missing, beyond, len(had) < len(talk.said)


def measure(kills: int, seed: int) -> dict[str, int]:
    multiprocessing.get_context("forkserver").set_forkserver_preload(["comfyrec.cli", __name__])
    found: Counter[str] = Counter(
        kills=kills, arrived_bytes=0, lacking_bytes=0, beyond_bytes=0, torn=0, unreadable=0
    )
    with tempfile.TemporaryDirectory() as folder:
        for kind, had, missing, beyond, torn in rounds(kills, seed, Path(folder)):
            found["arrived_bytes"] += had
            found["lacking_bytes"] += missing
            found["beyond_bytes"] += beyond
            found["torn"] += torn
            found["unreadable"] += kind == "unreadable"
            if missing:
                print(f"{kind}: {missing} of {had} bytes are missing", file=sys.stderr)
    return dict(found)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="8 kills")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args(argv)
    found = measure(8 if arguments.quick else arguments.kills, arguments.seed)
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, figure in found.items():
            print(f"{name:<22} {figure}")
    return 1 if found["lacking_bytes"] or found["unreadable"] else 0


if __name__ == "__main__":
    sys.exit(main())
