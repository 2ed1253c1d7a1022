"""What a test may ask and demand of what was seen, whoever saw it: a fake server or a recording."""

from __future__ import annotations

from typing import Any

from comfyrec.testing import assertions
from comfyrec.testing.observed import Seen, SeenRequest, SeenSocket

__all__ = ["Asserting"]


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
        return assertions.one_terminal_event(self.seen(), prompt_id)

    def assert_interrupted(self, prompt_id: str | None = None) -> None:
        """The client interrupted this prompt by its id, and not whatever happens to run."""
        __tracebackhide__ = True
        assertions.interrupted(self.seen(), prompt_id)

    def assert_no_foreign_prompt_used(self) -> None:
        """The client took no id and no file from messages about another user's prompt."""
        __tracebackhide__ = True
        assertions.no_foreign_prompt_used(self.seen())

    def assert_socket_before_post(self) -> None:
        """The WebSocket of each prompt's client_id was open before the prompt was posted."""
        __tracebackhide__ = True
        assertions.socket_before_post(self.seen())

    def assert_prompt(self, expected: dict[str, Any], *, number: int = -1) -> None:
        """The graph of a submitted prompt (the last one) equals ``expected``."""
        __tracebackhide__ = True
        assertions.prompt_equals(self.seen(), expected, number=number)
