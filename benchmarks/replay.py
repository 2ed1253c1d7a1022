"""A replay's timing, speed and start-up, beside a replayer that sleeps between frames.

    python benchmarks/replay.py [--quick] [--json]

late_ms       how much later than recorded the last frame of a stream of 2 s with gaps of 0.5 ms
              arrives, at speed 1, counted from the stream's first frame
frames_per_s  how fast a stream arrives at speed max
start_ms      from the records in memory to a server that can be asked (ours: time line and player)

The peer, written as one would at first, keeps (pause, frame) pairs and sleeps before each send, in
the same aiohttp. At speed max it does not sleep. Rates are of this machine; ratios hold elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import aiohttp
import figures
from aiohttp import web
from websockets.sync.client import connect

from comfyrec import __version__
from comfyrec.cassette.records import AnyRecord, End, HttpPart, Session, Side, WsFrame
from comfyrec.timeline import Timeline
from fake_server.replay import Player
from fake_server.server.clock import MAX
from fake_server.server.thread import serve

PROMPT = "6c5d0f5e-0a1b-4c6e-9d55-000000000001"
GAP_US, STREAM_US = 500, 2_000_000
GRAPH = {"1": {"class_type": "Work", "inputs": {"steps": 4000}}}


def event(kind: str, **data: Any) -> str:
    return json.dumps({"type": kind, "data": data})


def frames(count: int, gap_us: int) -> list[tuple[int, str]]:
    """(microseconds since the submission, message): one prompt with a long row of progress."""
    told = [
        event("execution_start", prompt_id=PROMPT, timestamp=1),
        event("execution_cached", nodes=[], prompt_id=PROMPT, timestamp=1),
        event("executing", node="1", display_node="1", prompt_id=PROMPT),
    ]
    told += [
        event("progress", value=n, max=count, prompt_id=PROMPT, node="1") for n in range(count)
    ]
    told += [
        event("execution_success", prompt_id=PROMPT, timestamp=2),
        event("status", status={"exec_info": {"queue_remaining": 0}}),
        event("executing", node=None, prompt_id=PROMPT),
    ]
    return [(n * gap_us, message) for n, message in enumerate(told)]


def records(stream: list[tuple[int, str]]) -> list[AnyRecord]:
    """The stream as a recording: a socket, a submission, the frames."""
    upgrade = (
        b"GET /ws?clientId=recorded HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    body = json.dumps({"prompt": GRAPH, "client_id": "recorded"}).encode()
    post = b"POST /prompt HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    accepted = json.dumps({"prompt_id": PROMPT, "number": 0, "node_errors": {}}).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    status = event("status", status={"exec_info": {"queue_remaining": 0}}, sid="recorded")
    made: list[AnyRecord] = [
        Session(0, 0),
        HttpPart(1, 1, 1, Side.CLIENT, 0, upgrade),
        HttpPart(2, 2, 1, Side.SERVER, 0, switched),
        frame(3, 3, status),
        HttpPart(4, 10_000, 2, Side.CLIENT, 0, post, body),
        HttpPart(5, 10_100, 2, Side.SERVER, 0, answer, accepted),
    ]
    for t, message in stream:
        made.append(frame(len(made), 11_000 + t, message))
    return [*made, End(len(made), made[-1].t, len(made) + 1)]


def frame(seq: int, t: int, message: str) -> WsFrame:
    payload = message.encode()
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
    return WsFrame(seq, t, 1, Side.SERVER, head, payload)


# --- the two servers -------------------------------------------------------------------------


@contextmanager
def ours(timeline: Timeline, speed: float) -> Iterator[str]:
    with serve(Player(timeline), port=0, speed=speed) as handle:
        yield handle.url


class Sleeper:
    """The peer: pauses and frames, one after the other."""

    def __init__(self, stream: list[tuple[int, str]], speed: float) -> None:
        before = 0
        self.pauses: list[tuple[float, str]] = []
        for t, message in stream:
            self.pauses.append(((t - before) / 1_000_000 / speed, message))
            before = t
        self.submitted = asyncio.Event()

    async def post(self, request: web.Request) -> web.Response:
        await request.read()
        self.submitted.set()
        return web.json_response({"prompt_id": PROMPT, "number": 0, "node_errors": {}})

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        await ws.send_str(event("status", status={"exec_info": {"queue_remaining": 0}}, sid="x"))
        await self.submitted.wait()
        for pause, message in self.pauses:
            if pause:
                await asyncio.sleep(pause)
            await ws.send_str(message)
        await ws.close()
        return ws


@contextmanager
def sleeper(stream: list[tuple[int, str]], speed: float) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[web.AppRunner, str]:
        peer, app = Sleeper(stream, speed), web.Application()
        app.add_routes([web.post("/prompt", peer.post), web.get("/ws", peer.socket)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"

    runner, url = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield url
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


# --- measuring -------------------------------------------------------------------------------


def received(url: str, count: int) -> list[float]:
    """When each frame of the run arrived."""
    address = url.replace("http://", "ws://") + "/ws?clientId=live"
    with connect(address, compression=None, open_timeout=30) as socket:
        socket.recv(timeout=30)
        body = json.dumps({"prompt": GRAPH, "client_id": "live"}).encode()
        asyncio.run(post(url, body))
        times = []
        for _ in range(count):
            socket.recv(timeout=60)
            times.append(time.perf_counter())
        return times


async def post(url: str, body: bytes) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/prompt", data=body) as answer,
    ):
        await answer.read()


def late_ms(open_server: Callable[[], Any], stream: list[tuple[int, str]]) -> float:
    with open_server() as url:
        times = received(url, len(stream))
    recorded = (stream[-1][0] - stream[0][0]) / 1_000_000
    return (times[-1] - times[0] - recorded) * 1000


def frames_per_s(open_server: Callable[[], Any], count: int) -> float:
    with open_server() as url:
        times = received(url, count)
    return (count - 1) / (times[-1] - times[0])


def start_ms(recording: list[AnyRecord]) -> float:
    begun = time.perf_counter()
    Player(Timeline.build(recording))
    return (time.perf_counter() - begun) * 1000


def measure(*, quick: bool) -> dict[str, Any]:
    rounds, stream_us, many = (1, 100_000, 1_000) if quick else (5, STREAM_US, 20_000)
    paced = frames(stream_us // GAP_US, GAP_US)
    dense = frames(many, GAP_US)
    paced_line, dense_line = Timeline.build(records(paced)), Timeline.build(records(dense))
    late = [late_ms(lambda: ours(paced_line, 1.0), paced) for _ in range(rounds)]
    late_peer = [late_ms(lambda: sleeper(paced, 1.0), paced) for _ in range(rounds)]
    rate = [frames_per_s(lambda: ours(dense_line, MAX), len(dense)) for _ in range(rounds)]
    rate_peer = [frames_per_s(lambda: sleeper(dense, MAX), len(dense)) for _ in range(rounds)]
    started = [start_ms(records(paced)) for _ in range(rounds)]
    return {
        "comfyrec": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "stream_s": stream_us / 1_000_000,
        "late_ms": round(statistics.median(late), 2),
        "late_ms_worst": round(max(late), 2),
        "late_ms_peer": round(statistics.median(late_peer), 2),
        "frames_per_s": round(statistics.median(rate)),
        "frames_per_s_peer": round(statistics.median(rate_peer)),
        "frames_per_s_to_peer": round(statistics.median(rate) / statistics.median(rate_peer), 2),
        "start_ms": round(statistics.median(started), 2),
        "start_us_per_frame": round(1000 * statistics.median(started) / len(paced), 2),
    }


main = partial(figures.main, __doc__, measure)

if __name__ == "__main__":
    sys.exit(main())
