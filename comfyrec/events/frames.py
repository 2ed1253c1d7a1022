"""Text frames made from plain values, byte for byte as ``encode`` writes their events.

``text_frame`` makes any of them. What a server sends most, progress, is put together from parts
that are encoded once: ``progress_state`` repeats every node of its prompt in each frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import isfinite
from typing import Any

import msgspec

from .python_json import comfy_json

__all__ = ["NodeState", "json_number", "progress", "progress_state", "status", "text_frame"]


def text_frame(kind: str, data: Any) -> str:
    """The frame of an event: its type, and its ``data`` as plain values."""
    return f'{{"type": {_type(kind)}, "data": {comfy_json(data)}}}'


@lru_cache(maxsize=256)
def _type(kind: str) -> str:
    return comfy_json(kind)


def status(queue_remaining: int, sid: str | None = None) -> str:
    """A ``status``: how many prompts run or wait; with ``sid`` the greeting of a new socket."""
    data: dict[str, Any] = {"status": {"exec_info": {"queue_remaining": queue_remaining}}}
    if sid is not None:
        data["sid"] = sid
    return text_frame("status", data)


# --- by hand -----------------------------------------------------------------------------------


def json_number(value: float) -> str:
    """A number as JSON; the ordinary ones, which are most, are what Python shows."""
    kind = type(value)
    if kind is int or (kind is float and isfinite(value)):
        return repr(value)
    return comfy_json(value)


def progress(value: str, maximum: str, *, prompt_id: str, node: str) -> str:
    """A ``progress``; all of it as JSON already."""
    return (
        f'{{"type": "progress", "data": {{"value": {value}, "max": {maximum}, '
        f'"prompt_id": {prompt_id}, "node": {node}}}}}'
    )


def progress_state(prompt_id: str, nodes: Iterable[str]) -> str:
    """A ``progress_state`` of a prompt, whose id is JSON already, and of its nodes' entries, each
    as ``NodeState.entry`` writes it."""
    return (
        f'{{"type": "progress_state", "data": {{"prompt_id": {prompt_id}, '
        f'"nodes": {{{", ".join(nodes)}}}}}}}'
    )


class NodeState(msgspec.Struct, frozen=True):
    """What does not change in a node's entry of ``progress_state``; all of it as JSON."""

    before: str
    behind: str

    @classmethod
    def of(
        cls, node_id: str, *, prompt_id: str, display: str, parent: str | None, real: str
    ) -> NodeState:
        """The parts of a node; ``prompt_id`` is JSON already."""
        name = comfy_json(node_id)
        return cls(
            f'{name}: {{"value": ',
            f', "node_id": {name}, "prompt_id": {prompt_id}, '
            f'"display_node_id": {comfy_json(display)}, "parent_node_id": {comfy_json(parent)}, '
            f'"real_node_id": {comfy_json(real)}',
        )

    def entry(self, value: str, maximum: str, state: str, *, activity: str | None = None) -> str:
        """The node's entry; value and maximum are JSON already."""
        doing = "" if activity is None else f', "activity": {comfy_json(activity)}'
        return f'{self.before}{value}, "max": {maximum}, "state": "{state}"{self.behind}{doing}}}'
