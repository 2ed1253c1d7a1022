"""One text message -> the few facts that place it in a run: type, prompt, node, sid, queue length.

A timeline of a long recording looks at every message once. It needs five fields of it, so the rest
is stepped over instead of being decoded; ``comfyrec.events`` gives the whole event on demand.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from comfyrec.http.request import loads_or_none

__all__ = ["NOTHING", "Peek", "data_of", "peek_at"]


class Peek(msgspec.Struct, frozen=True):
    """What a message says about where it belongs; fields that it does not have are None."""

    type: str = ""
    """The event's type, ``""`` for what is not a ComfyUI message."""
    prompt_id: str | None = None
    node: str | None = None
    """The node; an ``executing`` that names none is told apart by ``null_node``."""
    null_node: bool = False
    """True for ``"node": null``: the prompt has left the executor."""
    sid: str | None = None
    queue_remaining: int | None = None


NOTHING: Final = Peek()


class _ExecInfo(msgspec.Struct):
    queue_remaining: int | None = None


class _Status(msgspec.Struct):
    exec_info: _ExecInfo | None = None


class _Data(msgspec.Struct):
    prompt_id: str | None = None
    node: str | int | msgspec.UnsetType | None = msgspec.UNSET
    sid: str | None = None
    status: _Status | None = None


class _Message(msgspec.Struct):
    type: str
    data: _Data | None = None


_decoder: Final = msgspec.json.Decoder(_Message)

# What a damaged or hostile message can raise, in msgspec and in the standard parser.
_BAD_INPUT: Final = (msgspec.MsgspecError, ValueError, RecursionError)


def peek_at(text: str | bytes) -> Peek:
    """Look at one text message. Never raises; what cannot be placed tells ``NOTHING``."""
    try:
        message = _decoder.decode(text)
    except _BAD_INPUT:
        return _slowly(text)
    data = message.data or _Data()
    node = data.node
    return Peek(
        type=message.type,
        prompt_id=data.prompt_id,
        node=None if node is None or node is msgspec.UNSET else str(node),
        null_node=node is None,
        sid=data.sid,
        queue_remaining=_remaining(data.status),
    )


def _remaining(status: _Status | None) -> int | None:
    return status.exec_info.queue_remaining if status and status.exec_info else None


def _slowly(text: str | bytes) -> Peek:
    """NaN is not JSON, and data need be no object: what is left is the type and the prompt."""
    message = loads_or_none(text)
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return NOTHING
    data = message.get("data")
    data = data if isinstance(data, dict) else {}
    node, prompt_id = data.get("node"), data.get("prompt_id")
    return Peek(
        type=message["type"],
        prompt_id=prompt_id if isinstance(prompt_id, str) else None,
        node=str(node) if isinstance(node, (str, int)) else None,
        null_node="node" in data and node is None,
    )


def data_of(text: str | bytes) -> Any:
    """The ``data`` of a message; None where there is none, or the message cannot be read."""
    message = loads_or_none(text)
    return message.get("data") if isinstance(message, dict) else None
