"""Cassettes beside JSON lines, bare MessagePack with CRC-32, and sqlite3: speed and size.

    python benchmarks/cassette.py [--json] [--quick]

Two recordings with a fixed seed: a session (events, previews, HTTP bodies with pictures) and its
text events alone. Each way writes a file and reads it back; ratios are to the standard library's
JSON lines, from the CPU time of alternating rounds. ``recording`` is what a proxy pays while it
records: one write for every record, nothing compressed yet.
"""

from __future__ import annotations

import argparse
import base64
import json
import platform
import random
import sqlite3
import statistics
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from comfyrec import __version__, bench_adapter
from comfyrec.cassette.files import create_cassette
from comfyrec.cassette.records import Side, WsFrame

Row = tuple[int, int, int, bytes]
TEXT, BINARY, HTTP = 1, 2, 3
HEAD = struct.Struct("<II")
PROMPT = "6c5d0f5e-0a1b-4c6e-9d55-000000000001"


def session(nodes: int, steps: int) -> list[Row]:
    """One prompt as a server sends it, with previews, and pictures at its end."""
    chance = random.Random(1)
    touched: dict[str, object] = {}
    rows: list[Row] = []

    def say(kind: int, payload: bytes) -> None:
        rows.append((1_000_000 + 7000 * len(rows), 1, kind, payload))

    def event(name: str, **data: object) -> None:
        say(TEXT, json.dumps({"type": name, "data": {**data, "prompt_id": PROMPT}}).encode())

    inputs = {"required": {"model": ["MODEL"], "seed": ["INT", {"default": 0, "max": 2**64 - 1}]}}
    info = {f"Node{n}": {"input": inputs, "output": ["LATENT"], "n": n} for n in range(30 * nodes)}
    say(HTTP, json.dumps(info).encode())
    for node in map(str, range(nodes)):
        event("executing", node=node, display_node=node)
        for step in range(1, steps + 1):
            touched[node] = {"value": step, "max": steps, "node_id": node, "prompt_id": PROMPT}
            event("progress_state", nodes=dict(list(touched.items())[-6:]))
            event("progress", value=step, max=steps, node=node)
            if step % 4 == 0:
                say(BINARY, b"\0\0\0\1\0\0\0\1\xff\xd8" + chance.randbytes(20_000))
        event("executed", node=node, output={"images": [{"filename": f"{node}.png"}]})
    for _ in range(2):
        say(HTTP, b"\x89PNG\r\n\x1a\n" + chance.randbytes(1_000_000))
    return rows


# --- ways to write and read ------------------------------------------------------------------


class JsonLines:
    def write(self, path: Path, rows: Iterable[Row]) -> None:
        with path.open("w", encoding="utf-8") as file:
            for t, conn, kind, payload in rows:
                text = kind == TEXT or payload[:1] == b"{"
                body = (
                    {"text": payload.decode()}
                    if text
                    else {"b64": base64.b64encode(payload).decode()}
                )
                file.write(json.dumps({"t": t, "conn": conn, "kind": kind, **body}) + "\n")

    def read(self, path: Path) -> Iterator[Row]:
        with path.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                text = row["text"].encode() if "text" in row else base64.b64decode(row["b64"])
                yield row["t"], row["conn"], row["kind"], text


class MessagePack:
    """No blocks, no numbers, no dedup, no way to go on behind damage: what a record costs."""

    def write(self, path: Path, rows: Iterable[Row]) -> None:
        encode, crc32, pack = msgspec.msgpack.Encoder().encode, zlib.crc32, HEAD.pack
        with path.open("wb", buffering=1 << 18) as file:
            for row in rows:
                data = encode(row)
                file.write(pack(len(data), crc32(data)))
                file.write(data)

    def read(self, path: Path) -> Iterator[Row]:
        decode, crc32 = msgspec.msgpack.Decoder(Row).decode, zlib.crc32
        with path.open("rb", buffering=1 << 18) as file:
            while head := file.read(HEAD.size):
                size, check = HEAD.unpack(head)
                data = file.read(size)
                assert crc32(data) == check
                yield decode(data)


class Sqlite:
    def write(self, path: Path, rows: Iterable[Row]) -> None:
        path.unlink(missing_ok=True)
        database = sqlite3.connect(path)
        database.execute("pragma synchronous=off")
        database.execute("create table r (t integer, conn integer, kind integer, payload blob)")
        database.executemany("insert into r values (?, ?, ?, ?)", rows)
        database.commit()
        database.close()

    def read(self, path: Path) -> Iterator[Row]:
        database = sqlite3.connect(path)
        yield from database.execute("select t, conn, kind, payload from r order by rowid")
        database.close()


class Packed:
    def write(self, path: Path, rows: Iterable[Row]) -> None:
        bench_adapter.write(path.with_suffix(".crec"), rows)
        path.with_suffix(".crec").replace(path)

    def read(self, path: Path) -> Iterator[Row]:
        return bench_adapter.read(path)


class Text(Packed):
    def write(self, path: Path, rows: Iterable[Row]) -> None:
        bench_adapter.write(path.with_suffix(".jsonl"), rows)
        path.with_suffix(".jsonl").replace(path)


class Recording(Packed):
    def write(self, path: Path, rows: Iterable[Row]) -> None:
        writer = create_cassette(path, clock_us=lambda: 0, overwrite=True)
        for seq, (t, conn, _, payload) in enumerate(rows, 1):
            writer.write([WsFrame(seq, t, conn, Side.SERVER, b"\x81\x7e\x01\x2c", payload)])
        writer.abandon()


WAYS = {
    "JSON lines (json)": JsonLines(),
    "MessagePack + CRC-32": MessagePack(),
    "sqlite3": Sqlite(),
    "comfyrec, packed": Packed(),
    "comfyrec, text": Text(),
    "comfyrec, recording": Recording(),
}


# --- measuring -------------------------------------------------------------------------------


def timed(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each, run in turns so that a slow moment hits all of them."""
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            taken[name].append(time.process_time() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def measured(rows: list[Row], rounds: int, folder: Path) -> list[dict[str, object]]:
    payload = sum(len(row[3]) for row in rows)
    paths = {name: folder / str(number) for number, name in enumerate(WAYS)}

    def reading(name: str) -> Callable[[], object]:
        return lambda: sum(1 for _ in WAYS[name].read(paths[name]))

    writing = {name: lambda n=name: WAYS[n].write(paths[n], rows) for name in WAYS}
    written = timed(writing, rounds)
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    read = timed({name: reading(name) for name in WAYS}, rounds)
    base = "JSON lines (json)"
    return [
        {
            "way": name,
            "write_records_per_s": round(len(rows) / written[name]),
            "write_ratio": round(written[base] / written[name], 2),
            "read_records_per_s": round(len(rows) / read[name]),
            "read_ratio": round(read[base] / read[name], 2),
            "size_ratio": round(sizes[name] / payload, 3),
        }
        for name in WAYS
    ]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--quick", action="store_true", help="a small recording, one round")
    arguments = parser.parse_args(argv)
    rows = session(4, 8) if arguments.quick else session(20, 20)
    rounds = 1 if arguments.quick else 7
    texts = [row for row in rows if row[2] == TEXT]
    recordings = {"session": rows, "text events": texts if arguments.quick else texts * 6}
    with tempfile.TemporaryDirectory() as folder:
        tables = {name: measured(r, rounds, Path(folder)) for name, r in recordings.items()}
    about = (
        f"comfyrec {__version__}, msgspec {msgspec.__version__}, zlib {zlib.ZLIB_RUNTIME_VERSION}"
    )
    about += f", Python {platform.python_version()}, {platform.machine()}"
    if arguments.json:
        print(json.dumps({"about": about, "tables": tables}))
        return 0
    print(about)
    for name, table in tables.items():
        print(f"\n{name}: {len(recordings[name])} records")
        print(f"{'':22}{'write/s':>10}{'x json':>8}{'read/s':>10}{'x json':>8}{'size':>8}")
        for row in table:
            print("{:22}{:>10}{:>8}{:>10}{:>8}{:>8}".format(*row.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
