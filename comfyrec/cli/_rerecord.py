"""A server in place of a recording: the same requests are made there, and recorded.

What may harm others on a shared server is not done again: only GET, uploads and prompts are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import yarl

from comfyrec.cassette.files import open_cassette
from comfyrec.cassette.records import Side
from comfyrec.client.shells.aio import Client
from comfyrec.errors import ClientError, UsageError
from comfyrec.testing.recording import Recording
from comfyrec.timeline import Exchange, Socket, Timeline
from comfyrec.timeline.message_summary import peek_at
from comfyrec.wording import reason

__all__ = ["WORKFLOW", "done_again", "ran"]

WORKFLOW: Final[Mapping[str, Any]] = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}
"""What is run where nothing else is named: it needs no model."""
SAME_REQUEST_MAX: Final = 3
"""A client that polls asks for the same thing again and again; three times tell enough."""
ANSWER_S: Final = 30.0
LOOK_EVERY_S: Final = 0.25
"""Whether a prompt has ended that no socket tells of."""
_AFTERWARDS: Final = ("/system_stats", "/queue", "/prompt", "/features")
_ENDS: Final = frozenset({"execution_success", "execution_error", "execution_interrupted"})
_NOT_SENT: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "expect",
     "origin", "referer", "authorization", "cookie"}
)  # fmt: skip


def ran(url: str, workflows: Sequence[Mapping[str, Any]], *, limit_s: float) -> Timeline:
    """Run workflows on a server, each twice so that the second time is cached, and record it.

    Raises:
        UsageError: nothing can be run there.
    """

    async def play(proxy: str) -> None:
        async with Client(proxy) as client:
            for workflow in workflows:
                for _ in range(2):
                    await client.run(dict(workflow), timeout_s=limit_s)
            for path in _AFTERWARDS:
                with contextlib.suppress(ClientError):
                    await client.get(path)

    return _recorded(url, play)


def done_again(url: str, recorded: Timeline, *, limit_s: float) -> Timeline:
    """Make the requests of a recording on a server, in their order, and record that.

    Args:
        url: of the server.
        recorded: whose requests are made.
        limit_s: for each prompt.

    Raises:
        UsageError: the server does not answer.
    """
    return _recorded(url, lambda proxy: _Again(proxy, url, limit_s).run(recorded))


def _recorded(url: str, play: Callable[[str], Coroutine[Any, Any, None]]) -> Timeline:
    _check_it_answers(url)
    with tempfile.TemporaryDirectory(prefix="comfyrec-diff-") as folder:
        file = Path(folder) / "run.crec"
        try:
            with Recording(url, file) as recording:
                asyncio.run(play(recording.url))
        except (ClientError, aiohttp.ClientError, OSError) as trouble:
            why = _in_words(trouble).replace(recording.url.rstrip("/"), url.rstrip("/"))
            raise UsageError(f"{url}: {why}") from None
        with open_cassette(file) as reader:
            timeline = Timeline.build(reader)
    about = {"comfyui_version": _version_of(url)}
    sessions = tuple(msgspec.structs.replace(one, about=about) for one in timeline.sessions)
    return msgspec.structs.replace(timeline, sessions=sessions)


def _check_it_answers(url: str) -> None:
    """The recording proxy would answer in its place."""
    try:
        urllib.request.urlopen(f"{url.rstrip('/')}/system_stats", timeout=ANSWER_S).close()
    except urllib.error.HTTPError:
        return  # something is there
    except (OSError, ValueError, HTTPException) as trouble:
        raise UsageError(
            f"no ComfyUI server answers at {url} ({reason(trouble)}); start one there, or give "
            f"another address"
        ) from None


def _in_words(trouble: Exception) -> str:
    if isinstance(trouble, aiohttp.WSServerHandshakeError):
        return f"the WebSocket was refused with {trouble.status}"
    if isinstance(trouble, aiohttp.ClientResponseError):
        return f"it answered {trouble.status} in the middle of the work"
    return reason(trouble)


def _version_of(url: str) -> str:
    """As the server says; asked beside the recording, since no client of it did."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/system_stats", timeout=5) as answer:
            said = json.load(answer)["system"]["comfyui_version"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return str(said)


class _Again:
    """One client of the server, which does what the recorded ones did."""

    def __init__(self, proxy: str, url: str, limit_s: float) -> None:
        self._proxy, self._url, self._limit_s = proxy, url.rstrip("/"), limit_s
        self._ids: dict[str, str] = {}
        self._ended: dict[str, asyncio.Event] = {}
        self._readers: list[asyncio.Task[None]] = []
        self._sockets: dict[int, aiohttp.ClientWebSocketResponse] = {}

    async def run(self, recorded: Timeline) -> None:
        """Everything in the order in which it was done."""
        asked = Counter[str]()
        steps: list[tuple[int, Exchange | Socket | tuple[int, str]]] = [
            (exchange.request.at, exchange)
            for exchange in recorded.exchanges
            if exchange.status != 101
        ]
        for socket in recorded.sockets:
            steps.append((socket.upgrade.request.at, socket))
            steps += [
                (message.at, (socket.number, message.data))
                for message in socket.messages
                if message.side is Side.CLIENT and isinstance(message.data, str)
            ]
        ends = {
            prompt.prompt_id: max(filter(None, (prompt.left_at, prompt.terminal_at)), default=0)
            for prompt in recorded.prompts
        }
        limit = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=limit, auto_decompress=True) as self._http:
            for at, step in sorted(steps, key=lambda one: one[0]):
                await self._wait_for_ends(ends, at)
                if isinstance(step, Socket):
                    await self._open(step)
                elif isinstance(step, Exchange):
                    key = f"{step.method} {step.target}"
                    asked[key] += 1
                    if _harmless(step) and (asked[key] <= SAME_REQUEST_MAX or step.request.body):
                        await self._ask(step)
                elif step[0] in self._sockets:
                    await self._sockets[step[0]].send_str(step[1])
            await self._wait_for_ends(ends, 1 << 62)
            for reader in self._readers:
                reader.cancel()
            await asyncio.gather(*self._readers, return_exceptions=True)
            for ws in self._sockets.values():
                await ws.close()

    async def _wait_for_ends(self, ends: Mapping[str, int], at: int) -> None:
        """What had ended by then in the recording has ended here, too."""
        for recorded_id, prompt_id in list(self._ids.items()):
            if ends.get(recorded_id, 0) < at and recorded_id in ends:
                await self._until_ended(prompt_id)

    async def _until_ended(self, prompt_id: str) -> None:
        ended = self._ended[prompt_id]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limit_s):
                while not ended.is_set():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(ended.wait(), LOOK_EVERY_S)
                    if not ended.is_set() and await self._in_history(prompt_id):
                        ended.set()
        ended.set()

    async def _in_history(self, prompt_id: str) -> bool:
        """Asked of the server itself: the recorded client did not ask."""
        try:
            async with self._http.get(f"{self._url}/history/{prompt_id}") as answer:
                return bool(await answer.json(content_type=None))
        except (aiohttp.ClientError, ValueError):
            return False

    async def _open(self, socket: Socket) -> None:
        target = yarl.URL(self._proxy + socket.upgrade.target, encoded=True)
        ws = await self._http.ws_connect(target, max_msg_size=0)
        self._sockets[socket.number] = ws
        self._readers.append(asyncio.create_task(self._listen(ws)))

    async def _listen(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                peek = peek_at(message.data)
                left = peek.type == "executing" and peek.null_node
                if peek.prompt_id is not None and (left or peek.type in _ENDS):
                    event = self._ended.setdefault(peek.prompt_id, asyncio.Event())
                    if left:
                        event.set()

    async def _ask(self, exchange: Exchange) -> None:
        target = yarl.URL(self._proxy + self._here(exchange.target), encoded=True)
        headers = [(k, v) for k, v in exchange.request.headers if k.lower() not in _NOT_SENT]
        body = self._here(exchange.request.body.decode("latin-1")).encode("latin-1")
        async with self._http.request(
            exchange.method, target, headers=headers, data=body or None, allow_redirects=False
        ) as answer:
            said = await answer.read()
        if exchange.method == "POST" and exchange.path == "/prompt" and answer.status == 200:
            recorded, here = _prompt_id(exchange.response_body), _prompt_id(said)
            if recorded and here:
                self._ids[recorded] = here
                self._ended.setdefault(here, asyncio.Event())

    def _here(self, text: str) -> str:
        """The text with this server's ids of prompts."""
        for recorded, here in self._ids.items():
            text = text.replace(recorded, here)
        return text


def _harmless(exchange: Exchange) -> bool:
    posts = exchange.path == "/prompt" or exchange.path.startswith("/upload/")
    return exchange.method == "GET" or (exchange.method == "POST" and posts)


def _prompt_id(body: bytes) -> str:
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    return str(said.get("prompt_id") or "") if isinstance(said, dict) else ""
