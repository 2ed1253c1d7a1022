"""The recording proxy beside a bare relay and a proxy that terminates and starts again.

    python benchmarks/proxy.py [--quick] [--json]

A raw server pushes websocket events of 300 bytes, answers small requests and sends a large body; a
raw client reads through each proxy in turn, in one run. The columns are ratios to the bare relay,
which records nothing: what a ratio says holds on other machines, what a rate says does not.
Processor time is that of the proxy's own process, per event or request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

EVENT = b'{"type": "progress", "data": {"value": 7, "max": 20, "node": "3", "pad": "%s"}}' % (
    b"x" * 221
)
FRAME = b"\x81\x7e" + len(EVENT).to_bytes(2, "big") + EVENT
LAST = b"\x81\x03END"
PROXIES = ("relay", "comfyrec", "aiohttp")
LIMIT_S = 20


# --- the server ------------------------------------------------------------------------------


def run_server(listener: socket.socket) -> None:
    """Answer every connection in a thread of its own."""
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=answer, args=(client,), daemon=True).start()


def answer(client: socket.socket) -> None:
    with client:
        stream = client.makefile("rb")
        while line := stream.readline():
            fields = {}
            while (field := stream.readline()) not in (b"\r\n", b""):
                name, _, value = field.partition(b":")
                fields[name.strip().lower()] = value.strip()
            asked = line.split(b" ")[1].split(b"/")
            if len(asked) != 4:  # the recorder asks once by itself what this is
                client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            _, what, count, size = asked
            if what == b"ws":
                push(client, fields[b"sec-websocket-key"], int(count), int(size))
                stream.read()
                return
            body = bytes(int(size))
            head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
            client.sendall(head % len(body) + body)


def push(client: socket.socket, key: bytes, events: int, at_once: int) -> None:
    import base64
    import hashlib

    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    for _ in range(events // at_once):
        client.sendall(FRAME * at_once)
    client.sendall(LAST)


# --- the proxies -----------------------------------------------------------------------------


class Half(asyncio.Protocol):
    """One side of a bare relay."""

    def __init__(self, upstream: int, other: Half | None = None) -> None:
        self.upstream, self.other = upstream, other
        self.waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.other is None:
            self.task = asyncio.get_running_loop().create_task(self.dial())

    async def dial(self) -> None:
        far = Half(self.upstream, self)
        await asyncio.get_running_loop().create_connection(lambda: far, "127.0.0.1", self.upstream)
        self.other = far
        far.transport.writelines(self.waiting)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.waiting.append(data)
        else:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, trouble: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()


async def run_relay(listener: socket.socket, upstream: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Half(upstream), sock=listener)
    await server.serve_forever()


async def run_aiohttp(listener: socket.socket, upstream: int) -> None:
    """Terminate and start again, as most proxies in Python do; records nothing."""
    from aiohttp import ClientSession, web

    base = f"http://127.0.0.1:{upstream}"
    session = ClientSession(auto_decompress=False)

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            down = web.WebSocketResponse(max_msg_size=0)
            await down.prepare(request)
            async with session.ws_connect(base + request.raw_path, max_msg_size=0) as up:
                async for message in up:
                    await down.send_str(message.data)
            return down
        async with session.get(base + request.raw_path) as came:
            response = web.StreamResponse(status=came.status)
            response.content_length = came.content_length
            await response.prepare(request)
            async for piece in came.content.iter_any():
                await response.write(piece)
            return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    await asyncio.Event().wait()


def start(name: str, upstream: int, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A server or proxy in a process of its own, and its port."""
    if name == "comfyrec":
        command = ["-m", "comfyrec", "record", "--listen", "127.0.0.1:0", "--overwrite"]
        command += ["--upstream", f"http://127.0.0.1:{upstream}", "-o", str(folder / "bench.crec")]
    else:
        command = [__file__, "--be", name, "--upstream", str(upstream)]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE)
    assert process.stdout is not None
    return process, int(process.stdout.readline().rpartition(b":")[2])


def be(name: str, upstream: int) -> None:
    """The body of such a process."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    if name == "server":
        run_server(listener)
    else:
        asyncio.run({"relay": run_relay, "aiohttp": run_aiohttp}[name](listener, upstream))


# --- the client ------------------------------------------------------------------------------


def dial(port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def events(port: int, count: int, at_once: int) -> float:
    """Seconds for so many events, so many in one write."""
    with dial(port) as line:
        line.sendall(
            b"GET /ws/%d/%d HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            % (count, at_once)
        )
        begun, tail = time.perf_counter(), b""
        while not tail.endswith(LAST):
            tail = (tail + line.recv(1 << 20))[-8:]
        return time.perf_counter() - begun


def requests(port: int, count: int, size: int) -> float:
    """The median of the seconds for one of so many requests, answered with ``size`` bytes."""
    took = []
    with dial(port) as line:
        for _ in range(count):
            begun, got = time.perf_counter(), b""
            line.sendall(b"GET /get/1/%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
            while b"\r\n\r\n" not in got:
                got += line.recv(65536)
            left = size - len(got.partition(b"\r\n\r\n")[2])
            while left:
                left -= len(line.recv(min(left, 1 << 20)))
            took.append(time.perf_counter() - begun)
    return statistics.median(took)


def cpu_s(pid: int) -> float:
    """Processor seconds of a process so far; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(rounds: int, scale: int) -> dict[str, dict[str, dict[str, float]]]:
    """measure -> proxy -> {"x relay": speed against the relay, "cpu us": per event or request}."""
    loads: dict[str, tuple[Callable[[int], float], int]] = {
        "events, one a write": (lambda port: events(port, 16 * scale, 1), 16 * scale),
        "events, 32 a write": (lambda port: events(port, 64 * scale, 32), 64 * scale),
        "small answers": (lambda port: requests(port, scale, 300), scale),
        "a body of 20 MB": (lambda port: requests(port, 1, 20_000_000), 1),
    }
    with tempfile.TemporaryDirectory() as folder:
        server, upstream = start("server", 0, Path(folder))
        running = {name: start(name, upstream, Path(folder)) for name in PROXIES}
        try:
            return {
                title: compare(running, load, units, rounds)
                for title, (load, units) in loads.items()
            }
        finally:
            for process in (server, *(process for process, _ in running.values())):
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=LIMIT_S)


def compare(
    running: dict[str, tuple[subprocess.Popen[bytes], int]],
    load: Callable[[int], float],
    units: int,
    rounds: int,
) -> dict[str, dict[str, float]]:
    """One load on all proxies, in turn; the first round warms up."""
    took: dict[str, list[float]] = {name: [] for name in running}
    spent = dict.fromkeys(running, 0.0)
    for turn in range(rounds + 1):
        for name, (process, port) in running.items():
            before = cpu_s(process.pid)
            seconds = load(port)
            if turn:
                took[name].append(seconds)
                spent[name] += cpu_s(process.pid) - before
    return {
        name: {
            "x relay": statistics.median(
                relay / ours for relay, ours in zip(took["relay"], took[name], strict=True)
            ),
            "cpu us": spent[name] / rounds / units * 1e6,
        }
        for name in running
    }


def show(found: dict[str, dict[str, dict[str, float]]]) -> None:
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}")
    print(f"{'':22}" + "".join(f"{name:>12} {'cpu us':>9}" for name in PROXIES))
    for title, row in found.items():
        cells = (f"{row[n]['x relay']:>11.2f}x {row[n]['cpu us']:>9.1f}" for n in PROXIES)
        print(f"{title:22}" + "".join(cells))
    print("x: speed against the bare relay, more is better; cpu us: per event or request")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds and events")
    parser.add_argument("--json", action="store_true", help="for a machine to read")
    parser.add_argument("--be", choices=["server", "relay", "aiohttp"], help=argparse.SUPPRESS)
    parser.add_argument("--upstream", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.be:
        be(arguments.be, arguments.upstream)
        return
    found = measure(1, 50) if arguments.quick else measure(5, 1000)
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()
