"""An event of a prompt -> a line for a person, a line of JSON, a line by a format string."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from comfyrec.client.progress_event import ProgressEvent, ProgressInfo
from comfyrec.events.endings import BLOCKED
from comfyrec.events.nesting import NESTED_MAX
from comfyrec.wording import did_you_mean

__all__ = [
    "FormatError",
    "as_format",
    "as_json",
    "as_text",
    "chain_callbacks",
    "check_format",
    "json_line",
    "printable",
]


def chain_callbacks(
    *callbacks: Callable[[ProgressEvent], object] | None,
) -> Callable[[ProgressEvent], None]:
    """One callback that calls all of them in order; ``None`` among them is skipped.

    One that raises does not keep the others from being called; afterwards its exception goes on
    (several as one ``ExceptionGroup``), so that it is reported.
    """
    called = [callback for callback in callbacks if callback is not None]

    def chained(event: ProgressEvent) -> None:
        raised: list[Exception] = []
        for callback in called:
            try:
                callback(event)
            except Exception as error:
                raised.append(error)
        if len(raised) == 1:
            raise raised[0]
        if raised:
            raise ExceptionGroup("callbacks raised", raised)

    return chained


def printable(text: str) -> str:
    """The text with control characters escaped: what a server sends is shown, never interpreted."""
    return "".join(c if c.isprintable() or c == " " else repr(c)[1:-1] for c in text)


def as_json(event: ProgressEvent, *, raw: bool = False) -> str:
    """One compact line of JSON; NaN and Infinity, which JSON does not have, become null.

    Args:
        event: what happened.
        raw: only the server's message, if there is one, instead of everything that is known.
    """
    return json_line(event.raw if raw and isinstance(event.raw, dict) else dict(event))


def json_line(value: Any) -> str:
    """Any value as one compact line of strict JSON.

    NaN and infinity are ``null`` in it, and so is what nests too deeply to be written with them.
    """
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=str)
    except (ValueError, RecursionError):
        return json.dumps(_finite(value, NESTED_MAX), separators=(",", ":"), default=str)


def _finite(value: Any, most: int) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one, most - 1) for key, one in value.items()} if most else None
    if isinstance(value, list | tuple):
        return [_finite(one, most - 1) for one in value] if most else None
    return value


class FormatError(ValueError):
    """A format string names an unknown field, or a format that does not fit its value."""


def as_format(event: ProgressEvent, pattern: str) -> str:
    """A line by ``str.format``, such as ``{type} {node_current} {nodes_progress:.0%}``.

    Lists become their length; what is not known becomes an empty text.

    Raises:
        FormatError: names the field and those that exist.
    """
    values = {key: _plain(value) for key, value in event.items() if key not in ("data", "raw")}
    values["data"], values["raw"] = _Late(event, "data"), _Late(event, "raw")
    try:
        return pattern.format_map(values)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError):
        raise FormatError(_why_not(pattern, values)) from None


def check_format(pattern: str) -> None:
    """Find out whether ``as_format`` can use a format, before there is an event.

    Raises:
        FormatError: names the field and those that exist.
    """
    now = ProgressInfo(
        node_current="1", node_progress_value=1, node_progress_max=2, queue_position=1
    )
    as_format(ProgressEvent("progress", 1, "client", "prompt", now, 0, data={}, raw={}), pattern)


def _why_not(pattern: str, values: Mapping[str, Any]) -> str:
    """What is wrong with a format that ``str.format`` refuses, and how to write it."""
    try:
        fields = [(name, how or "") for _, name, how, _ in Formatter().parse(pattern)]
    except ValueError:
        return "a brace stands alone; write {type} for a field, and {{ or }} for a brace itself"
    for name, how in fields:
        if name is None:
            continue
        plain = re.split(r"[.\[]", name, maxsplit=1)[0]
        if plain not in values:
            listed = f"the fields are {', '.join(values)}"
            hint = did_you_mean(plain, values, otherwise="").strip()
            return f"unknown field '{plain}'; {f'{hint} {listed}' if hint else listed}"
        if plain != name:
            return f"{{{name}}}: a field has no parts; write {{{plain}}}"
        try:
            format(values[name], how)
        except (ValueError, TypeError):
            return f"{{{name}:{how}}}: '{how}' does not fit what is in it; write {{{name}}}"
    return "it cannot be used; write fields as {type}"


class _Late:
    """A value that costs a parse, taken only when the format names it."""

    def __init__(self, event: ProgressEvent, key: str) -> None:
        self._told, self._key = event, key

    def __format__(self, how: str) -> str:
        return format(str(self._told[self._key]), how)


class _Unknown:
    """``None`` under any format: an empty text, not an error."""

    def __format__(self, how: str) -> str:
        return ""


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return len(value)
    return _Unknown() if value is None else value


def as_text(event: ProgressEvent) -> str | None:
    """One line for a person; None if the event is not worth one."""
    line = _lines.get(event.type)
    words = line(event) if line is not None else None
    if words is None:
        return None
    return f"[{event.progress.nodes_progress:4.0%}] {printable(words)}"


def _queue(event: ProgressEvent) -> str:
    position = event.progress.queue_position
    return "next in the queue" if not position else f"waiting, {position} before it"


def _executing(event: ProgressEvent) -> str | None:
    node = event.progress.node_current
    return None if node is None or event.data.get("node") is None else f"node {node}"


def _progress(event: ProgressEvent) -> str | None:
    now = event.progress
    value, most = now.node_progress_value, now.node_progress_max
    if value is None and most is None:  # as Comfy API v2 has it of nodes without steps
        return None if now.node_current is None else f"node {now.node_current}"
    return f"node {now.node_current}: {_short(value)}/{_short(most)}"


def _short(number: float | None) -> str:
    return "?" if number is None else f"{number:g}"


def _cached(event: ProgressEvent) -> str | None:
    skipped = event.progress.nodes_skipped
    return f"{len(skipped)} of {event.progress.nodes_total} nodes cached" if skipped else None


def _connection(event: ProgressEvent) -> str:
    if event.data["state"] == "back":
        return "reconnected"
    return f"connection lost ({event.data['why']}); watching the history instead"


def _completed(event: ProgressEvent) -> str:
    found = ", found in the history" if event.detected_by else ""
    return f"completed in {event.time_elapsed_s:.1f} s{found}"


def _failed(event: ProgressEvent) -> str:
    return f"{event.type}: {event.data.get('reason', '')}"


def _message(event: ProgressEvent) -> str | None:
    """``execution_error`` and ``execution_interrupted``: the reason comes with the end."""
    data = event.data if isinstance(event.data, dict) else {}
    if data.get("exception_type") != BLOCKED:
        return None
    return f"node {data.get('node_id')}: {data.get('exception_message')}"


_lines: dict[str, Callable[[ProgressEvent], str | None]] = {
    "submitted": lambda event: f"submitted as {event.prompt_id}",
    "queue": _queue,
    "execution_start": lambda event: "started",
    "execution_cached": _cached,
    "executing": _executing,
    "progress": _progress,
    "execution_error": _message,
    "connection": _connection,
    "completed": _completed,
    "error": _failed,
    "interrupted": _failed,
    "cancelled": _failed,
    "lost": _failed,
    "timed-out": _failed,
}
