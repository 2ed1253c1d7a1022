"""What the server prints while it works, and who reads along: lines -> ``logs`` frames.

Recording ``logs_subscription``; PROTOCOL.md, section 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fake_server.http.context import ConsoleLine, Context

__all__ = ["TERMINAL", "banner", "entry_of", "print_end", "print_failure", "write_line"]

TERMINAL: Final = {"cols": 80, "rows": 24}
_INFO: Final = "\x1b[32m[INFO]\x1b[0m "
_ERROR: Final = "\x1b[1m\x1b[31m[ERROR]\x1b[0m "


def banner(place: Context) -> Iterator[ConsoleLine]:
    """What stands on the console once the server has started."""
    for said in (
        "Total VRAM 65536 MB, total RAM 65536 MB",
        "pytorch version: 2.8.0+cpu",
        "Set vram state to: DISABLED",
        "Device: cpu",
        f"ComfyUI version: {place.era.version}",
        "Starting server\n",
    ):
        yield ConsoleLine(place.now, f"{_mark(place, _INFO)}{said}\n")


def _mark(place: Context, level: str) -> str:
    return level if place.era.has("view_nosniff") else ""


def write_line(place: Context, said: str, *, level: str = _INFO) -> None:
    """Put a line on the console, and tell those who subscribed."""
    line = ConsoleLine(place.now, f"{_mark(place, level)}{said}\n")
    place.log.append(line)
    if not place.subscribers:
        return
    size = None if place.told_size else TERMINAL
    place.told_size = True
    for client_id in list(place.subscribers):
        if client_id in place.engine.clients.client_ids:
            data = {"entries": [entry_of(place, line)], "size": size}
            place.engine.publish("logs", data, client_id, place.now)
        else:
            del place.subscribers[client_id]


def entry_of(place: Context, line: ConsoleLine) -> dict[str, str]:
    """A line as the wire has it."""
    when = datetime.fromtimestamp((place.epoch_us + line.t_us) / 1e6, UTC)
    return {"t": when.replace(tzinfo=None).isoformat(), "m": line.text}


def print_failure(place: Context, data: Mapping[str, Any]) -> None:
    """What the worker prints before it says ``execution_error``."""
    said = data["exception_message"].rstrip("\n")
    write_line(place, f"!!! Exception during processing !!! {said}", level=_ERROR)
    frames = "".join(f"{one.rstrip()}\n" for one in data["traceback"])
    last = f"{data['exception_type']}: {said}\n"
    write_line(place, f"Traceback (most recent call last):\n{frames}{last}", level=_ERROR)


def print_end(place: Context, messages: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """What the worker prints when a prompt is gone; ``messages`` are those of its history."""
    stamps = [data["timestamp"] for _, data in messages if "timestamp" in data]
    seconds = (stamps[-1] - stamps[0]) / 1000 if stamps else 0.0
    said = f"Prompt executed in {seconds:.2f} seconds"
    write_line(place, f"\x1b[32m{said}\x1b[0m" if _mark(place, _INFO) else said)
