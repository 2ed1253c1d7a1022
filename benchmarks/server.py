"""The fake server's shell beside peers that send prepared bytes: CPU, not opinions.

    python benchmarks/server.py [--quick] [--json]

- per test: start, one GET, stop, in slices between the others; the peer is a bare asyncio listener
  that sends fixed bytes.
- push: CPU of the server process per 300 byte event, to 1 and to 200 clients; the peer writes
  frames that were prepared before.
- cycles: POST /prompt, its frames, GET /history, GET /view; the peer is a bare aiohttp server that
  sends prepared bytes. Ours runs the engine with a real prompt each time.
- idle: memory of 1,000 open sockets.

Competitors alternate round by round. On a shared machine believe the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import http.client
import itertools
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from comfyrec.wire.frames import message_frame
from fake_server.server.clock import MAX
from fake_server.server.thread import LoopThread, loop_thread, serve
from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    Accept,
    Action,
    Disconnected,
    Happened,
    MessageReceived,
    Send,
    Source,
    UpgradeRequested,
    Wake,
    Woke,
)
from fake_server.testing import SamePromptServer, running

EVENT = json.dumps({"type": "progress_state", "data": {"pad": "x" * 255}})
END = '{"type": "end"}'


# --- a small client, the same for everybody -------------------------------------------------------


def dial(port: int) -> socket.socket:
    """A connection."""
    return socket.create_connection(("127.0.0.1", port), 30)


def open_ws(port: int, target: str = "/ws?clientId=c") -> tuple[socket.socket, bytearray]:
    """A websocket and what came behind its handshake."""
    sock = dial(port)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    got = bytearray()
    while b"\r\n\r\n" not in got:
        got += sock.recv(65_536)
    head, _, rest = bytes(got).partition(b"\r\n\r\n")
    assert b" 101 " in head, head
    return sock, bytearray(rest)


def say(sock: socket.socket, text: str) -> None:
    """A masked text frame; the mask is zero, which no server minds."""
    data = text.encode()
    assert len(data) < 126
    sock.sendall(bytes((0x81, 0x80 | len(data))) + b"\0\0\0\0" + data)


def until(sock: socket.socket, buffer: bytearray, mark: bytes) -> None:
    """Read until a mark has come."""
    while mark not in buffer:
        got = sock.recv(1 << 18)
        assert got, "the server went away"
        buffer += got
        if mark not in buffer:
            del buffer[: -len(mark)]


def once(sock: socket.socket, request: bytes) -> bytes:
    """One request on a kept connection."""
    sock.sendall(request)
    got = bytearray()
    while True:
        got += sock.recv(1 << 18)
        head, gap, body = bytes(got).partition(b"\r\n\r\n")
        if gap:
            size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            if len(body) >= size:
                return body


# --- push -----------------------------------------------------------------------------------------


class Pusher(Source):
    """Sends as many events as a client asks for, to everybody, in slices of a loop's turn."""

    def __init__(self) -> None:
        self.sockets: list[int] = []
        self.left = 0

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """A number that is said starts the push."""
        if isinstance(happened, UpgradeRequested):
            self.sockets.append(happened.socket)
            yield Accept(happened.socket)
        elif isinstance(happened, Disconnected):
            self.sockets.remove(happened.socket)
        elif isinstance(happened, MessageReceived):
            self.left = int(happened.message)
            yield from self._slice(now)
        elif isinstance(happened, Woke):
            yield from self._slice(now)

    def _slice(self, now: int) -> Iterator[Action]:
        everybody = tuple(self.sockets)
        for _ in range(min(self.left, 32)):
            yield Send(everybody, EVENT)
        self.left -= min(self.left, 32)
        yield Wake(now + 1) if self.left else Send(everybody, END)


Stop = Callable[[], Coroutine[Any, Any, None]]


async def prepared(port: int) -> Stop:
    """The floor: frames that were made before, written and drained."""
    event, end = message_frame(EVENT), message_frame(END)
    writers: list[asyncio.StreamWriter] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        writers.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(6)
                count = int(await reader.readexactly(head[1] & 127))
                for _ in range(count):
                    for each in writers:
                        each.write(event)
                        await each.drain()
                for each in writers:
                    each.write(end)
        writers.remove(writer)
        writer.close()

    server = await asyncio.start_server(handler, "127.0.0.1", port, backlog=512)

    async def stop() -> None:
        server.close()
        while writers:  # noqa: ASYNC110  a turn of the loop, not a wait
            await asyncio.sleep(0)

    return stop


def push(port: int, clients: int, count: int) -> None:
    """Connect, let the first ask, read everything."""
    sockets = [open_ws(port) for _ in range(clients)]
    say(sockets[0][0], str(count))
    for sock, buffer in sockets:
        until(sock, buffer, END.encode())
    for sock, _ in sockets:
        sock.close()


# --- cycles ---------------------------------------------------------------------------------------


def frames_of(prompt_id: str) -> list[str]:
    """Twelve frames of a small prompt."""

    def event(kind: str, **data: Any) -> str:
        return json.dumps({"type": kind, "data": data})

    ours: dict[str, Any] = {"prompt_id": prompt_id}
    status = {"status": {"exec_info": {"queue_remaining": 1}}}
    shown = {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}
    steps = [event("progress", value=i, max=4, node="3", **ours) for i in range(1, 5)]
    return [
        event("status", **status), event("execution_start", timestamp=1, **ours),
        event("execution_cached", nodes=[], timestamp=1, **ours),
        event("executing", node="3", display_node="3", **ours), *steps,
        event("executed", node="9", display_node="9", output=shown, **ours),
        event("execution_success", timestamp=2, **ours), event("status", **status),
        event("executing", node=None, **ours),
    ]  # fmt: skip


def bare_aiohttp() -> web.Application:
    """A server as people write it by hand: prepared bytes, no engine."""
    sockets: dict[str, web.WebSocketResponse] = {}
    picture = os.urandom(1_000)
    tasks: set[asyncio.Task[None]] = set()

    async def ws(request: web.Request) -> web.WebSocketResponse:
        socket_ = web.WebSocketResponse(compress=False)
        await socket_.prepare(request)
        sockets[request.query["clientId"]] = socket_
        await socket_.send_str('{"type": "status", "data": {}}')
        async for _ in socket_:
            pass
        return socket_

    async def play(socket_: web.WebSocketResponse, prompt_id: str) -> None:
        for text in frames_of(prompt_id):
            await socket_.send_str(text)

    async def prompt(request: web.Request) -> web.Response:
        body = await request.json()
        prompt_id = str(uuid.uuid4())
        task = asyncio.get_running_loop().create_task(play(sockets[body["client_id"]], prompt_id))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return web.json_response({"prompt_id": prompt_id, "number": 1, "node_errors": {}})

    async def history(request: web.Request) -> web.Response:
        return web.json_response({request.match_info["id"]: {"outputs": {}, "status": {}}})

    async def view(request: web.Request) -> web.Response:
        return web.Response(body=picture, content_type="image/png")

    app = web.Application()
    app.router.add_get("/ws", ws)
    app.router.add_post("/prompt", prompt)
    app.router.add_get("/history/{id}", history)
    app.router.add_get("/view", view)
    return app


async def bare(port: int) -> Stop:
    """Serve it."""
    runner = web.AppRunner(bare_aiohttp(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner.cleanup


def cycles(port: int, count: int) -> float:
    """Median seconds of a whole cycle."""
    client = uuid.uuid4().hex
    ws, buffer = open_ws(port, f"/ws?clientId={client}")
    sock = dial(port)
    body = json.dumps(
        {"prompt": {"3": {"class_type": "X", "inputs": {}}}, "client_id": client}
    ).encode()
    post = b"POST /prompt HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    took = []
    for _ in range(count):
        begin = time.perf_counter()
        prompt_id = json.loads(once(sock, post))["prompt_id"]
        until(ws, buffer, b'"node": null, "prompt_id": "' + prompt_id.encode())
        buffer.clear()
        once(sock, f"GET /history/{prompt_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        once(sock, b"GET /view?filename=a.png HTTP/1.1\r\nHost: x\r\n\r\n")
        took.append(time.perf_counter() - begin)
    sock.close()
    ws.close()
    return statistics.median(took)


# --- processes ------------------------------------------------------------------------------------


@contextlib.contextmanager
def here(kind: str) -> Iterator[int]:
    """The port of a server in this process."""
    sources: dict[str, Callable[[], Any]] = {
        "push": Pusher,
        "cycles": SamePromptServer,
        "idle": SimulatedServer,
    }
    if kind in sources:
        with serve(sources[kind](), speed=MAX) as handle:
            yield handle.port
        return
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    thread = LoopThread()
    stop = thread.run(prepared(port) if kind == "prepared" else bare(port))
    try:
        yield port
    finally:
        thread.run(stop())
        thread.close()


def child(kind: str) -> None:
    """Be the server under test: print the port, serve until the parent closes our input."""
    with here(kind) as port:
        print(port, flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def server(kind: str) -> Iterator[tuple[int, int]]:
    """Process id and port of a server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), "--serve", kind],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.communicate()


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    threads = Path(f"/proc/{pid}/task").iterdir()
    each = [(t / "schedstat").read_text(encoding="ascii").split()[0] for t in threads]
    return max(int(fields[0]), sum(map(int, each))) / 1e9


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# --- what is measured -----------------------------------------------------------------------------


class Fixed(asyncio.Protocol):
    """The least that answers a GET: the same bytes each time, and no more connections."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """It has asked."""
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        self.transport.close()


@contextlib.contextmanager
def listener() -> Iterator[str]:
    """A bare asyncio listener on a loop that is there already: what no server can do without."""
    thread = loop_thread()

    async def stop() -> None:
        bare.close()
        await bare.wait_closed()

    bare = thread.run(thread.loop.create_server(Fixed, "127.0.0.1", 0))
    try:
        yield f"http://127.0.0.1:{bare.sockets[0].getsockname()[1]}"
    finally:
        thread.run(stop())


class Starts:
    """Start, GET, stop, in slices: CPU and wall.

    A machine that is shared is slow for seconds or minutes at a time, so the slices are spread
    over the whole run. The first fifth of each slice warms up and is left out.
    """

    def __init__(self) -> None:
        self.ours: list[list[float]] = []
        self.bare: list[list[float]] = []
        self.wall: list[float] = []

    def measure(self, rounds: int) -> None:
        """One slice; ours and the bare listener take turns."""
        cpu: dict[str, list[float]] = {"ours": [], "bare": []}
        wall = []
        for _ in range(rounds + rounds // 4):
            for kind, serving in (("ours", running), ("bare", listener)):
                begin, used = time.perf_counter(), time.process_time()
                with serving() as url:
                    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
                    connection.request("GET", "/system_stats")
                    connection.getresponse().read()
                    connection.close()
                cpu[kind].append((time.process_time() - used) * 1e3)
                if kind == "ours":
                    wall.append((time.perf_counter() - begin) * 1e3)
        self.ours.append(cpu["ours"][-rounds:])
        self.bare.append(cpu["bare"][-rounds:])
        self.wall += wall[-rounds:]

    def found(self) -> dict[str, float]:
        """Medians of all rounds, and of the slice in which the bare listener was fastest."""
        median = statistics.median
        quiet = min(range(len(self.bare)), key=lambda i: median(self.bare[i]))
        ours, bare = list(itertools.chain(*self.ours)), list(itertools.chain(*self.bare))
        return {
            "cpu_ms_median": median(ours),
            "bare_ms_median": median(bare),
            "ratio": median(ours) / median(bare),
            "quiet_cpu_ms_median": median(self.ours[quiet]),
            "quiet_bare_ms_median": median(self.bare[quiet]),
            "wall_ms_median": median(self.wall),
            "wall_ms_p95": statistics.quantiles(self.wall, n=20)[-1],
        }


def measure_push(clients: int, count: int, rounds: int) -> dict[str, float]:
    """CPU microseconds per event and client, ours and prepared frames."""
    kinds = ("push", "prepared")
    used: dict[str, list[float]] = {kind: [] for kind in kinds}
    with server("push") as ours, server("prepared") as floor:
        where = dict(zip(kinds, (ours, floor), strict=True))
        for kind in kinds:
            push(where[kind][1], clients, count // 10 + 1)
        for turn in range(rounds):
            for kind in kinds if turn % 2 else reversed(kinds):
                pid, port = where[kind]
                before = cpu_s(pid)
                push(port, clients, count)
                used[kind].append((cpu_s(pid) - before) / clients / count * 1e6)
    ratios = [a / b for a, b in zip(used["push"], used["prepared"], strict=True)]
    return {
        "ours_us": statistics.median(used["push"]),
        "prepared_us": statistics.median(used["prepared"]),
        "ratio": statistics.median(ratios),
    }


def measure_cycles(count: int, rounds: int) -> dict[str, float]:
    """Whole prompt cycles a second, ours and bare aiohttp."""
    kinds = ("cycles", "aiohttp")
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    with server("cycles") as ours, server("aiohttp") as bare:
        where = dict(zip(kinds, (ours, bare), strict=True))
        for kind in kinds:
            cycles(where[kind][1], count // 4 + 1)
        for turn in range(rounds):
            for kind in kinds if turn % 2 else reversed(kinds):
                took[kind].append(cycles(where[kind][1], count))
    ratios = [b / a for a, b in zip(took["cycles"], took["aiohttp"], strict=True)]
    return {
        "ours_per_s": 1 / statistics.median(took["cycles"]),
        "aiohttp_per_s": 1 / statistics.median(took["aiohttp"]),
        "ratio": statistics.median(ratios),
    }


def measure_idle(count: int) -> dict[str, float]:
    """Memory of idle sockets."""
    with server("idle") as (pid, port):
        open_ws(port)[0].close()
        before = rss_mb(pid)
        sockets = [open_ws(port, f"/ws?clientId={i}") for i in range(count)]
        grown = rss_mb(pid) - before
        for sock, _ in sockets:
            sock.close()
    return {"sockets": count, "grown_mb": grown}


def main(argv: Iterable[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args(None if argv is None else list(argv))
    if arguments.serve:
        child(arguments.serve)
        return 0
    quick = arguments.quick
    measures: dict[str, Callable[[], dict[str, float]]] = {
        "push to 1": lambda: measure_push(1, 3_000 if quick else 40_000, 2 if quick else 6),
        "push to 200": lambda: measure_push(
            20 if quick else 200, 50 if quick else 300, 2 if quick else 6
        ),
        "cycles": lambda: measure_cycles(100 if quick else 400, 2 if quick else 6),
        "idle": lambda: measure_idle(100 if quick else 1_000),
    }
    starts = Starts()
    found: dict[str, dict[str, float]] = {"per test": {}}
    starts.measure(20 if quick else 100)
    for name, measure in measures.items():
        found[name] = measure()
        starts.measure(20 if quick else 100)
    found["per test"] = starts.found()
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    print(f"Python {platform.python_version()}, aiohttp {aiohttp.__version__}, "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    for name, values in found.items():
        print(f"{name:12}", "  ".join(f"{key} {value:.3g}" for key, value in values.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
