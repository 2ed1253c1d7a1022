"""A prompt that is being watched, as its user sees it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from comfyrec.client.http.interrupt import Effect
from comfyrec.client.http.requests import Accepted
from comfyrec.client.progress_event import ProgressEvent, ProgressInfo
from comfyrec.client.result import Outcome, Result
from comfyrec.errors import TimedOut

__all__ = [
    "OnEvent",
    "PromptHandle",
    "callback_error",
    "check_callback",
    "check_limit",
    "with_warnings",
]

OnEvent = Callable[[ProgressEvent], object]
"""Called for each thing that happens to a prompt, in order, on the loop's thread."""

_log = logging.getLogger("comfyrec.client")


class Watching(Protocol):
    """The client that watches it."""

    def progress_of(self, prompt_id: str) -> ProgressInfo:
        """How far a prompt is."""
        ...

    async def interrupt(self, prompt_id: str) -> Effect:
        """Stop a prompt."""
        ...


def callback_error(error: Exception, event: ProgressEvent) -> str:
    """Log what a callback raised; gives the sentence for the result's warnings."""
    _log.error("on_event raised for %s of prompt %s", event.type, event.prompt_id, exc_info=error)
    return f"on_event raised {type(error).__name__}: {error}"


def with_warnings(result: Result, warnings: list[str]) -> Result:
    """The result with some more warnings, each once, ten at most."""
    if not warnings:
        return result
    shown = tuple(dict.fromkeys(warnings))[:10]
    return msgspec.structs.replace(result, warnings=result.warnings + shown)


class PromptHandle:
    """A prompt that is being watched.

    Attributes:
        prompt_id: the server's id for it.
        number: its place in the order of submissions.
        node_errors: outputs that were rejected (A54); empty if there are none.
    """

    def __init__(
        self,
        client: Watching,
        accepted: Accepted,
        on_event: OnEvent | None,
        timeout_s: float | None,
    ) -> None:
        self.prompt_id = accepted.prompt_id
        self.number = accepted.number
        self.node_errors = accepted.node_errors
        self._client = client
        self._on_event = on_event
        self._timeout_s = timeout_s
        self._callback_errors: list[str] = []
        self.over: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    @property
    def progress(self) -> ProgressInfo:
        """How far it is, by the last message."""
        return self._client.progress_of(self.prompt_id)

    def done(self) -> bool:
        """Whether ``wait`` would return at once."""
        return self.over.done()

    async def outcome(self) -> Result:
        """How it ended, whatever the outcome; also when the total limit was reached."""
        return await asyncio.shield(self.over)

    async def wait(self) -> Result:
        """How it ended.

        Raises:
            TimedOut: the total limit was reached. The prompt may go on; ``Client.watch`` with its
                id waits for it again.
        """
        result = await self.outcome()
        if result.outcome is Outcome.TIMED_OUT:
            raise TimedOut(self.prompt_id, self._timeout_s or 0.0)
        return result

    async def interrupt(self) -> Effect:
        """Stop this prompt and no other one; returns what came of it."""
        return await self._client.interrupt(self.prompt_id)

    def call(self, event: ProgressEvent) -> None:
        """Call the callback, whatever it raises."""
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception as error:
            # A callback's error is not the prompt's: it is reported, and the run goes on.
            self._callback_errors.append(callback_error(error, event))

    def finish(self, result: Result) -> None:
        """It is over."""
        result = with_warnings(result, self._callback_errors)
        if not self.over.done():
            self.over.set_result(result)


def check_limit(timeout_s: float | None) -> None:
    """Refuse a limit that cannot be used.

    Raises:
        ValueError: it is not greater than 0.
    """
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"timeout_s must be greater than 0, not {timeout_s!r}")


def check_callback(on_event: object) -> None:
    """Refuse a callback that cannot be called.

    Raises:
        TypeError: it is not callable.
    """
    if on_event is not None and not callable(on_event):
        raise TypeError(f"on_event must be callable, not {type(on_event).__name__}")
