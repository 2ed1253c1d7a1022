"""What it costs to turn a websocket message into an event, beside other ways.

    python benchmarks/decode.py [--json] [--quick]

Every way gets the same messages, in turn, round by round; a figure is the median over the rounds of
its CPU time divided by that of the first way in the same round, so a busy machine hardly matters.
``msgspec union`` is what one would write by hand: a tagged union, a second look for other types.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Union

import msgspec

from comfyrec.events import KNOWN, decode_binary, decode_text

sys.path.insert(0, str(Path(__file__).parent))
import corpus

Way = Callable[[bytes], object]

BROKEN = (
    b'{"type": "progress", "data": {"value": 3, "max": 20, "prompt_id": "5b1d',
    b"hello, this is not json at all",
    b"",
    b'{"type": "x", "data": ' + b"[" * 1000 + b"]" * 1000 + b"}",
)


def plain_union() -> Way:
    """All known types and, for the rest, dictionaries."""
    decode = msgspec.json.Decoder(Union[tuple(KNOWN.values())]).decode  # noqa: UP007  # a tuple

    def way(message: bytes) -> object:
        try:
            return decode(message)
        except msgspec.ValidationError:
            return msgspec.json.decode(message)

    return way


def ways() -> dict[str, Way]:
    """The first one is what the others are measured by."""
    found: dict[str, Way] = {}
    try:
        import orjson
    except ImportError:
        pass  # then json is the measure
    else:
        found["orjson"] = orjson.loads
    return found | {
        "json": json.loads,
        "msgspec untyped": msgspec.json.decode,
        "msgspec union": plain_union(),
        "comfyrec": decode_text,
    }


def copying(message: bytes) -> object:
    """A preview as one would take it apart by hand."""
    end = 8 + int.from_bytes(message[4:8], "big")
    return json.loads(message[8:end]), message[end:]


def compare(
    jobs: dict[str, Way], messages: list[bytes], rounds: int
) -> dict[str, dict[str, float]]:
    """way -> nanoseconds a message, and the ratio to the first way."""
    repeats = max(1, 3000 // len(messages))
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(rounds + 1):
        names = list(jobs) if turn % 2 else list(reversed(jobs))
        for name in names:
            taken[name].append(_time(jobs[name], messages * repeats))
    first = next(iter(taken.values()))[1:]
    return {
        name: {
            "ns": statistics.median(times[1:]),
            "ratio": statistics.median(a / b for a, b in zip(times[1:], first, strict=True)),
        }
        for name, times in taken.items()
    }


def _time(way: Way, messages: list[bytes]) -> float:
    gc.collect()
    begun = time.process_time_ns()
    for message in messages:
        try:
            way(message)
        except (ValueError, RecursionError, msgspec.MsgspecError):
            continue  # broken messages are part of it
    return (time.process_time_ns() - begun) / len(messages)


def kept_bytes(way: Way, messages: Iterable[bytes]) -> float:
    """Memory per event that is kept; the messages themselves are kept too."""
    gc.collect()
    copies = [bytes(bytearray(message)) for message in messages]
    tracemalloc.start()
    held = [way(message) for message in copies]
    size = tracemalloc.get_traced_memory()[0] / len(held)
    tracemalloc.stop()
    return size


def measure(rounds: int) -> dict[str, Any]:
    """table -> way -> figures."""
    every = corpus.texts()
    texts = [message for _, message in every]
    small = [message for name, message in every if name != "progress_state"]
    unknown = [message for name, message in every if name not in KNOWN]
    made_up = [
        message.replace(b'"type": "', b'"type": "%d-' % number, 1)
        for number, message in enumerate(unknown * 60)
    ]
    jobs = ways()
    tables: dict[str, Any] = {
        "a session": compare(jobs, texts, rounds),
        "without progress_state": compare(jobs, small, rounds),
        "unknown types": compare(jobs, unknown, rounds),
        "types never met": compare(jobs, made_up, min(rounds, 5)),
        "broken": compare(jobs, [message for message in BROKEN for _ in range(50)], rounds),
        "previews": compare(
            {"by hand": copying, "comfyrec": decode_binary}, corpus.frames(), rounds
        ),
        "bytes kept": {name: {"bytes": kept_bytes(way, texts)} for name, way in jobs.items()},
    }
    return tables


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a few rounds only")
    arguments = parser.parse_args(argv)
    about = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "msgspec": version("msgspec"),
    }
    tables = measure(2 if arguments.quick else 15)
    if arguments.json:
        print(json.dumps({"about": about, "tables": tables}))
        return 0
    print(", ".join(f"{name} {what}" for name, what in about.items()))
    for title, rows in tables.items():
        print(f"\n{title}")
        for name, figures in rows.items():
            told = "  ".join(f"{figure:10.2f} {unit}" for unit, figure in figures.items())
            print(f"  {name:<18}{told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
