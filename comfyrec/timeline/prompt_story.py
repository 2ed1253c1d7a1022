"""The messages about one prompt -> what became of it: outcome, times, nodes, who was told.

Times are microseconds since the first record of the recording.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from comfyrec.events.endings import BLOCKED
from comfyrec.timeline.message_summary import data_of
from comfyrec.timeline.model import Message, RecordedPrompt
from comfyrec.timeline.node_runs import NodeRun, NodeRuns
from comfyrec.timeline.prompts import is_terminal

__all__ = [
    "PICTURES",
    "Failure",
    "Heard",
    "PromptStory",
    "PromptTelling",
    "failure_of",
    "picture_of",
]

_PREVIEW: Final = 1
_PREVIEW_WITH_METADATA: Final = 4
PICTURES: Final = (_PREVIEW, _PREVIEW_WITH_METADATA)
"""Types of binary messages that hold a picture."""


class Failure(msgspec.Struct, frozen=True):
    """What the server said of a node that failed, in its own words."""

    node_id: str
    class_type: str
    exception_type: str
    message: str
    traceback: tuple[str, ...] = ()

    @property
    def blocked(self) -> bool:
        """An output was blocked: the prompt went on (protocol.md section 2.2)."""
        return self.exception_type == BLOCKED

    def __str__(self) -> str:
        where = " ".join(filter(None, (self.class_type, self.node_id)))
        return ": ".join(filter(None, (where, self.exception_type, self.message.strip())))


class Heard(msgspec.Struct, frozen=True):
    """What one socket was told about a prompt."""

    socket: int
    frames: int
    first_us: int


class PromptStory(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt, from its submission to its end."""

    number: int
    prompt_id: str
    client_id: str | None = None
    outcome: str = ""
    """``success``, ``error``, ``interrupted``, ``deleted``, ``""``: the recording does not say."""
    submitted_us: int | None = None
    """When its POST began; None: before the recording."""
    started_us: int | None = None
    ended_us: int | None = None
    """When its outcome was said (success before 0.0.3: when it left)."""
    left_us: int | None = None
    nodes: tuple[NodeRun, ...] = ()
    previews: int = 0
    outputs: dict[str, Any] = {}
    failure: Failure | None = None
    heard: tuple[Heard, ...] = ()
    """Which sockets were told about it; empty: nobody listened."""

    @property
    def queue_wait_us(self) -> int | None:
        """From the POST to the start; None where one of them is not known."""
        known = self.submitted_us is not None and self.started_us is not None
        return self.started_us - self.submitted_us if known else None  # type: ignore[operator]

    @property
    def run_us(self) -> int | None:
        """From the start to the end; None where one of them is not known."""
        known = self.ended_us is not None and self.started_us is not None
        return self.ended_us - self.started_us if known else None  # type: ignore[operator]

    @property
    def files(self) -> int:
        """How many files its outputs name."""
        return sum(len(run.files) for run in self.nodes)


class PromptTelling:
    """Takes what the sockets were told of one prompt, in order; ``told`` gives its story."""

    def __init__(self, prompt: RecordedPrompt) -> None:
        self.runs = NodeRuns(prompt)
        self.previews = 0
        self.started: int | None = None
        self.ended: int | None = None
        self.left: int | None = None
        self.failure: Failure | None = None
        self.last: int | None = None
        """Time of the latest message about it."""
        self.silence_us: int | None = None
        """How long nothing was said of it before its end was."""
        self._heard: dict[int, Heard] = {}

    def about(self, message: Message, socket: int | None) -> None:
        """The next message that names the prompt; ``socket`` None: an answer told of it."""
        runs, kind, t = self.runs, message.peek.type, message.t
        runs.take(message, socket)
        if socket is not None:
            heard = self._heard.get(socket, Heard(socket, 0, t))
            self._heard[socket] = Heard(socket, heard.frames + 1, min(heard.first_us, t))
        if kind == "execution_start":
            self.started = t if self.started is None else self.started
        elif kind == "executing" and message.peek.null_node:
            self.left = t if self.left is None else self.left
            self._ends(t)
        elif kind == "execution_error":
            self._failed(failure_of(data_of(message.data)))
        if is_terminal(message):
            self._ends(t)
            runs.end(t)
        self.last = t

    def _ends(self, t: int) -> None:
        if self.ended is None:
            self.ended = t
            self.silence_us = None if self.last is None else t - self.last

    def _failed(self, failure: Failure) -> None:
        """Keep what ended the prompt; else the first output that was blocked."""
        if self.failure is None or not failure.blocked:
            self.failure = failure

    def picture(self, node: str | None) -> None:
        """A preview came; ``node`` None: of the node that runs."""
        self.previews += 1
        self.runs.preview(node)

    def told(
        self, prompt: RecordedPrompt, start: int, *, posted: int | None, history: dict[str, Any]
    ) -> PromptStory:
        """The story as it stands now.

        Args:
            prompt: what is known of it.
            start: time of the first record, in the messages' own time.
            posted: when it was submitted, in the same time.
            history: its entry, if it was asked for.
        """
        failure = self.failure
        if failure is None and prompt.outcome == "error":
            failure = _failure_in(history)
        return PromptStory(
            number=prompt.number,
            prompt_id=prompt.prompt_id,
            client_id=prompt.client_id,
            outcome=prompt.outcome,
            submitted_us=_since(posted, start),
            started_us=_since(self.started, start),
            ended_us=_since(self.ended, start),
            left_us=_since(self.left, start),
            nodes=self.runs.done(start),
            previews=self.previews,
            outputs=prompt.outputs,
            failure=failure,
            heard=tuple(
                Heard(one.socket, one.frames, one.first_us - start)
                for _, one in sorted(self._heard.items())
            ),
        )


def _since(t: int | None, start: int) -> int | None:
    return None if t is None else t - start


def picture_of(message: Message) -> tuple[str | None, str | None]:
    """(prompt_id, node id) of a preview: empty where it does not say; None: it is not a preview."""
    assert isinstance(message.data, bytes), "only binary messages hold pictures"
    if message.binary_type == _PREVIEW_WITH_METADATA:
        return _whose(message.data)
    return ("", None) if message.binary_type == _PREVIEW else (None, None)


def _whose(frame: bytes) -> tuple[str, str | None]:
    """(prompt_id, node id) of a picture with metadata (protocol.md section 2.4)."""
    size = int.from_bytes(frame[4:8], "big")
    metadata = _metadata(frame[8 : 8 + size])
    node = metadata.get("node_id")
    return str(metadata.get("prompt_id", "")), None if node is None else str(node)


def _metadata(text: bytes) -> dict[str, Any]:
    try:
        metadata = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def failure_of(data: Any) -> Failure:
    """What an ``execution_error`` says; fields that it lacks are empty."""
    said = data if isinstance(data, dict) else {}
    lines = said.get("traceback")
    return Failure(
        node_id=str(said.get("node_id", "")),
        class_type=str(said.get("node_type", "")),
        exception_type=str(said.get("exception_type", "")),
        message=str(said.get("exception_message", "")),
        traceback=tuple(map(str, lines)) if isinstance(lines, list) else (),
    )


def _failure_in(entry: dict[str, Any]) -> Failure | None:
    """The error that a history entry tells of, where no frame did."""
    status = entry.get("status")
    messages = status.get("messages") if isinstance(status, dict) else None
    for item in messages if isinstance(messages, list) else ():
        if isinstance(item, list) and len(item) == 2 and item[0] == "execution_error":
            return failure_of(item[1])
    return None
