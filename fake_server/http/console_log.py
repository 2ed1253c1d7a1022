"""What the server prints while it works, and who reads along: lines -> ``logs`` frames.

Recording ``logs_subscription``; protocol.md, section 2.
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


def banner(context: Context) -> Iterator[ConsoleLine]:
    """What the console shows once the server has started."""
    for text in (
        "Total VRAM 65536 MB, total RAM 65536 MB",
        "pytorch version: 2.8.0+cpu",
        "Set vram state to: DISABLED",
        "Device: cpu",
        f"ComfyUI version: {context.era.reported}",
        "Starting server\n",
    ):
        yield ConsoleLine(context.now, f"{_mark(context, _INFO)}{text}\n")


def _mark(context: Context, level: str) -> str:
    return level if context.era.has("view_nosniff") else ""


def write_line(context: Context, text: str, *, level: str = _INFO) -> None:
    """Put a line on the console, and tell those who subscribed."""
    line = ConsoleLine(context.now, f"{_mark(context, level)}{text}\n")
    context.log.append(line)
    if not context.subscribers:
        return
    size = None if context.size_sent else TERMINAL
    context.size_sent = True
    for client_id in list(context.subscribers):
        if client_id in context.engine.clients.client_ids:
            data = {"entries": [entry_of(context, line)], "size": size}
            context.engine.publish("logs", data, client_id, context.now)
        else:
            del context.subscribers[client_id]


def entry_of(context: Context, line: ConsoleLine) -> dict[str, str]:
    """A line as the wire has it."""
    when = datetime.fromtimestamp((context.epoch_us + line.t_us) / 1e6, UTC)
    return {"t": when.replace(tzinfo=None).isoformat(), "m": line.text}


def print_failure(context: Context, data: Mapping[str, Any]) -> None:
    """What the worker prints before it says ``execution_error``."""
    message = data["exception_message"].rstrip("\n")
    write_line(context, f"!!! Exception during processing !!! {message}", level=_ERROR)
    frames = "".join(f"{one.rstrip()}\n" for one in data["traceback"])
    last = f"{data['exception_type']}: {message}\n"
    write_line(context, f"Traceback (most recent call last):\n{frames}{last}", level=_ERROR)


def print_end(context: Context, messages: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """What the worker prints when a prompt is gone; ``messages`` are those of its history."""
    stamps = [data["timestamp"] for _, data in messages if "timestamp" in data]
    seconds = (stamps[-1] - stamps[0]) / 1000 if stamps else 0.0
    message = f"Prompt executed in {seconds:.2f} seconds"
    write_line(context, f"\x1b[32m{message}\x1b[0m" if _mark(context, _INFO) else message)
