"""Whether an interrupt is heeded, and whether one for another prompt is not.

A chain of many short steps is run and interrupted: an executor looks for an interrupt before each
node. Nothing else is: the chain must be what runs at that moment, and a server that looks at ids is
given its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

__all__ = ["STEPS", "Interrupt", "Talk", "chain", "interrupt"]

STEPS: Final = 120
"""Nodes of the chain between its first and its last."""
STEP_PX: Final = 384
"""Width and height of its pictures: a step takes milliseconds, and keeps less than 2 MB."""
MORE: Final = 3
"""Nodes that start after an interrupt which is not heeded: one may have started with it."""
ENOUGH: Final = STEPS // 2
"""Nodes that must still have been to come, for a chain that ran to its end to show anything."""


class Interrupt(msgspec.Struct, frozen=True):
    """What became of a chain that was interrupted."""

    heeded: bool
    """It ended as interrupted."""
    aimed: bool | None = None
    """An interrupt for an id that does not exist left it alone; None where nothing showed that."""


class Talk(Protocol):
    """The connection to a server that runs a chain."""

    def interrupt(self, prompt_id: str) -> None:
        """POST /interrupt, with that id."""
        ...

    def running(self) -> list[str]:
        """The ids of the prompts that run."""
        ...

    def frame(self, *, wait: bool) -> Mapping[str, Any] | None:
        """The next text frame; None if it does not come, or without ``wait``, if none has come."""
        ...


def chain(color: int) -> dict[str, Any]:
    """A picture of a color that no other has, made larger and smaller again and again."""
    side = {"width": STEP_PX, "height": STEP_PX}
    graph: dict[str, Any] = {
        "1": {"class_type": "EmptyImage", "inputs": {**side, "batch_size": 1, "color": color}}
    }
    for number in range(2, STEPS + 2):
        height = STEP_PX - number % 2  # a step to the same size takes no time
        scaled = {"upscale_method": "lanczos", **side, "height": height, "crop": "disabled"}
        inputs = {"image": [str(number - 1), 0], **scaled}
        graph[str(number)] = {"class_type": "ImageScale", "inputs": inputs}
    shown = {"images": [str(STEPS + 1), 0]}
    return {**graph, str(STEPS + 2): {"class_type": "PreviewImage", "inputs": shown}}


def interrupt(talk: Talk, prompt_id: str, unknown_id: str) -> Interrupt | None:
    """Interrupt a chain that was submitted.

    Args:
        talk: the connection; its socket is that of the client that submitted the chain.
        prompt_id: the chain.
        unknown_id: an id that no prompt has.

    Returns:
        What became of it; None where the server was too fast, or busy with something else.
    """
    watch = _Watch(talk, prompt_id)
    watch.until(MORE)
    for asked in (unknown_id, prompt_id):
        if watch.ended or talk.running() != [prompt_id]:
            return None
        talk.interrupt(asked)
        watch.catch_up()
        in_time = watch.started <= ENOUGH
        watch.until(watch.started + MORE if asked == unknown_id else None)
        if watch.outcome == "execution_interrupted":
            return Interrupt(heeded=True, aimed=asked == prompt_id)
    return Interrupt(heeded=False) if in_time and watch.ran_through else None


class _Watch:
    """What has been seen of a prompt."""

    def __init__(self, talk: Talk, prompt_id: str) -> None:
        self._talk, self._prompt_id = talk, prompt_id
        self.started = 0
        """Nodes that have started."""
        self.outcome: str | None = None
        """The type of the frame that said how it ended."""
        self.ended = False
        """It has left the executor, or nothing comes any more."""
        self.ran_through = False

    def until(self, started: int | None) -> None:
        """Read until so many nodes have started, or until the end."""
        while not self.ended and (started is None or self.started < started):
            frame = self._talk.frame(wait=True)
            if frame is None:
                self.ended = True
            else:
                self._saw(frame)

    def catch_up(self) -> None:
        """Read what has come."""
        while not self.ended and (frame := self._talk.frame(wait=False)) is not None:
            self._saw(frame)

    def _saw(self, frame: Mapping[str, Any]) -> None:
        kind, data = frame.get("type"), frame.get("data")
        if not isinstance(data, Mapping) or data.get("prompt_id") != self._prompt_id:
            return
        if kind in ("execution_success", "execution_interrupted", "execution_error"):
            self.outcome = kind
        elif kind == "executing" and data.get("node") is not None:
            self.started += 1
        elif kind == "executing":
            self.ended = True
            # Before there was execution_success, nothing said that a prompt succeeded.
            self.ran_through = self.outcome in ("execution_success", None)
