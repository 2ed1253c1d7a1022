"""What a test may demand of a client, in one line each; the message says what was there instead.

Each takes what a test saw; the methods of ``Asserting`` hand it in, whoever saw it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from comfyrec.events.endings import prompt_ending
from comfyrec.events.outputs import files_in
from comfyrec.testing.observed import Seen, SeenRequest, SeenSocket
from comfyrec.wording import plural, shortened, shortened_list

__all__ = [
    "Asserting",
    "difference",
    "interrupted",
    "no_foreign_prompt_used",
    "one_terminal_event",
    "prompt_equals",
    "socket_before_post",
]

DIFFERENCES_SHOWN_MAX: Final = 12
VALUE_MAX: Final = 60


def one_terminal_event(seen: Seen, prompt_id: str | None = None) -> str:
    """Exactly one of success, error and interrupted was sent for the prompt; gives its type."""
    __tracebackhide__ = True
    wanted = _only_prompt(seen, prompt_id)
    ends = [
        frame["type"]
        for frame in _frames(seen)
        if frame["data"].get("prompt_id") == wanted
        and prompt_ending(frame["type"], partial(frame.get, "data"))
    ]
    assert len(ends) == 1, f"prompt {wanted} has {plural(len(ends), 'terminal event')}: {ends}"
    return str(ends[0])


def interrupted(seen: Seen, prompt_id: str | None = None) -> None:
    """The client asked to interrupt this prompt, by its id, and not whatever happens to run."""
    __tracebackhide__ = True
    wanted = _only_prompt(seen, prompt_id)
    posts = [r for r in seen.requests if r.method == "POST" and r.path == "/interrupt"]
    assert posts, "nobody posted to /interrupt"
    bodies = [json.loads(r.body) if r.body else {} for r in posts]
    ids = [body.get("prompt_id") for body in bodies if isinstance(body, dict)]
    times = plural(len(posts), "time")
    assert wanted in ids, f"/interrupt was posted {times}, for {ids}, but not for {wanted}"
    assert None not in ids, "one POST /interrupt has no prompt_id: it stops whatever runs"


def no_foreign_prompt_used(seen: Seen) -> None:
    """The client took nothing from messages about another user's prompt: no id, and no file."""
    __tracebackhide__ = True
    own = {prompt.prompt_id for prompt in seen.prompts}
    foreign = _Named()
    for frame in _frames(seen):
        foreign.note(frame, own)
    used = [
        f"{request.method} {request.path} names {name}"
        for request in seen.requests
        for name in foreign.used_in(request, own)
    ]
    assert not used, f"the client used what belongs to foreign prompts: {'; '.join(used)}"


def socket_before_post(seen: Seen) -> None:
    """The WebSocket of the prompt's client_id was open before the prompt was posted."""
    __tracebackhide__ = True
    assert seen.prompts, "no prompt was accepted, so there is no POST to come after a WebSocket"
    for prompt in seen.prompts:
        before = [
            socket
            for socket in seen.sockets
            if socket.accepted
            and socket.client_id == prompt.client_id
            and socket.serial < prompt.request.serial
        ]
        assert before, (
            f"prompt {prompt.prompt_id} was posted before a WebSocket with clientId "
            f"{prompt.client_id!r} was open: its first messages are lost"
        )


def prompt_equals(seen: Seen, expected: dict[str, Any], *, number: int = -1) -> None:
    """The graph of a submitted prompt (the last one) equals ``expected``; else says where not."""
    __tracebackhide__ = True
    assert seen.prompts, "no prompt was accepted"
    found = list(difference(expected, seen.prompts[number].graph))
    shown = "\n".join(f"  {line}" for line in shortened_list(found, DIFFERENCES_SHOWN_MAX))
    assert not found, f"the submitted graph differs from the expected one:\n{shown}"


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


def _frames(seen: Seen) -> Iterator[dict[str, Any]]:
    """All messages that are objects with data; others say nothing about a prompt."""
    for _, _, message in seen.frames:
        if isinstance(message, str) and "prompt_id" in message:
            try:
                frame = json.loads(message)
            except ValueError:
                continue  # a scenario may send anything
            if isinstance(frame, dict) and isinstance(frame.get("data"), dict):
                yield frame


def _only_prompt(seen: Seen, prompt_id: str | None) -> str:
    __tracebackhide__ = True
    if prompt_id is not None:
        return prompt_id
    count = len(seen.prompts)
    assert count, "no prompt was accepted"
    assert count == 1, f"{plural(count, 'prompt')} were submitted; give prompt_id to choose one"
    return seen.prompts[0].prompt_id


class _Named:
    """Ids of foreign prompts, and files that only foreign prompts have put out."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._files: set[str] = set()
        self._own_files: set[str] = set()

    def note(self, frame: dict[str, Any], own: set[str]) -> None:
        """Take in one message."""
        data = frame["data"]
        prompt_id = data.get("prompt_id")
        if not isinstance(prompt_id, str):
            return
        files = self._own_files if prompt_id in own else self._files
        files.update(file.filename for file in files_in(data.get("output")))
        if prompt_id not in own:
            self._ids.add(prompt_id)

    def used_in(self, request: SeenRequest, own: set[str]) -> Iterator[str]:
        """Which of them a request names."""
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


def _short(value: Any) -> str:
    return shortened(json.dumps(value, default=str), VALUE_MAX)


# --- on what has been seen ---------------------------------------------------------------------


class Asserting:
    """The questions and assertions of the ``comfyui`` fixture that need nothing but ``seen()``."""

    def seen(self) -> Seen:
        """All that was seen until now."""
        raise NotImplementedError

    @property
    def uploads(self) -> list[SeenRequest]:
        """All uploads that were accepted."""
        seen = self.seen().requests
        return [r for r in seen if r.path.startswith("/upload/") and r.status == 200]

    def requests_to(self, method: str, path: str) -> list[SeenRequest]:
        """The requests of that method for that path, as ``wait_for_request`` takes them."""
        return [r for r in self.seen().requests if (r.method, r.path) == (method.upper(), path)]

    def accepted_sockets(self) -> list[SeenSocket]:
        """The websockets that were let in, open and closed."""
        return [socket for socket in self.seen().sockets if socket.accepted]

    @property
    def all_closed(self) -> bool:
        """Whether no WebSocket is open."""
        return not any(socket.open for socket in self.seen().sockets)

    def assert_one_terminal_event(self, prompt_id: str | None = None) -> str:
        """Exactly one of success, error and interrupted was sent for the prompt; gives its type."""
        __tracebackhide__ = True
        return one_terminal_event(self.seen(), prompt_id)

    def assert_interrupted(self, prompt_id: str | None = None) -> None:
        """The client interrupted this prompt by its id, and not whatever happens to run."""
        __tracebackhide__ = True
        interrupted(self.seen(), prompt_id)

    def assert_no_foreign_prompt_used(self) -> None:
        """The client took no id and no file from messages about another user's prompt."""
        __tracebackhide__ = True
        no_foreign_prompt_used(self.seen())

    def assert_socket_before_post(self) -> None:
        """The WebSocket of each prompt's client_id was open before the prompt was posted."""
        __tracebackhide__ = True
        socket_before_post(self.seen())

    def assert_prompt(self, expected: dict[str, Any], *, number: int = -1) -> None:
        """The graph of a submitted prompt (the last one) equals ``expected``."""
        __tracebackhide__ = True
        prompt_equals(self.seen(), expected, number=number)
