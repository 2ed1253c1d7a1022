"""Record mode ``new_episodes``: prompts that the cassette holds are replayed, others are recorded.

What counts is the prompt. One whose graph the cassette has (volatile inputs aside) is replayed with
all that was recorded about it. Any other one goes to the upstream, through the recording proxy and
under the client's own id; so do later requests that name its id or one of its files, uploads that
the cassette does not know, and interrupts while it runs. Its frames reach the client's sockets.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import yarl

from comfyrec.events.endings import prompt_ending
from comfyrec.events.outputs import files_in
from comfyrec.proxy.upstream import parse_upstream
from comfyrec.testing.recording import Recording
from comfyrec.timeline import Timeline
from fake_server.replay.matching.shape import VOLATILE, Shape, Tier
from fake_server.server.server import Server
from fake_server.source import (
    Action,
    Disconnected,
    Happened,
    MessageReceived,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    Source,
    UpgradeRequested,
    Wrapper,
)

__all__ = ["Episodes"]

_UPSTREAM_S: Final = aiohttp.ClientTimeout(total=300)
# Headers of one connection; all others are passed on.
_HOP_BY_HOP: Final = {
    "connection", "content-encoding", "content-length", "host", "keep-alive", "transfer-encoding",
}  # fmt: skip


class Episodes(Wrapper):
    """A player that sends what it does not know to the upstream.

    Args:
        player: replays the cassette.
        timeline: of the cassette.
        upstream: address of the real server.
        file: where the cassette and its new episodes are written; a copy of the cassette.
    """

    def __init__(self, player: Source, timeline: Timeline, upstream: str, file: Path) -> None:
        super().__init__(player)
        self._shapes = [Shape({"prompt": p.graph}, frozenset(VOLATILE)) for p in timeline.prompts]
        self._uploads = {e.request.body for e in timeline.exchanges if "/upload/" in e.path}
        self._upstream, self.file = upstream, file
        self._unreachable: list[str] = []
        self._recording: Recording | None = None
        self._http: aiohttp.ClientSession | None = None
        self._server: Server | None = None
        self._sockets: dict[int, str] = {}
        self._flags: dict[str, str] = {}
        self._listening: dict[str, aiohttp.ClientWebSocketResponse] = {}
        self._names: set[str] = set()
        """Prompt ids and file names that came from the upstream."""
        self._running: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def recorded(self) -> bool:
        """Whether anything went to the upstream."""
        return self._recording is not None

    def attach(self, server: Server) -> None:
        """Name the server that sends what the upstream sends."""
        self._server = server

    # --- the source protocol -------------------------------------------------------------------

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """Send requests of new episodes to the upstream, all else to the player."""
        if isinstance(happened, RequestReceived) and self._goes_upstream(happened.request):
            self._spawn(self._forward(happened.exchange, happened.request))
            return
        if isinstance(happened, UpgradeRequested):
            self._sockets[happened.socket] = happened.request.client_id
        elif isinstance(happened, MessageReceived):
            self._heard(happened)
        elif isinstance(happened, Disconnected):
            self._sockets.pop(happened.socket, None)
        yield from self.inner.handle(happened, now)

    def facts(self) -> Mapping[str, Any]:
        """The player's facts, and what goes to the upstream."""
        return {**self.inner.facts(), "upstream_names": sorted(self._names)}

    @property
    def complaints(self) -> list[str]:
        """The player's, and each request that could not be sent to the upstream."""
        return [*self.inner.complaints, *self._unreachable]

    def _heard(self, said: MessageReceived) -> None:
        client_id = self._sockets.get(said.socket, "")
        if isinstance(said.message, str) and "feature_flags" in said.message:
            self._flags.setdefault(client_id, said.message)

    # --- what goes where -----------------------------------------------------------------------

    def _goes_upstream(self, request: Request) -> bool:
        path = request.path
        if request.method == "POST" and path == "/prompt":
            return not self._knows(request)
        if path.startswith("/upload/"):
            return request.body not in self._uploads
        if path in ("/interrupt", "/queue") and self._running:
            return True
        return any(name in request.target for name in self._names) or (
            request.method == "POST" and any(n.encode() in request.body for n in self._names)
        )

    def _knows(self, request: Request) -> bool:
        try:
            shape = Shape(request.read_json(), frozenset(VOLATILE))
        except (ValueError, RecursionError):
            return True  # not a prompt: the player can answer that
        return any(shape.tier(known) >= Tier.STRUCTURE for known in self._shapes)

    # --- the upstream --------------------------------------------------------------------------

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _carry(self, actions: Iterable[Action]) -> None:
        assert self._server is not None, "attach comes before the first request"
        self._server.carry(actions)

    async def _session(self) -> tuple[aiohttp.ClientSession, str]:
        if self._recording is None:
            self._recording = Recording(self._upstream, self.file, append=True, listen=False)
            await self._recording.start()
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=_UPSTREAM_S, auto_decompress=True)
        return self._http, self._recording.url

    async def _forward(self, exchange: int, request: Request) -> None:
        try:
            answer = await self._ask(request)
        except (aiohttp.ClientError, OSError, TimeoutError) as trouble:
            address = parse_upstream(self._upstream).url
            sentence = f"the upstream {address} cannot be reached: {trouble}"
            self._unreachable.append(sentence)
            answer = Response(502, (), f"{sentence}\n".encode())
        self._carry([Respond(exchange, answer)])

    async def _ask(self, request: Request) -> Response:
        http, url = await self._session()
        submitted = request.asks("POST", "/prompt")
        if submitted:
            await self._listen(_client_id(request.body))
        headers = [(k, v) for k, v in request.headers if k.lower() not in _HOP_BY_HOP]
        async with http.request(
            request.method,
            yarl.URL(url + request.target, encoded=True),
            headers=headers,
            data=request.body,
            allow_redirects=False,
        ) as said:
            body = await said.read()
            kept = [(k, v) for k, v in said.headers.items() if k.lower() not in _HOP_BY_HOP]
        if submitted and said.status == 200:
            prompt_id = str(json.loads(body).get("prompt_id"))
            self._names.add(prompt_id)
            self._running.add(prompt_id)
        return Response(said.status, tuple(kept), body, said.reason)

    async def _listen(self, client_id: str) -> None:
        """Open the client's websocket at the upstream, before its prompt is posted."""
        if client_id in self._listening:
            return
        http, url = await self._session()
        socket = await http.ws_connect(f"{url}/ws", params={"clientId": client_id}, max_msg_size=0)
        self._listening[client_id] = socket
        if client_id in self._flags:
            await socket.send_str(self._flags[client_id])
        await socket.receive()  # the greeting: the client had its own from the player
        self._spawn(self._pass_on(client_id, socket))

    async def _pass_on(self, client_id: str, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                continue
            if isinstance(message.data, str):
                self._note(message.data)
            live = tuple(n for n, owner in self._sockets.items() if owner == client_id)
            self._carry([Send(live, message.data)])

    def _note(self, text: str) -> None:
        try:
            frame = json.loads(text)
            data = frame["data"]
        except (ValueError, KeyError, TypeError):
            return  # passed on all the same; it names nothing
        if prompt_ending(frame.get("type"), lambda: data):
            self._running.discard(data.get("prompt_id"))
        if frame.get("type") == "executed":
            self._names.update(file.filename for file in files_in(data.get("output")))

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in self._listening.values():
            await socket.close()
        if self._http is not None:
            await self._http.close()
        if self._recording is not None:
            await self._recording.stop()

    def close(self, server: Any) -> None:
        """End what goes on at the upstream. ``server`` is the handle whose thread it runs in."""
        server.thread.run(self._stop())
        if self._recording is not None:
            self._recording.finish()


def _client_id(body: bytes) -> str:
    said = json.loads(body)
    return str(said.get("client_id") or (said.get("extra_data") or {}).get("client_id") or "")
