"""The blocking shell: the asyncio client on a loop in its own thread.

::

    with Client("127.0.0.1:8188") as client:
        result = client.run(workflow, on_event=ProgressPrinter(format="text"))
        client.save(result, Path("pictures"))

Callbacks are called on the thread that waits, in order. While nobody waits, their events are kept,
up to a bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from comfyrec.client import outputs, workflow
from comfyrec.client.http import requests
from comfyrec.client.http.interrupt import Effect
from comfyrec.client.progress_event import ProgressEvent, ProgressInfo
from comfyrec.client.result import Result
from comfyrec.client.shells import aio
from comfyrec.client.shells.handle import (
    OnEvent,
    PromptHandle,
    callback_error,
    check_callback,
    with_warnings,
)

__all__ = ["BlockingPromptHandle", "Client"]

T = TypeVar("T")

_KEPT_MAX = 10_000
"""Events kept for a caller that does not wait; beyond it progress and previews are dropped."""
_DISPENSABLE = frozenset({"progress", "progress_state", "preview", "status"})


class _Mailbox:
    """From the loop's thread to the waiting one."""

    def __init__(self) -> None:
        self._box: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.errors: list[str] = []

    def callback(self, on_event: OnEvent | None) -> OnEvent | None:
        """What the asyncio shell is to call in place of ``on_event``."""
        if on_event is None:
            return None

        def keep(event: ProgressEvent) -> None:
            if self._box.qsize() < _KEPT_MAX or event.type not in _DISPENSABLE:
                self._box.put(lambda: self._call(on_event, event))

        return keep

    def _call(self, on_event: OnEvent, event: ProgressEvent) -> None:
        try:
            on_event(event)
        except Exception as error:
            self.errors.append(callback_error(error, event))

    def close(self) -> None:
        """Nothing comes any more."""
        self._box.put(None)

    def deliver(self) -> None:
        """Call the callbacks until nothing comes any more."""
        while (call := self._box.get()) is not None:
            call()


class BlockingPromptHandle:
    """A prompt that is being watched (see ``comfyrec.client.PromptHandle``)."""

    def __init__(self, client: Client, prompt: PromptHandle, mailbox: _Mailbox) -> None:
        self.prompt_id = prompt.prompt_id
        self.number = prompt.number
        self.node_errors = prompt.node_errors
        self._client = client
        self._prompt = prompt
        self._mailbox = mailbox

    @property
    def progress(self) -> ProgressInfo:
        """How far it is, by the last message."""
        return self._prompt.progress

    def done(self) -> bool:
        """Whether ``wait`` would return at once."""
        return self._prompt.done()

    def wait(self) -> Result:
        """How it ended; the callback is called from here. Raises ``TimedOut`` like ``aio``'s."""
        return self._client.deliver(self._prompt.wait(), self._mailbox)

    def interrupt(self) -> Effect:
        """Stop it, and nothing else; returns what came of it."""
        return self._client.interrupt(self.prompt_id)


class Client:
    """A blocking client, with the arguments, methods and errors of ``shells.aio.Client``.

    May be used from several threads.
    """

    def __init__(self, server: Any = None, **options: Any) -> None:
        self._client = aio.Client(server, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="comfyrec-client", daemon=True
        )
        self._thread.start()

    @property
    def client_id(self) -> str:
        """See ``aio.Client.client_id``."""
        return self._client.client_id

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket and end the thread."""
        if self._loop.is_closed():
            return
        self._call(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(
        self,
        graph: workflow.Workflow | Mapping[str, Any],
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
        prompt_id: str | None = None,
    ) -> Result:
        """Submit a workflow and wait for its end."""
        mailbox = _Mailbox()
        running = self._client.run(
            graph,
            on_event=mailbox.callback(_callable(on_event)),
            timeout_s=timeout_s,
            prompt_id=prompt_id,
        )
        return self.deliver(running, mailbox)

    def submit(
        self,
        graph: workflow.Workflow | Mapping[str, Any],
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
        prompt_id: str | None = None,
    ) -> BlockingPromptHandle:
        """Submit a workflow and watch it."""
        mailbox = _Mailbox()
        submitting = self._client.submit(
            graph,
            on_event=mailbox.callback(_callable(on_event)),
            timeout_s=timeout_s,
            prompt_id=prompt_id,
        )
        return BlockingPromptHandle(self, self._call(submitting), mailbox)

    def watch(
        self,
        prompt_id: str,
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
    ) -> BlockingPromptHandle:
        """Watch a prompt that was submitted earlier."""
        mailbox = _Mailbox()
        watching = self._client.watch(
            prompt_id, on_event=mailbox.callback(_callable(on_event)), timeout_s=timeout_s
        )
        return BlockingPromptHandle(self, self._call(watching), mailbox)

    def interrupt(self, prompt_id: str) -> Effect:
        """Stop one prompt, running or waiting, and see what comes of it."""
        return self._call(self._client.interrupt(prompt_id))

    def position(self, prompt_id: str) -> requests.QueuePlace:
        """Where a prompt is in the queue."""
        return self._call(self._client.position(prompt_id))

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The history entry of a prompt, ``None`` while there is none."""
        return self._call(self._client.history(prompt_id))

    def upload(self, source: Path | bytes, **options: Any) -> requests.Uploaded:
        """Put an image into the server's input folder."""
        return self._call(self._client.upload(source, **options))

    def fetch(self, file: outputs.OutputFile) -> bytes:
        """The bytes of an output."""
        return self._call(self._client.fetch(file))

    def save(self, result: Result, folder: Path, **options: Any) -> list[Path]:
        """Fetch the result's files and write them as the pattern says."""
        return self._call(self._client.save(result, folder, **options))

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run on the loop's thread and wait. Ctrl-C here cancels it there."""
        with self._cancelling(work) as waiting:
            value: T = waiting.result()
            return value

    def deliver(self, work: Coroutine[Any, Any, Result], mailbox: _Mailbox) -> Result:
        """Wait for a result, and call the callbacks from here meanwhile."""
        with self._cancelling(work) as waiting:
            waiting.add_done_callback(lambda _: mailbox.close())
            mailbox.deliver()
            return with_warnings(waiting.result(), mailbox.errors)

    @contextlib.contextmanager
    def _cancelling(self, work: Coroutine[Any, Any, T]) -> Iterator[Any]:
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("this client is closed")
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            yield waiting
        except BaseException:
            waiting.cancel()
            raise


def _callable(on_event: OnEvent | None) -> OnEvent | None:
    check_callback(on_event)
    return on_event
