"""A recorder that is killed: what a client had got by then is on disk, to the byte."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from comfyrec.cassette.files import create_cassette, open_cassette
from comfyrec.cassette.records import AnyRecord, HttpPart, Side, WsFrame
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.proxy.recorder import Recorder
from comfyrec.wire.frames import frame_head
from comfyrec.wire.tap import Tap
from comfyrec.wire.websocket import unmask
from tests.support.paths import ROOT
from tests.support.redaction_samples import GET, SWITCH, UPGRADE

KILLS = 63
"""With 8 streams in two encodings: a thousand."""
NOISE = random.Random(7).randbytes(400_000)
BODY = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"


def body(kind: bytes, data: bytes) -> bytes:
    return BODY % (kind, len(data)) + data


def fragments(data: bytes, size: int) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    frames = []
    for number, piece in enumerate(pieces):
        head = frame_head(0 if number else 2, len(piece), masked=False)
        final = 0x80 if number + 1 == len(pieces) else 0
        frames.append(bytes((head[0] & 0x7F | final,)) + head[1:] + piece)
    return b"".join(frames)


TEXT = b'{"type": "executed", "data": {"output": {"text": ["some words of a node"]}}}' * 3000
STREAMS = {
    "picture": (GET, b"", body(b"image/png", NOISE)),
    "JSON": (GET, b"", body(b"application/json", TEXT)),
    "script": (GET, b"", body(b"text/javascript", TEXT)),
    "up to the end": (GET, b"", b"HTTP/1.0 200 OK\r\n\r\n" + TEXT),
    "large frame": (UPGRADE, SWITCH, frame_head(2, len(NOISE), masked=False) + NOISE),
    "text frame": (UPGRADE, SWITCH, frame_head(1, len(TEXT), masked=False) + TEXT),
    "fragments": (UPGRADE, SWITCH, fragments(NOISE[:90_000], 1000)),
    "small fragments": (UPGRADE, SWITCH, fragments(NOISE[:3000], 3)),
}


def on_the_wire(records: list[AnyRecord]) -> bytes:
    """The bytes that the server's records were made of."""
    out, key, offset = b"", b"", 0
    for record in records:
        if isinstance(record, HttpPart) and record.side is Side.SERVER:
            out += record.head + record.body
        elif isinstance(record, WsFrame):
            if record.head:
                key, offset = (record.head[-4:] if record.head[1] & 0x80 else b""), 0
            out += record.head + (unmask(record.payload, key, offset) if key else record.payload)
            offset += len(record.payload)
    return out


@pytest.mark.slow
@pytest.mark.parametrize("asked, before, stream", STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("suffix", [".crec", ".jsonl"])
def test_what_the_client_had_is_on_disk_wherever_the_recorder_is_killed(
    asked: bytes, before: bytes, stream: bytes, suffix: str, tmp_path: Path
) -> None:
    path, clock, chance = tmp_path / f"a{suffix}", count(1), random.Random(len(stream))
    lacking = []

    for _ in range(KILLS):
        redactor = Redactor()
        writer = create_cassette(
            path, clock_us=lambda: next(clock), redactor=redactor, overwrite=True
        )
        recorder, tap = Recorder(writer, redactor, say=lambda sentence: None), Tap()
        recorder.keep(1, Side.CLIENT, tap.client(asked).seen)
        recorder.keep(1, Side.SERVER, tap.server(before).seen)
        had, at, killed_at = before, 0, chance.randrange(len(stream))
        while at < killed_at:
            size = min(chance.choice((1, 7, 100, 5_000, 100_000)), killed_at - at)
            step = tap.server(stream[at : at + size])
            recorder.keep(1, Side.SERVER, step.seen)
            had += step.onward
            at += size
        writer.abandon()
        with open_cassette(path) as reader:
            recorded = on_the_wire(list(reader))
        lacking.append(len(had) if not recorded.startswith(had) else 0)

    assert lacking == [0] * KILLS


@pytest.mark.long
def test_the_same_of_the_command_and_the_signal() -> None:
    """``benchmarks/killed.py --kills 1000`` is the whole of it."""
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "killed.py", "--quick", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
    )

    found = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert found["kills"] == 8
    assert found["arrived_bytes"] > found["lacking_bytes"] == found["unreadable"] == 0
