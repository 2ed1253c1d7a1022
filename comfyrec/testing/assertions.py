"""What a test may demand of a client, in one line each; the message says what was there instead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from comfyrec.events.outputs import files_in
from comfyrec.wording import shortened

if TYPE_CHECKING:
    from comfyrec.testing.handle import ComfyUI
    from comfyrec.testing.observed import SeenRequest

__all__ = [
    "all_closed",
    "difference",
    "interrupted",
    "no_foreign_prompt_used",
    "one_terminal_event",
    "prompt_equals",
    "socket_before_post",
]

TERMINAL = ("execution_success", "execution_error", "execution_interrupted")
DIFFERENCES_SHOWN_MAX = 12


def _frames(server: ComfyUI) -> Iterator[dict[str, Any]]:
    """All frames that are objects with data; others say nothing of a prompt."""
    for _, _, message in server.frames:
        if isinstance(message, str) and "prompt_id" in message:
            try:
                frame = json.loads(message)
            except ValueError:
                continue  # a scenario may send anything
            if isinstance(frame, dict) and isinstance(frame.get("data"), dict):
                yield frame


def _frames_about(server: ComfyUI, prompt_id: str) -> Iterator[dict[str, Any]]:
    return (frame for frame in _frames(server) if frame["data"].get("prompt_id") == prompt_id)


def _only_prompt(server: ComfyUI, prompt_id: str | None) -> str:
    __tracebackhide__ = True
    if prompt_id is not None:
        return prompt_id
    prompts = server.prompts
    assert len(prompts) == 1, f"{len(prompts)} prompts were submitted; say which prompt_id"
    return prompts[0].prompt_id


def one_terminal_event(self: ComfyUI, prompt_id: str | None = None) -> str:
    """Exactly one of success, error and interrupted was sent for the prompt; gives its type."""
    __tracebackhide__ = True
    wanted = _only_prompt(self, prompt_id)
    ends = [
        frame["type"]
        for frame in _frames_about(self, wanted)
        if frame["type"] in TERMINAL
        # An output that was blocked with a message is reported like this, and is no end.
        and frame["data"].get("exception_type") != "ExecutionBlocked"
    ]
    assert len(ends) == 1, f"prompt {wanted} has {len(ends)} terminal events: {ends}"
    return str(ends[0])


def interrupted(self: ComfyUI, prompt_id: str | None = None) -> None:
    """The client asked to interrupt this prompt, by its id, and not whatever happens to run."""
    __tracebackhide__ = True
    wanted = _only_prompt(self, prompt_id)
    asked = [r for r in self.requests if r.method == "POST" and r.path == "/interrupt"]
    assert asked, "nobody posted to /interrupt"
    bodies = [json.loads(r.body) if r.body else {} for r in asked]
    ids = [body.get("prompt_id") for body in bodies if isinstance(body, dict)]
    assert wanted in ids, f"/interrupt was posted {len(asked)} times, for {ids}, not for {wanted}"
    assert None not in ids, "one /interrupt named no prompt_id: it stops whatever runs"


def no_foreign_prompt_used(self: ComfyUI) -> None:
    """The client took nothing from frames of somebody else's prompt: no id, and no file."""
    __tracebackhide__ = True
    own = {prompt.prompt_id for prompt in self.prompts}
    foreign = _Named()
    for frame in _frames(self):
        foreign.note(frame, own)
    used = [
        f"{request.method} {request.path} names {name}"
        for request in self.requests
        for name in foreign.used_in(request, own)
    ]
    assert not used, f"the client used what belongs to foreign prompts: {'; '.join(used)}"


class _Named:
    """Ids of foreign prompts, and files that only foreign prompts have put out."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._files: set[str] = set()
        self._own_files: set[str] = set()

    def note(self, frame: dict[str, Any], own: set[str]) -> None:
        """Take in one frame."""
        data = frame["data"]
        prompt_id = data.get("prompt_id")
        if not isinstance(prompt_id, str):
            return
        files = self._own_files if prompt_id in own else self._files
        files.update(file.filename for file in files_in(data.get("output")))
        if prompt_id not in own:
            self._ids.add(prompt_id)

    def used_in(self, request: SeenRequest, own: set[str]) -> Iterator[str]:
        """What of this a request asks for or tells."""
        if request.path.startswith("/history/"):
            asked = request.path.rpartition("/")[2]
            if asked not in own:
                yield asked
                return
        if request.path == "/view":
            yield from self._files.difference(self._own_files) & set(_values(request.query))
        elif request.path != "/prompt":
            text = request.path.encode() + request.body
            yield from sorted(one for one in self._ids if one.encode() in text)


def _values(query: dict[str, list[str]]) -> Iterator[str]:
    return (value for values in query.values() for value in values)


def socket_before_post(self: ComfyUI) -> None:
    """The websocket of the prompt's client_id was open before the prompt was posted."""
    __tracebackhide__ = True
    for prompt in self.prompts:
        before = [
            socket
            for socket in self.sockets
            if socket.accepted
            and socket.client_id == prompt.client_id
            and socket.serial < prompt.request.serial
        ]
        assert before, (
            f"prompt {prompt.prompt_id} was posted before a websocket with clientId "
            f"{prompt.client_id!r} was open: its first frames are lost"
        )


def all_closed(self: ComfyUI, timeout: float | None = None) -> None:
    """The client has closed every websocket (waits for that)."""
    __tracebackhide__ = True
    self.wait_until(
        lambda: not [s for s in self._witness.sockets if s.open],
        "the client to close its websockets",
        timeout,
    )


def prompt_equals(self: ComfyUI, expected: dict[str, Any], *, number: int = -1) -> None:
    """The graph of a submitted prompt (the last one) equals ``expected``; else says where not."""
    __tracebackhide__ = True
    prompts = self.prompts
    assert prompts, "no prompt was accepted"
    found = list(difference(expected, prompts[number].graph))
    shown = "\n".join(f"  {line}" for line in found[:DIFFERENCES_SHOWN_MAX])
    more = len(found) - DIFFERENCES_SHOWN_MAX
    tail = f"\n  and {more} more" if more > 0 else ""
    assert not found, f"the submitted graph differs from the expected one:\n{shown}{tail}"


def difference(expected: Any, actual: Any, path: str = "") -> Iterator[str]:
    """Where two JSON values differ: one line each, with the place as ``node/inputs/seed``."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in [*expected, *(key for key in actual if key not in expected)]:
            below = f"{path}/{key}" if path else str(key)
            if key not in actual:
                yield f"{below}: missing, expected {_short(expected[key])}"
            elif key not in expected:
                yield f"{below}: {_short(actual[key])}, expected nothing"
            else:
                yield from difference(expected[key], actual[key], below)
    elif type(expected) is not type(actual) or expected != actual:
        yield f"{path}: {_short(actual)}, expected {_short(expected)}"


def _short(value: Any) -> str:
    return shortened(json.dumps(value, default=str), 60)
