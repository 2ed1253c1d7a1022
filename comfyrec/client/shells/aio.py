"""The asyncio shell around a session: sockets, HTTP, time, files; decides nothing.

::

    async with Client("127.0.0.1:8188") as client:
        result = await client.run(workflow, on_event=print)
        await client.save(result, Path("pictures"))

Order of calls: ``run`` connects by itself; ``submit`` and then ``PromptHandle.wait`` is ``run`` in
two steps.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec
import yarl

from comfyrec.client import address, outputs, session, workflow
from comfyrec.client import interrupt as stopping
from comfyrec.client import requests as asks
from comfyrec.client.interrupt import Effect
from comfyrec.client.progress_event import ProgressEvent, ProgressInfo
from comfyrec.client.redaction import Redaction
from comfyrec.client.result import Outcome, Result
from comfyrec.client.settings import ClientSettings, settle
from comfyrec.client.tracker import AskHistory, AskQueue, Done, Tell
from comfyrec.errors import BadAnswer, NoServer, OutputError, TimedOut

__all__ = ["Client", "OnEvent", "PromptHandle"]

OnEvent = Callable[[ProgressEvent], object]
"""Called for each thing that happens to a prompt, in order, on the loop's thread."""

T = TypeVar("T")

_log = logging.getLogger("comfyrec.client")

_HEARTBEAT_S = 30.0
"""Between pings: finds sockets whose other end is gone without a word (A18)."""
_FIRST_FRAME_S = 1.0
"""How long the first ``status`` is waited for before a POST (K7); a silent server sends none."""
_NOT_READY = (502, 503, 504)
"""What a proxy answers for a server that is still starting."""
_FETCH_TRIES = 3
_INTERRUPT_AGAIN_S = 2.0
"""An interrupt between the queue's pop and the prompt's start is lost, so it is repeated."""


def callback_error(error: Exception, told: ProgressEvent) -> str:
    """Report what a callback raised; gives the sentence for the result's warnings."""
    _log.error("on_event raised for %s of prompt %s", told.type, told.prompt_id, exc_info=error)
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
        prompt_id: the server's name for it.
        number: its place in the order of submissions.
        node_errors: outputs that were refused (A54); empty for none.
    """

    def __init__(
        self,
        client: Client,
        accepted: asks.Accepted,
        on_event: OnEvent | None,
        timeout_s: float | None,
    ) -> None:
        self.prompt_id = accepted.prompt_id
        self.number = accepted.number
        self.node_errors = accepted.node_errors
        self._client = client
        self._on_event = on_event
        self._timeout_s = client.settings.timeout_s if timeout_s is None else timeout_s
        self._callback_errors: list[str] = []
        self._over: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    @property
    def progress(self) -> ProgressInfo:
        """How far it is, as of the last message."""
        return self._client._progress_of(self.prompt_id)

    def done(self) -> bool:
        """Whether ``wait`` would return at once."""
        return self._over.done()

    async def outcome(self) -> Result:
        """How it ended, whatever the outcome; a total limit that was reached is one, too."""
        return await asyncio.shield(self._over)

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
        """Stop it, and nothing else; returns what came of it."""
        return await self._client.interrupt(self.prompt_id)

    def _call(self, told: ProgressEvent) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(told)
        except Exception as error:
            # A callback's fault is not the prompt's: said aloud, and the run goes on.
            self._callback_errors.append(callback_error(error, told))

    def _finish(self, result: Result) -> None:
        result = with_warnings(result, self._callback_errors)
        if not self._over.done():
            self._over.set_result(result)


class Client:
    """A client of one ComfyUI server: one socket, any number of prompts at once.

    Args:
        server: address (see ``comfyrec.client.address``); ``None`` reads the environment.
        headers: sent with every request, the websocket included: keys of a proxy.
        extra_data: goes into each prompt's ``extra_data``, such as ``api_key_comfy_org``.
        tls: ``False`` accepts any certificate; or a context of your own.
        reconnect: whether a lost socket is opened again. Without, HTTP alone tells of the end.
        environment: instead of the process's own.
        settings: fields of ``comfyrec.client.settings.Settings``.

    Raises:
        UsageError: an address or a setting that cannot be used.
    """

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
        self.settings: ClientSettings = settle(environment, **settings)
        self._headers = dict(headers or {})
        if self.address.authorization:
            self._headers.setdefault("Authorization", self.address.authorization)
        self._extra_data = dict(extra_data or {})
        self.veil = Redaction.of(self.address, self._headers, self._extra_data, environment)
        self._tls = tls
        self._session = session.ClientSession(
            self.settings, new_id=lambda: str(uuid.uuid4()), reconnect=reconnect
        )
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._prompts: dict[str, PromptHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: int | None = None
        self._settled = asyncio.Event()
        self._heard_any = asyncio.Event()
        self._connect_error = ""
        self._connect_status: int | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._ready = False
        self._clock = time.time_ns() // 1000 - time.monotonic_ns() // 1000
        self.closed = False

    @property
    def client_id(self) -> str:
        """The id that the server sends our prompts' messages to; changes with the socket."""
        return self._session.client_id

    @property
    def connected(self) -> bool:
        """Whether the socket stands now. Prompts can be run without."""
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
        """Close the socket and everything else. Prompts go on without being watched."""
        if self.closed:
            return
        self.closed = True
        self._arm(None)
        for prompt in self._prompts.values():
            prompt._over.cancel()
        if self._socket is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._socket.close(), 2)
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    # --- what a user asks for ------------------------------------------------------------------

    async def connect(self) -> None:
        """Open the socket; wait for a server that is starting, up to the connect timeout.

        A server that answers HTTP but refuses the socket can still be used; then silence rules.

        Raises:
            NoServer: nothing answered.
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

    async def run(
        self,
        graph: workflow.Workflow | Mapping[str, Any],
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
        prompt_id: str | None = None,
    ) -> Result:
        """Submit a workflow and wait for its end.

        Args:
            graph: API format, bare or inside ``{"prompt": ...}``.
            on_event: told of everything that happens to it.
            timeout_s: total limit for this prompt instead of the settings' one.
            prompt_id: a UUID of your own; servers before 0.3.45 give another one all the same.

        Raises:
            WorkflowError: no workflow in API format; nothing was sent.
            NoServer: nothing answers there.
            Rejected: the server did not accept it.
            TimedOut: see ``PromptHandle.wait``.
        """
        prompt = await self.submit(
            graph, on_event=on_event, timeout_s=timeout_s, prompt_id=prompt_id
        )
        try:
            return await prompt.wait()
        finally:
            self._forget(prompt)

    async def submit(
        self,
        graph: workflow.Workflow | Mapping[str, Any],
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
        prompt_id: str | None = None,
    ) -> PromptHandle:
        """Submit a workflow and watch it. Arguments and errors as in ``run``, but ``TimedOut``."""
        flow = graph if isinstance(graph, workflow.Workflow) else workflow.of(dict(graph))
        _check_limit(timeout_s)
        check_callback(on_event)
        limit_s = self.settings.timeout_s if timeout_s is None else timeout_s
        try:
            async with asyncio.timeout(limit_s):
                await self.connect()
                accepted = await self._post(flow, prompt_id)
        except TimeoutError:
            raise NoServer(str(self.address), f"no answer within {limit_s:g} s") from None
        prompt = PromptHandle(self, accepted, on_event, timeout_s)
        self._prompts[prompt.prompt_id] = prompt
        self._feed(
            session.Accept(
                accepted,
                nodes=tuple(flow.graph),
                listening=on_event is not None,
                timeout_s=timeout_s,
            )
        )
        return prompt

    async def _post(self, flow: workflow.Workflow, prompt_id: str | None) -> asks.Accepted:
        """Between ``Posting`` and its end, frames of unknown prompts are kept (K7)."""
        self._feed(session.Posting())
        talk = asks.submit(
            flow,
            client_id=self.client_id,
            prompt_id=prompt_id,
            extra_data=self._extra_data,
        )
        try:
            return await self._talk(talk)
        except BaseException:
            self._feed(session.Refused())
            raise

    async def watch(
        self,
        prompt_id: str,
        *,
        on_event: OnEvent | None = None,
        timeout_s: float | None = None,
    ) -> PromptHandle:
        """Watch a prompt that was submitted earlier, by this client or any other.

        Raises:
            NoServer: nothing answers there.
        """
        _check_limit(timeout_s)
        check_callback(on_event)
        await self.connect()
        accepted = asks.Accepted(prompt_id, 0.0, {})
        prompt = self._prompts[prompt_id] = PromptHandle(self, accepted, on_event, timeout_s)
        self._feed(
            session.Accept(
                accepted,
                listening=on_event is not None,
                timeout_s=timeout_s,
                posted=False,
            )
        )
        return prompt

    async def interrupt(self, prompt_id: str) -> Effect:
        """Stop one prompt, running or waiting, and see what comes of it.

        Raises:
            NoServer, BadAnswer: the server does not answer, or refuses.
        """
        prompt = self._prompts.get(prompt_id)
        watched = prompt is not None
        deadline = time.monotonic() + self.settings.interrupt_wait_s
        while True:
            effect = await self._talk(stopping.stop(prompt_id))
            if effect is not None:
                if effect is Effect.DELETED:
                    self._feed(session.Removed(prompt_id))
                return effect
            if prompt is None:
                prompt = await self.watch(prompt_id)
            left = deadline - time.monotonic()
            done, _ = await asyncio.wait([prompt._over], timeout=min(left, _INTERRUPT_AGAIN_S))
            if not done and left > _INTERRUPT_AGAIN_S:
                continue
            if not watched:
                self._forget(prompt)
            return stopping.effect_of(prompt._over.result().outcome if done else None)

    async def position(self, prompt_id: str) -> asks.QueuePlace:
        """Where a prompt stands in the queue.

        Raises:
            NoServer, BadAnswer: the server does not answer, or not with a queue.
        """
        ask = asks.queue()
        return asks.place_in(asks.read_queue(ask, await self._answer(ask)), prompt_id)

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The history entry of a prompt, ``None`` while there is none.

        Raises:
            NoServer, BadAnswer: the server does not answer, or not with a history.
        """
        ask = asks.history(prompt_id)
        return asks.read_history(ask, await self._answer(ask), prompt_id)

    async def get(self, path: str) -> Any:
        """The JSON of any GET route.

        Raises:
            NoServer, BadAnswer: the server does not answer, or not with JSON.
        """
        ask = asks.HttpRequest(path=path)
        return asks.read_json(ask, await self._answer(ask))

    async def upload(
        self,
        source: Path | bytes,
        *,
        name: str | None = None,
        subfolder: str = "",
        type: str = "input",
        overwrite: bool = False,
    ) -> asks.Uploaded:
        """Put an image into the server's input folder; use the name that comes back (A85).

        Raises:
            OutputError: the file cannot be read.
            NoServer, BadAnswer: the server does not answer, or does not take it.
        """
        if isinstance(source, Path):
            try:
                data = await asyncio.to_thread(source.read_bytes)
            except OSError as wrong:
                raise OutputError(str(source), f"cannot be read ({wrong.strerror})") from None
        else:
            data = source
        name = name or (source.name if isinstance(source, Path) else "image.png")
        return await self._talk(
            asks.upload(
                data,
                name,
                boundary=uuid.uuid4().hex,
                subfolder=subfolder,
                type=type,
                overwrite=overwrite,
            )
        )

    async def fetch(self, file: outputs.OutputFile) -> bytes:
        """The bytes of an output, all of them; tried three times when the connection breaks.

        Raises:
            OutputError: the server does not have it, or it never came whole.
        """
        why = ""
        for _ in range(_FETCH_TRIES):
            try:
                return await self._converse(asks.fetch(file))
            except asks.Unanswered as broken:
                why = broken.why
            except OutputError as wrong:
                raise OutputError(wrong.name, self.veil(wrong.why)) from None
        raise OutputError(file.filename, f"GET /view: {why}")

    async def save(
        self,
        result: Result,
        folder: Path,
        *,
        pattern: outputs.Pattern | str = "frame.###.png",
        overwrite: bool = False,
    ) -> list[Path]:
        """Fetch the result's files and write them as the pattern says.

        Previews (type ``temp``) are saved only when there is nothing else.

        Raises:
            UsageError: a pattern without a counter.
            OutputError: not there, not whole, not writable, or in the way.
        """
        if isinstance(pattern, str):
            pattern = outputs.Pattern.parse(pattern)
        written = []
        for index, file in enumerate(outputs.to_save(result.outputs)):
            path = folder / pattern.name(index, file.suffix)
            data = await self.fetch(file)
            await asyncio.to_thread(_write, path, data, overwrite=overwrite)
            written.append(path)
        return written

    # --- HTTP ----------------------------------------------------------------------------------

    async def _answer(self, ask: asks.HttpRequest) -> asks.HttpResponse:
        return await self._talk(_once(ask))

    async def _talk(self, talk: asks.Conversation[T]) -> T:
        """Carry out a talk; what is not answered is ``NoServer``, and secrets are veiled."""
        try:
            return await self._converse(talk)
        except asks.Unanswered as silent:
            raise NoServer(str(self.address), silent.why) from None
        except BadAnswer as bad:
            bad.why = self.veil(bad.why)
            raise

    async def _converse(self, talk: asks.Conversation[T]) -> T:
        try:
            ask = next(talk)
            while True:
                ask = talk.send(await self._do(ask))
        except StopIteration as end:
            value: T = end.value
            return value

    async def _do(self, ask: asks.HttpRequest, limit_s: float | None = None) -> asks.HttpResponse:
        limit_s = limit_s or self.settings.request_timeout_s
        url = ask.path if "://" in ask.path else self.address.url(ask.path)
        url = asks.with_query(url, ask.query)
        headers = {} if ask.bare else dict(self._headers)
        if ask.content_type:
            headers["Content-Type"] = ask.content_type
        try:
            async with self._client().request(
                ask.method,
                yarl.URL(url, encoded=True),
                data=ask.body,
                headers=headers,
                allow_redirects=False,
                ssl=self._tls,
                timeout=aiohttp.ClientTimeout(total=limit_s),
            ) as response:
                return asks.HttpResponse(
                    status=response.status,
                    content_type=response.headers.get("Content-Type", ""),
                    location=response.headers.get("Location", ""),
                    body=await response.read(),
                    url=url,
                )
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            why, refused = self._why(error, limit_s)
            raise asks.Unanswered(why, refused=refused) from None

    def _why(self, error: Exception, limit_s: float = 0.0) -> tuple[str, bool]:
        """A transport error in a few words, and whether nobody listens there."""
        if isinstance(error, TimeoutError):
            return f"no answer within {limit_s:.3g} s", False
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
            return (
                "its TLS certificate is not trusted or it does not speak TLS; "
                "--insecure accepts any certificate, http:// speaks plain"
            ), False
        if isinstance(error, aiohttp.ClientConnectorError):
            return self.veil(str(error.os_error.strerror or error.os_error)), True
        return self.veil(str(error) or type(error).__name__), False

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=32),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._http

    # --- the session's wishes ------------------------------------------------------------------

    def _now(self) -> int:
        """Unix microseconds that never step back."""
        return time.monotonic_ns() // 1000 + self._clock

    def _feed(self, happened: session.Happened) -> None:
        if self.closed:
            return
        for action in self._session.handle(happened, self._now()):
            self._perform(action)
        self._arm(self._session.wake_at)

    def _perform(self, action: session.Action) -> None:
        match action:
            case Tell(prompt_id, told):
                if prompt_id in self._prompts:
                    self._prompts[prompt_id]._call(told)
            case Done(result):
                self._finish(result)
            case AskHistory(prompt_id):
                self._spawn(self._ask_history(prompt_id))
            case AskQueue():
                self._spawn(self._ask_queue())
            case session.Connect(client_id):
                self._spawn(self._open(client_id))
            case session.Disconnect():
                self._spawn(self._disconnect())

    def _finish(self, result: Result) -> None:
        prompt = self._prompts.pop(result.prompt_id, None)
        if prompt is not None:
            prompt._finish(self.veil.result(result))

    def _forget(self, prompt: PromptHandle) -> None:
        if self._prompts.pop(prompt.prompt_id, None) is not None:
            self._feed(session.Forget(prompt.prompt_id))

    def _progress_of(self, prompt_id: str) -> ProgressInfo:
        tracker = self._session.trackers.get(prompt_id)
        return tracker.progress if tracker is not None else ProgressInfo()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _arm(self, at: int | None) -> None:
        """Keep one timer, for the earliest time that is asked for."""
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
        self._feed(session.Woke())

    async def _ask_history(self, prompt_id: str) -> None:
        ask = asks.history(prompt_id)
        try:
            answer = await self._do(ask)
            happened: session.Happened = session.GotHistory(
                prompt_id, asks.read_history(ask, answer, prompt_id)
            )
        except (BadAnswer, asks.Unanswered) as error:
            happened = self._failed(error, prompt_id)
        self._feed(happened)

    async def _ask_queue(self) -> None:
        ask = asks.queue()
        try:
            happened: session.Happened = session.GotQueue(asks.read_queue(ask, await self._do(ask)))
        except (BadAnswer, asks.Unanswered) as error:
            happened = self._failed(error, None)
        self._feed(happened)

    def _failed(self, error: Exception, prompt_id: str | None) -> session.Failed:
        refused = isinstance(error, asks.Unanswered) and error.refused
        return session.Failed(self.veil(str(error)), prompt_id, refused)

    # --- the socket ----------------------------------------------------------------------------

    async def _connect_first(self) -> None:
        """Until a socket stands, or HTTP answers although the socket is refused."""
        deadline = time.monotonic() + self.settings.connect_timeout_s
        for action in self._session.start(self._now()):
            self._perform(action)
        while True:
            self._settled.clear()
            left = deadline - time.monotonic()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._settled.wait(), max(left, 0.01))
            if self._session.connected:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._heard_any.wait(), _FIRST_FRAME_S)
                break
            left = max(deadline - time.monotonic(), 1.0)
            if await self._answers_without_socket(left, last=time.monotonic() >= deadline):
                break
        self._ready = True

    async def _answers_without_socket(self, limit_s: float, *, last: bool) -> bool:
        """Whether HTTP can be used. A 404 may mean that only ``/api`` is reachable (A92)."""
        try:
            answer = await self._do(asks.queue(), limit_s)
            if answer.status == 404 and not self.address.path.endswith("/api"):
                given = self.address
                self.address = given.below("/api")
                if (await self._do(asks.queue(), limit_s)).status != 200:
                    self.address = given
        except asks.Unanswered as silent:
            if last:
                raise NoServer(str(self.address), silent.why) from None
            return False
        return last or answer.status not in _NOT_READY

    async def _open(self, client_id: str) -> None:
        url = asks.with_query(self.address.url("/ws"), (("clientId", client_id),))
        try:
            async with asyncio.timeout(self.settings.connect_timeout_s):
                socket = await self._client().ws_connect(
                    yarl.URL(url, encoded=True),
                    headers=self._headers,
                    max_msg_size=0,  # a preview or an output may be of any size (A50)
                    heartbeat=_HEARTBEAT_S,
                    ssl=self._tls,
                )
        except aiohttp.WSServerHandshakeError as refusal:
            self._feed(session.ConnectFailed(f"the socket was refused with {refusal.status}"))
            self._settled.set()
            return
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            why, refused = self._why(error, self.settings.connect_timeout_s)
            self._feed(session.ConnectFailed(why, refused))
            self._settled.set()
            return
        await self._listen(socket)

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        with contextlib.suppress(aiohttp.ClientError, OSError):
            # Previews then say whose they are. A socket that is gone already is found out below.
            await socket.send_str(asks.FEATURE_FLAGS)
        self._feed(session.Opened())
        self._settled.set()
        try:
            async for message in socket:
                if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                    self._feed(session.Heard(message.data))
                    self._heard_any.set()
        finally:
            self._socket = None
        error = socket.exception()
        why = (
            self._why(error)[0] if isinstance(error, Exception) else f"closed ({socket.close_code})"
        )
        self._feed(session.SocketLost(why))

    async def _disconnect(self) -> None:
        if self._socket is not None:
            await self._socket.close()


def _once(ask: asks.HttpRequest) -> asks.Conversation[asks.HttpResponse]:
    return (yield ask)


def _check_limit(timeout_s: float | None) -> None:
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"timeout_s has to be above 0, not {timeout_s!r}")


def check_callback(on_event: object) -> None:
    if on_event is not None and not callable(on_event):
        raise TypeError(f"on_event has to be callable, not {type(on_event).__name__}")


def _write(path: Path, data: bytes, *, overwrite: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb" if overwrite else "xb") as file:
            file.write(data)
    except FileExistsError:
        raise OutputError(
            str(path), "exists already; choose another folder, --filepattern or --index-offset"
        ) from None
    except OSError as wrong:
        raise OutputError(str(path), f"cannot be written ({wrong.strerror})") from None
