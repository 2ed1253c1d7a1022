"""What the server prints while it works, and who reads along: lines -> ``logs`` frames.

Recording ``logs_subscription``; PROTOCOL.md, section 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from fake_server.actions import Action, Send
from fake_server.question import loads
from fake_server.routes.kit import Line, Place

__all__ = ["TERMINAL", "banner", "entry_of", "told", "write_line"]

TERMINAL: Final = {"cols": 80, "rows": 24}
_INFO: Final = "\x1b[32m[INFO]\x1b[0m "
_ERROR: Final = "\x1b[1m\x1b[31m[ERROR]\x1b[0m "
# Frames that stand beside a line of the console; all frames begin like this.
_FAILED: Final = '{"type": "execution_error"'
_GONE: Final = '{"type": "executing", "data": {"node": null'
_BEGINNINGS: Final = (_FAILED, _GONE)


def banner(place: Place) -> Iterator[Line]:
    """What stands on the console once the server has started."""
    for said in (
        "Total VRAM 65536 MB, total RAM 65536 MB",
        "pytorch version: 2.8.0+cpu",
        "Set vram state to: DISABLED",
        "Device: cpu",
        f"ComfyUI version: {place.era.version}",
        "Starting server\n",
    ):
        yield Line(place.now, f"{_mark(place, _INFO)}{said}\n")


def _mark(place: Place, level: str) -> str:
    return level if place.era.has("view_nosniff") else ""


def write_line(place: Place, said: str, *, level: str = _INFO) -> None:
    """Put a line on the console, and tell those who subscribed."""
    line = Line(place.now, f"{_mark(place, level)}{said}\n")
    place.log.append(line)
    if not place.subscribers:
        return
    size = None if place.told_size else TERMINAL
    place.told_size = True
    for client_id in list(place.subscribers):
        if client_id in place.engine.speaker.client_ids:
            data = {"entries": [entry_of(place, line)], "size": size}
            place.engine.publish("logs", data, client_id, place.now)
        else:
            del place.subscribers[client_id]


def entry_of(place: Place, line: Line) -> dict[str, str]:
    """A line as the wire has it."""
    when = datetime.fromtimestamp((place.epoch_us + line.t_us) / 1e6, UTC)
    return {"t": when.replace(tzinfo=None).isoformat(), "m": line.text}


def told(place: Place, actions: Iterable[Action]) -> list[Action]:
    """What the worker does, with the lines that it prints beside it."""
    done: list[Action] = []
    for action in actions:
        message = action.message if type(action) is Send else b""
        if type(message) is not str or not message.startswith(_BEGINNINGS):
            done.append(action)
            continue
        if message.startswith(_FAILED):
            _print_failure(place, loads(message)["data"])
            done += place.engine.take()
        done.append(action)
        if message.startswith(_GONE):
            _print_end(place, loads(message)["data"]["prompt_id"])
            done += place.engine.take()
    return done


def _print_failure(place: Place, data: dict[str, Any]) -> None:
    said = data["exception_message"].rstrip("\n")
    if data["exception_type"] != "ExecutionBlocked":
        write_line(place, f"!!! Exception during processing !!! {said}", level=_ERROR)
        frames = "".join(f"{one.rstrip()}\n" for one in data["traceback"])
        last = f"{data['exception_type']}: {said}\n"
        write_line(place, f"Traceback (most recent call last):\n{frames}{last}", level=_ERROR)


def _print_end(place: Place, prompt_id: str) -> None:
    entry = place.engine.history.get(prompt_id)
    stamps = [data["timestamp"] for _, data in entry["status"]["messages"]
              if "timestamp" in data] if entry else []  # fmt: skip
    seconds = (stamps[-1] - stamps[0]) / 1000 if stamps else 0.0
    said = f"Prompt executed in {seconds:.2f} seconds"
    write_line(place, f"\x1b[32m{said}\x1b[0m" if _mark(place, _INFO) else said)
