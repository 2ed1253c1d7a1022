"""A frame of the server behind -> the frames that Comfy Cloud sends in its place."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from comfyrec.events.frames import text_frame
from comfyrec.http.request import loads_or_none
from fake_server.surfaces.cloud.settings import CloudSettings

__all__ = ["category_of", "data_of", "notification", "prompt_of", "start_frames", "to_cloud"]

NEVER_SENT: Final = frozenset({"feature_flags", "logs"})
"""Types that Comfy Cloud does not have; the ``assets.`` family neither."""
BINARY_KINDS: Final = (1, 3, 4)
CATEGORIES: Final[Mapping[str, str]] = {
    "OutOfMemory": "OOMError",
    "OOM": "OOMError",
    "nsufficient credits": "InsufficientFundsError",
    "ValidationError": "ValidationError",
    "ExecutionBlocked": "ExecutionBlocked",
}
"""A part of the exception's type, or of its message -> the category that tells it."""
EXECUTING: Final = "Executing workflow..."
"""The one text of a notification that the pages show."""

_LEAST: Final = ("prompt_id", "exception_message")
_FEW: Final = (*_LEAST, "exception_type")

Frame = str | bytes
Data = Mapping[str, Any]


def category_of(data: Data) -> str:
    """Which of its categories Comfy Cloud files an exception under."""
    said = f"{data.get('exception_type')} {data.get('exception_message')}"
    return next((name for part, name in CATEGORIES.items() if part in said), "ServiceError")


def data_of(message: Frame) -> tuple[str, Data]:
    """Type and data of a text frame; empty where there is none."""
    value = loads_or_none(message.encode()) if isinstance(message, str) else None
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return "", {}
    data = value.get("data")
    return value["type"], data if isinstance(data, dict) else {}


def prompt_of(data: Data) -> str | None:
    """The prompt that a frame names."""
    prompt_id = data.get("prompt_id")
    return prompt_id if isinstance(prompt_id, str) else None


def notification(text: str) -> str:
    """A sentence for the user."""
    return text_frame("notification", {"value": text})


def start_frames(data: Data) -> list[Frame]:
    """What is sent when a job begins."""
    return [notification(EXECUTING), text_frame("execution_start", data)]


def to_cloud(message: Frame, settings: CloudSettings) -> list[Frame]:
    """The frames that are sent in the place of one."""
    if not isinstance(message, str):
        kind = struct.unpack(">I", message[:4])[0] if len(message) >= 4 else 0
        return [message] if kind in BINARY_KINDS else []
    name, data = data_of(message)
    if name in NEVER_SENT or name.startswith("assets."):
        return []
    change = _CHANGED.get(name)
    return [message] if change is None else change(data, settings)


def _start(data: Data, settings: CloudSettings) -> list[Frame]:
    return start_frames(data)


def _error(data: Data, settings: CloudSettings) -> list[Frame]:
    told = {**data, "exception_type": category_of(data)}
    names = {"least": _LEAST, "few": _FEW, "all": tuple(told)}[settings.errors]
    return [text_frame("execution_error", {name: told[name] for name in names if name in told})]


def _interrupted(data: Data, settings: CloudSettings) -> list[Frame]:
    named = {name: data[name] for name in ("prompt_id", "timestamp") if name in data}
    return [text_frame("execution_interrupted", named)]


_CHANGED: Final[Mapping[str, Callable[[Data, CloudSettings], list[Frame]]]] = {
    "execution_start": _start,
    "execution_error": _error,
    "execution_interrupted": _interrupted,
}
