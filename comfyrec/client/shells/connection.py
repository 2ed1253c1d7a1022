"""The connection of an asyncio client: its WebSocket, its requests, and the timer of its session.

The session decides; what it wants is carried out here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
import uuid
from collections.abc import Generator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from comfyrec.client import address, session, session_inputs
from comfyrec.client.http import interrupt as interrupting
from comfyrec.client.http import requests
from comfyrec.client.http.exchange import Conversation, HttpRequest, HttpResponse, Unanswered
from comfyrec.client.http.interrupt import AwaitEnd, Effect
from comfyrec.client.http.requests import Accepted
from comfyrec.client.http.startup import AwaitMessage, AwaitSocket, SocketWaited, start_up
from comfyrec.client.http.which_surface import Spoken, which_surface
from comfyrec.client.progress_event import ProgressInfo
from comfyrec.client.redaction import Redaction
from comfyrec.client.result import Outcome, Result
from comfyrec.client.settings import ClientSettings, settle
from comfyrec.client.shells.handle import OnEvent, PromptHandle, check_callback, check_limit
from comfyrec.client.shells.transport import TRANSPORT_ERRORS, Transport
from comfyrec.client.tracker import Done, GetHistory, GetQueue, Notify
from comfyrec.errors import BadAnswer, NoServer

__all__ = ["Connection"]

T = TypeVar("T")


class Connection:
    """One socket and any number of watched prompts, with the arguments and errors of ``Client``."""

    def __init__(
        self,
        server: str | address.Address | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        extra_data: Mapping[str, Any] | None = None,
        tls: ssl.SSLContext | bool = True,
        reconnect: bool = True,
        environment: Mapping[str, str] | None = None,
        **settings: float | str | None,
    ) -> None:
        environment = os.environ if environment is None else environment
        if server is None:
            self.address = address.from_environment(environment)
        else:
            self.address = (
                address.parse(server, where="server") if isinstance(server, str) else server
            )
        self._called = ""
        self.settings: ClientSettings = settle(environment, **settings)
        self._headers = dict(headers or {})
        if self.address.authorization:
            self._headers.setdefault("Authorization", self.address.authorization)
        self._extra_data = dict(extra_data or {})
        self.redaction = Redaction.of(self.address, self._headers, self._extra_data, environment)
        self._transport = Transport(
            self._headers, tls, self.redaction, self.settings.request_timeout_s
        )
        self._session = session.ClientSession(
            self.settings, new_id=lambda: str(uuid.uuid4()), reconnect=reconnect
        )
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._prompts: dict[str, PromptHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: int | None = None
        self._attempted = asyncio.Event()  # an attempt to open the WebSocket has ended
        self._first_message = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        self._ready = False
        self._clock = time.time_ns() // 1000 - time.monotonic_ns() // 1000
        self.closed = False

    @property
    def called(self) -> str:
        """What people call the server: its address, also where it is reached through a proxy."""
        return self._called or str(self.address)

    @called.setter
    def called(self, name: str) -> None:
        self._called = name

    @property
    def client_id(self) -> str:
        """The id that the server sends our messages to; it may change with a new WebSocket."""
        return self._session.client_id

    @property
    def connected(self) -> bool:
        """Whether the WebSocket is open now. Prompts can be run without it."""
        return self._session.connected

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. Prompts go on, but are not watched any more."""
        if self.closed:
            return
        self.closed = True
        self._arm(None)
        for prompt in self._prompts.values():
            prompt.over.cancel()
        if self._socket is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._socket.close(), 2)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.close()

    async def connect(self) -> None:
        """Open the WebSocket; wait for a server that is starting, up to the connect timeout.

        A server that answers HTTP but refuses the WebSocket can still be used: the client then
        watches queue and history.

        Raises:
            NoServer: the server did not answer.
        """
        if self.closed:
            raise RuntimeError("this client is closed")
        if not self._ready:
            if self._connecting is None:
                self._connecting = self._spawn(self._connect_first())
            connecting = self._connecting
            try:
                await asyncio.shield(connecting)
            finally:
                if connecting.done():
                    self._connecting = None

    def assume_cloud(self) -> None:
        """Take the server for Comfy Cloud, before the client connects: the WebSocket is opened with
        the key in its address, without first being tried as a local server's."""
        self._transport.token_wanted = True

    async def surface(self) -> Spoken:
        """Which API the server speaks, by what it does with a WebSocket, and else by its answers to
        questions that change nothing.

        Raises:
            NoServer: the server did not answer.
        """
        await self.connect()
        if self._transport.token_wanted:
            return "cloud"
        return "native" if self.connected else await self._converse(which_surface())

    async def watch(
        self,
        prompt_id: str,
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
    ) -> PromptHandle:
        """Watch a prompt that was submitted earlier, by this client or any other.

        Raises:
            NoServer: the server does not answer.
        """
        check_limit(timeout_s)
        check_callback(on_event)
        await self.connect()
        accepted = Accepted(prompt_id, 0.0, {})
        limit_s = self.settings.timeout_s if timeout_s is None else timeout_s
        prompt = self._prompts[prompt_id] = PromptHandle(self, accepted, on_event, limit_s)
        self._feed(
            session_inputs.PromptAccepted(
                accepted,
                listening=on_event is not None,
                timeout_s=timeout_s,
                posted=False,
            )
        )
        return prompt

    async def interrupt(self, prompt_id: str) -> Effect:
        """Stop one prompt, running or waiting; returns what came of it.

        Raises:
            NoServer, BadAnswer: the server does not answer, or refuses.
        """
        watched = prompt_id in self._prompts
        effect = await self._converse(
            interrupting.interrupt(prompt_id, wait_s=self.settings.interrupt_wait_s)
        )
        if effect is Effect.DELETED:
            self._feed(session_inputs.PromptRemoved(prompt_id))
        if not watched and prompt_id in self._prompts:
            self._forget(self._prompts[prompt_id])
        return effect

    # --- HTTP ----------------------------------------------------------------------------------

    async def _request(self, request: HttpRequest) -> HttpResponse:
        return await self._converse(_once(request))

    async def _converse(self, conversation: Generator[Any, Any, T]) -> T:
        """Carry out a conversation; no response is ``NoServer``, and secrets are hidden."""
        try:
            return await self._carry_out(conversation)
        except Unanswered as silent:
            raise NoServer(self.called, silent.why) from None
        except BadAnswer as bad:
            bad.why = self.redaction(bad.why)
            raise

    async def _carry_out(self, conversation: Generator[Any, Any, T]) -> T:
        try:
            step = next(conversation)
            while True:
                try:
                    came = await self._step(step)
                except Unanswered as silent:
                    step = conversation.throw(silent)
                else:
                    step = conversation.send(came)
        except StopIteration as end:
            value: T = end.value
            return value

    async def _step(self, step: Any) -> Any:
        match step:
            case HttpRequest():
                return await self._transport.request(self.address, step)
            case AwaitEnd(prompt_id, limit_s):
                return await self._await_end(prompt_id, limit_s)
            case AwaitSocket(deadline):
                await _within(self._attempted, max((deadline - self._now()) / 1e6, 0.01))
                return SocketWaited(self._session.connected, self._now())
            case AwaitMessage(limit_s):
                return await _within(self._first_message, limit_s)
        raise AssertionError(f"unknown step: {step!r}")

    async def _await_end(self, prompt_id: str, limit_s: float) -> Outcome | None:
        """How a prompt ends, if it does so in time."""
        prompt = self._prompts.get(prompt_id) or await self.watch(prompt_id)
        done, _ = await asyncio.wait([prompt.over], timeout=limit_s)
        return prompt.over.result().outcome if done else None

    # --- what the session wants ----------------------------------------------------------------

    def _now(self) -> int:
        """Unix microseconds that never step back."""
        return time.monotonic_ns() // 1000 + self._clock

    def _feed(self, given: session_inputs.Input) -> None:
        if self.closed:
            return
        for action in self._session.handle(given, self._now()):
            self._perform(action)
        self._arm(self._session.wake_at)

    def _perform(self, action: session_inputs.Action) -> None:
        match action:
            case Notify(prompt_id, event):
                if prompt_id in self._prompts:
                    self._prompts[prompt_id].call(event)
            case Done(result):
                self._finish(result)
            case GetHistory(prompt_id):
                self._spawn(self._get_history(prompt_id))
            case GetQueue():
                self._spawn(self._get_queue())
            case session_inputs.Connect(client_id):
                self._spawn(self._open(client_id))
            case session_inputs.Disconnect():
                self._spawn(self._disconnect())

    def _finish(self, result: Result) -> None:
        prompt = self._prompts.pop(result.prompt_id, None)
        if prompt is not None:
            prompt.finish(self.redaction.result(result))

    def _forget(self, prompt: PromptHandle) -> None:
        if self._prompts.pop(prompt.prompt_id, None) is not None:
            self._feed(session_inputs.PromptForgotten(prompt.prompt_id))

    def progress_of(self, prompt_id: str) -> ProgressInfo:
        """How far a prompt is, as far as it is watched."""
        tracker = self._session.trackers.get(prompt_id)
        return tracker.progress if tracker is not None else ProgressInfo()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _arm(self, at: int | None) -> None:
        """Keep one timer, for the earliest time that is needed."""
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, at
        if at is not None:
            wait_s = max(at - self._now(), 0) / 1e6
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._woke)

    def _woke(self) -> None:
        self._timer, self._timer_at = None, None
        self._feed(session_inputs.Woke())

    async def _get_history(self, prompt_id: str) -> None:
        try:
            found = await self._carry_out(requests.look_up(prompt_id))
        except (BadAnswer, Unanswered) as error:
            self._feed(self._failed(error, prompt_id))
        else:
            self._feed(session_inputs.HistoryReceived(prompt_id, found.entry, found.can_say))

    async def _get_queue(self) -> None:
        request = requests.queue()
        try:
            response = await self._transport.request(self.address, request)
            queued = requests.read_queue(request, response)
        except (BadAnswer, Unanswered) as error:
            self._feed(self._failed(error, None))
        else:
            self._feed(session_inputs.QueueReceived(queued))

    def _failed(self, error: Exception, prompt_id: str | None) -> session_inputs.RequestFailed:
        refused = isinstance(error, Unanswered) and error.refused
        return session_inputs.RequestFailed(self.redaction(str(error)), prompt_id, refused)

    # --- the socket ----------------------------------------------------------------------------

    async def _connect_first(self) -> None:
        """Until the WebSocket is open, or HTTP works although the WebSocket is refused."""
        deadline = self._now() + round(self.settings.connect_timeout_s * 1e6)
        for action in self._session.start(self._now()):
            self._perform(action)
        try:
            self.address = await self._carry_out(start_up(self.address, deadline=deadline))
        except Unanswered as silent:
            raise NoServer(self.called, silent.why) from None
        if self._transport.token_wanted:
            self.address = self.address.above_api.below("/api")
        self._ready = True

    async def _open(self, client_id: str) -> None:
        limit_s = self.settings.connect_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                socket = await self._transport.websocket(self.address, client_id)
        except aiohttp.WSServerHandshakeError as refusal:
            failed = session_inputs.ConnectFailed(
                f"the WebSocket was refused with {refusal.status}"
            )
        except TRANSPORT_ERRORS as error:
            failed = session_inputs.ConnectFailed(*self._transport.reason(error, limit_s))
        else:
            await self._listen(socket)
            return
        self._feed(failed)
        self._attempted.set()

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        with contextlib.suppress(aiohttp.ClientError, OSError):
            # Previews then name their prompt. If the WebSocket is gone already, that shows below.
            await socket.send_str(requests.FEATURE_FLAGS)
        self._feed(session_inputs.SocketOpened())
        self._attempted.set()
        try:
            async for message in socket:
                if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    self._feed(session_inputs.MessageReceived(message.data))
                    self._first_message.set()
        finally:
            self._socket = None
        error = socket.exception()
        if isinstance(error, Exception):
            why, _ = self._transport.reason(error)
        else:
            why = f"closed ({socket.close_code})"
        self._feed(session_inputs.SocketLost(why))

    async def _disconnect(self) -> None:
        if self._socket is not None:
            await self._socket.close()


def _once(request: HttpRequest) -> Conversation[HttpResponse]:
    return (yield request)


async def _within(event: asyncio.Event, limit_s: float) -> None:
    """Wait for an event, but not longer than this; then it can happen again."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), limit_s)
    event.clear()
