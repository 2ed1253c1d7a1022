"""What it costs a recorder to look for 256 known secrets, beside one that knows none.

    python benchmarks/known_secrets.py [--quick] [--json]

KIND_recorder    how much of its throughput is left, for a kind of body: parsed, redacted, written
KIND_redactor    the same of taking secrets out alone, without parsing and writing
KIND_mb_s        of the recorder that knows none

Both take turns in one process; each figure is the best processor time of all rounds, which a busy
machine changes least. The secrets are random letters and digits, 16 to 64 of them.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import random
import string
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import figures
from static_files import bodies, text

from comfyrec import __version__
from comfyrec.cassette.files.record import create_cassette
from comfyrec.cassette.records import AnyRecord, Side
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.proxy.recorder import Recorder
from comfyrec.wire.frames import frame_head
from comfyrec.wire.tap import Tap

PIECE = 1 << 16
Said = list[tuple[Side, bytes]]
ASKED = b"GET /view?filename=a HTTP/1.1\r\nHost: h\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def secrets(many: int) -> list[str]:
    chance = random.Random(5)
    letters = string.ascii_letters + string.digits
    return [
        "".join(chance.choices(letters, k=chance.choice((16, 20, 24, 32, 40, 64))))
        for _ in range(many)
    ]


def answer(kind: bytes, body: bytes) -> Said:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    whole = head % (kind, len(body)) + body
    pieces = [whole[at : at + PIECE] for at in range(0, len(whole), PIECE)]
    return [(Side.CLIENT, ASKED), *((Side.SERVER, piece) for piece in pieces)]


def pushed(opcode: int, messages: list[bytes]) -> Said:
    frames = [frame_head(opcode, len(one), masked=False) + one for one in messages]
    return [
        (Side.CLIENT, UPGRADE),
        (Side.SERVER, SWITCH),
        *((Side.SERVER, frame) for frame in frames),
    ]


def kinds(scale: float) -> dict[str, Said]:
    chance = random.Random(7)
    files = bodies(scale)
    noise = chance.randbytes(int(8_000_000 * scale))
    words = ["a photo of a cat", "20", "sgm_uniform", "model.safetensors", "euler", "1024"]
    workflow = {
        str(n): {
            "class_type": f"Node{n % 60}",
            "inputs": {str(k): chance.choice(words) for k in range(8)},
        }
        for n in range(int(6000 * scale))
    }
    logs = [
        json.dumps(
            {
                "type": "logs",
                "data": {"m": "".join(chance.choices(string.ascii_lowercase + " ", k=200))},
            }
        )
        for _ in range(int(6000 * scale))
    ]
    progress = [
        json.dumps({"type": "progress", "data": {"value": n % 20, "max": 20, "node": str(n % 30)}})
        for n in range(int(20_000 * scale))
    ]
    preview = b"\0\0\0\1\0\0\0\1\xff\xd8\xff\xe0"
    return {
        "picture": answer(b"image/png", files["picture"]),
        "binary": answer(b"application/octet-stream", noise),
        "previews": pushed(
            2, [preview + noise[at : at + 30_000] for at in range(0, len(noise), 30_000)]
        ),
        "script": answer(b"text/javascript", files["script"]),
        "page": answer(b"text/html", files["page"]),
        "json": answer(b"application/json", json.dumps(workflow).encode()),
        "text": answer(b"text/plain", text(int(1_000_000 * scale), chance)),
        "logs": pushed(1, [one.encode() for one in logs]),
        "progress": pushed(1, [one.encode() for one in progress]),
    }


class Kept:
    """A cassette in memory that only counts."""

    next_seq = 1

    def __init__(self) -> None:
        self.records: list[AnyRecord] = []

    def write(self, records: list[AnyRecord]) -> None:
        self.records += records

    def keep_place(self) -> str:
        return ""


class AsItIs:
    """Takes nothing out."""

    def take_unread(self) -> list[tuple[int, str]]:
        return []

    def record(self, record: AnyRecord) -> AnyRecord:
        return record

    def is_clean_text(self, payload: bytes) -> bool:
        return False


def play(recorder: Recorder, said: Said) -> None:
    tap, conn = Tap(), recorder.new_conn()
    for side, data in said:
        step = tap.client(data) if side is Side.CLIENT else tap.server(data)
        recorder.keep(conn, side, step.seen)
        if tap.resumes:
            recorder.keep(conn, Side.CLIENT, tap.resume().seen)
    if recorder.lost:
        raise SystemExit("the recorder has lost records")


def recorder_s(known: list[str], said: Said, folder: Path) -> float:
    clock, redactor = count(1), Redactor(known)
    path = folder / "a.crec"
    writer = create_cassette(path, clock_us=lambda: next(clock), redactor=redactor)
    begun = time.process_time()
    play(Recorder(writer, redactor, say=print), said)
    took = time.process_time() - begun
    writer.abandon()
    path.unlink()
    return took


def redactor_s(known: list[str], said: Said, folder: Path) -> float:
    kept, redactor = Kept(), Redactor(known)
    play(Recorder(kept, AsItIs(), say=print), said)
    begun = time.process_time()
    for record in kept.records:
        redactor.record(record)
    return time.process_time() - begun


def best(
    run: Callable[[list[str], Said, Path], float], said: Said, folder: Path, rounds: int
) -> tuple[float, float]:
    """Seconds with none and with 256 known secrets."""
    took: tuple[list[float], list[float]] = [], []
    for turn in range(rounds):
        for which in (0, 1) if turn % 2 else (1, 0):
            gc.collect()
            took[which].append(run(secrets(256 * which), said, folder))
    return min(took[0]), min(took[1])


def measure(*, quick: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "comfyrec": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load": round(os.getloadavg()[0], 1),
    }
    with tempfile.TemporaryDirectory() as folder:
        for kind, said in kinds(0.02 if quick else 1).items():
            size = sum(len(data) for _, data in said)
            for name, run in (("recorder", recorder_s), ("redactor", redactor_s)):
                none, known = best(run, said, Path(folder), 1 if quick else 9)
                found[f"{kind}_{name}"] = round(none / known, 2) if known else None
                if name == "recorder":
                    found[f"{kind}_mb_s"] = round(size / 1e6 / none, 1) if none else None
    return found


main = partial(figures.main, __doc__, measure)

if __name__ == "__main__":
    sys.exit(main())
