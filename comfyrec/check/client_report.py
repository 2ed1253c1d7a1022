"""what a command printed and how it ended -> what it reported.

A client may say it outright, in one line of its standard output that is a JSON object:

    {"comfyrec": {"outcome": "success", "prompt_id": "...", "outputs": {...}, "error": "..."}}

``outcome`` is one of success, error, interrupted, cancelled, rejected, lost, timed-out; the rest is
optional, ``outputs`` as in a history entry. Without such a line the exit status counts: 0 is
success, 130 interrupted, everything else a failure of some kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from comfyrec.check.case import OUTCOMES, Outcome, Report
from comfyrec.http.request import loads_or_none
from comfyrec.wording import shortened

__all__ = ["Ran", "last_line", "report_of", "reports_in"]

INTERRUPTED: Final = 130
LINE_MAX: Final = 200

# The last line of a traceback: an exception's dotted name, a colon, its text.
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Closed\w*|Timeout\w*)\b.*")
_TRACEBACK = "Traceback (most recent call last)"
_LIBRARY = re.compile(r"site-packages|[\\/]lib[\\/]python")
_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+)', re.MULTILINE)
# An uncaught error of JavaScript: its name and text, its frames; Node.js ends with its version.
_JS_ERROR = re.compile(
    r"^(?:error: )?(?:Uncaught )?(?:\(in promise\) )?"
    r"(?P<error>(?:[A-Z]\w*)?(?:Error|Exception)\b[^\n]*)\n(?P<frames>(?:[ \t]+at [^\n]+\n?)+)",
    re.MULTILINE,
)
_JS_FRAME = re.compile(
    r"at (?:async )?(?:[^\n]*\()?(?:file://)?(/[^\n]*?|[A-Za-z]:[^\n]*?):(\d+):\d+\)?(?: \{)?$"
)
_JS_LIBRARY = re.compile(r"[\\/]node_modules[\\/]")
_NODE_VERSION = re.compile(r"^Node\.js v\d[^\n]*\s*\Z", re.MULTILINE)


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended."""

    status: int | None
    """Exit status; None: it was stopped because its time was over."""
    signal: str = ""
    """The signal that ended it, if that was not ours."""
    stdout: str = ""
    stderr: str = ""
    ended_s: float = 0.0
    """On the clock of the server."""
    took_s: float = 0.0
    memory: tuple[tuple[float, int], ...] = ()
    """Its peak so far, with its children: (seconds, bytes) whenever it rose."""


def report_of(ran: Ran, *, files: Sequence[bytes] | None = None) -> Report:
    """Put together what a command reported.

    Args:
        ran: how it ended.
        files: what it left in its output folder; None if it was given none.
    """
    lines = list(reports_in(ran.stdout))
    last: dict[str, Any] = lines[-1] if lines else {}
    words: list[Any] = [line.get("outcome") for line in lines]
    known: tuple[Outcome, ...] = tuple(word for word in words if word in OUTCOMES)
    outputs = last.get("outputs")
    prompt_id = last.get("prompt_id")
    hung = ran.status is None and not ran.signal
    crash, crash_at = _crash(ran, words)
    return Report(
        outcomes=known if words else _by_status(ran),
        at_s=None if hung else ran.ended_s,
        prompt_id=prompt_id if isinstance(prompt_id, str) else None,
        outputs=outputs if isinstance(outputs, dict) else None,
        files=None if files is None else tuple(files),
        text=f"{ran.stdout}\n{ran.stderr}",
        crash=crash,
        crash_at=crash_at,
        last_words=_last_words(last.get("error"), ran.stderr),
        memory=ran.memory,
    )


def reports_in(stdout: str) -> Iterator[dict[str, Any]]:
    """The lines of an output that are reports for us, in order."""
    for line in stdout.splitlines():
        if line.lstrip().startswith('{"comfyrec"'):
            # NaN, where a client gives the outputs as ComfyUI's history has them.
            value = loads_or_none(line)
            if isinstance(value, dict) and isinstance(value.get("comfyrec"), dict):
                yield value["comfyrec"]


def _by_status(ran: Ran) -> tuple[Outcome, ...]:
    if ran.status is None:
        return ()
    if ran.status == 0:
        return ("success",)
    return ("interrupted",) if ran.status == INTERRUPTED else ("failed",)


def _crash(ran: Ran, words: Sequence[Any]) -> tuple[str, str]:
    """Why there is no proper report, and where in the client that happened."""
    for word in words:
        if word not in OUTCOMES:
            given = shortened(repr(word), LINE_MAX)
            return f"unknown outcome {given}; the outcomes are {', '.join(OUTCOMES)}", ""
    if ran.signal:
        return f"killed by {ran.signal}", ""
    if ran.status in (0, None):
        return "", ""
    _, found, trace = ran.stderr.rpartition(_TRACEBACK)
    if not found:
        return _js_crash(ran.stderr)
    errors = [line for line in trace.splitlines() if _EXCEPTION.match(line)]
    return shortened(errors[-1], LINE_MAX) if errors else "an uncaught exception", _place(trace)


def _js_crash(stderr: str) -> tuple[str, str]:
    """The same of a program in JavaScript, whose last words are those of its runtime."""
    ended = _NODE_VERSION.search(stderr)
    said = stderr[: ended.start()] if ended else stderr.rstrip() + "\n"
    found = list(_JS_ERROR.finditer(said))
    if not found or (not ended and found[-1].end() < len(said)):
        return "", ""
    frames = [m.groups() for line in found[-1]["frames"].splitlines() for m in _js_frame(line)]
    return shortened(found[-1]["error"], LINE_MAX), _innermost(frames[::-1], _JS_LIBRARY)


def _js_frame(line: str) -> list[re.Match[str]]:
    found = _JS_FRAME.search(line)
    return [found] if found else []


def _place(trace: str) -> str:
    """The innermost frame of a traceback that is not of an installed library."""
    return _innermost(_FRAME.findall(trace), _LIBRARY)


def _innermost(frames: Sequence[Sequence[str]], library: re.Pattern[str]) -> str:
    own = [frame for frame in frames if not library.search(frame[0])]
    if not frames:
        return ""
    path, line = (own or frames)[-1]
    return f"{path.replace(chr(92), '/').rpartition('/')[2]}:{line}"


def _last_words(error: Any, stderr: str) -> str:
    """Its own word for what went wrong, which libraries write nothing into, or else a line."""
    return last_line(error if isinstance(error, str) and error.strip() else stderr)


def last_line(text: str) -> str:
    """The last line that says something, not too long; empty: there is none."""
    said = _NODE_VERSION.sub("", text)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return shortened(lines[-1], LINE_MAX) if lines else ""
