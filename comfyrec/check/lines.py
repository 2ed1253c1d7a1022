"""The line protocol: one JSON object per line, both ways, on standard input and output.

::

    client   {"comfyrec": {"ready": 1}}
    comfyrec {"comfyrec": {"run": 1, "url": "http://127.0.0.1:41234", "workflow": {...}, ...}}
    client   {"comfyrec": {"run": 1, "outcome": "success", "prompt_id": "...", "outputs": {...}}}

All other lines are the client's own. A client that ends its standard output has ended; one whose
standard input ends shall end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from comfyrec.http.request import loads_or_none
from fake_server.scenarios.kit.observer import Ending

__all__ = ["PROTOCOL", "Answer", "Ready", "job_line", "line_read"]

PROTOCOL: Final = 1
LINE_BYTES_MAX: Final = 32 << 20
"""A longer line is not read as one of ours: a client may print anything."""
OUTCOMES: Final = get_args(Ending)
BEGINNING: Final = b'{"comfyrec"'


class Ready(msgspec.Struct, frozen=True):
    """The client can take jobs."""

    ready: int
    """The version of the protocol that it speaks."""
    saves: bool = False
    """It saves the files of its outputs in the folder ``out`` of each job that has one."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a client says of one run."""

    run: int
    outcome: str | None = None
    """One of the outcomes of ``comfyrec check``, or ``failed``; None: see ``crash``."""
    prompt_id: str | None = None
    outputs: dict[str, Any] | None = None
    error: str = ""
    crash: str = ""
    """An exception that the client did not handle, as one line."""
    at: str = ""
    """Where it was raised, as ``client.py:12``."""


class _Line(msgspec.Struct, frozen=True):
    comfyrec: dict[str, Any]


_decoder: Final = msgspec.json.Decoder(_Line)


def line_read(line: bytes) -> Ready | Answer | str | None:
    """What a line of the client says; a text says what is wrong with it, None: it is not ours."""
    if not line.lstrip().startswith(BEGINNING):
        return None
    try:
        told = _told(line)
        kind: type[Ready | Answer] = Ready if "ready" in told else Answer
        found: Ready | Answer = msgspec.convert(told, kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        return f"a line that is not one of the protocol: {error}"
    if isinstance(found, Answer) and not found.crash and found.outcome not in (*OUTCOMES, "failed"):
        return f"unknown outcome {found.outcome!r}; the outcomes are {', '.join(OUTCOMES)}"
    return found


def _told(line: bytes) -> dict[str, Any]:
    try:
        return _decoder.decode(line).comfyrec
    except msgspec.DecodeError:
        # NaN, where a client gives the outputs as ComfyUI's history has them.
        value = loads_or_none(line.decode())
        if value is None:
            raise
        return msgspec.convert(value, _Line).comfyrec


def job_line(
    run: int,
    *,
    url: str,
    ws_url: str,
    workflow: Mapping[str, Any],
    timeout_s: float,
    more: Mapping[str, str] | None = None,
) -> bytes:
    """A job for the client.

    Args:
        run: its number; the answer carries the same.
        url: of the server, without a slash at its end.
        ws_url: the same for WebSockets.
        workflow: the prompt to submit, in API format.
        timeout_s: after that the client is stopped.
        more: further members.
    """
    job = {
        "run": run, "url": url, "ws_url": ws_url, "workflow": workflow, "timeout_s": timeout_s,
        **(more or {}),
    }  # fmt: skip
    return msgspec.json.encode({"comfyrec": job}) + b"\n"
