"""What a full queue and a client that stops reading cost everybody else.

    python benchmarks/load.py [--quick] [--json]

- queue: 10,000 prompts wait behind one that runs. How long a POST, GET /prompt, GET /queue, a page
  of the jobs and a deletion take meanwhile, how much memory the queue has, how fast it drains, and
  how long GET /prompt takes while it drains.
- deaf: a websocket that never reads, beside one that does, while 256 KB text frames go to all. How
  long the reader and GET /prompt wait, how much memory the server has at most, and that the deaf
  one is cut off (the server keeps 64 MB for a client, no more).

Times are in ms. There is no peer: a bound is a bound. On a shared machine look at the median.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from server import open_ws, rss_mb, until

ENDED = b'"executing", "data": {"node": null'
TEXT_SIZE = 256 * 1024


@contextlib.contextmanager
def fake(speed: str) -> Iterator[tuple[int, int]]:
    """Process id and port of ``comfyrec serve``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "comfyrec", "serve", "--port", "0", "--speed", speed],
        stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        found = re.search(r":(\d+)/?\s*$", process.stdout.readline())
        assert found is not None
        yield process.pid, int(found[1])
    finally:
        process.terminate()
        process.communicate()


class Client:
    """One kept connection, and how long each answer took."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[float, bytes]:
        sent = None if body is None else json.dumps(body)
        begun = time.perf_counter()
        self._connection.request(method, path, sent)
        answer = self._connection.getresponse().read()
        return (time.perf_counter() - begun) * 1000, answer

    def plan(self, nodes: Any) -> None:
        self.ask("PUT", "/__fake__/scenario", {"name": "success", "params": {"nodes": nodes}})


def prompt(color: int) -> dict[str, Any]:
    picture = {"width": 8, "height": 8, "batch_size": 1, "color": color}
    return {
        "1": {"class_type": "EmptyImage", "inputs": picture},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }


def remaining(client: Client) -> int:
    found: int = json.loads(client.ask("GET", "/prompt")[1])["exec_info"]["queue_remaining"]
    return found


def summary(name: str, times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    tail = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {f"{name}_ms": statistics.median(times), f"{name}_p99_ms": tail}


def measure_queue(count: int) -> dict[str, float]:
    """Fill the queue, look at it, empty it."""
    with fake("1") as (pid, port):
        client = Client(port)
        client.plan({"first": {"seconds": 3600}})
        held = {
            "first": prompt(1)["1"],
            "2": {**prompt(1)["2"], "inputs": {"images": ["first", 0]}},
        }
        client.ask("POST", "/prompt", {"prompt": held})
        before = rss_mb(pid)
        posts = [client.ask("POST", "/prompt", {"prompt": prompt(n)})[0] for n in range(count)]
        found = {"prompts": float(remaining(client)), "memory_mb": rss_mb(pid) - before}
        found |= summary("post", posts)
        found |= summary("get_prompt", [client.ask("GET", "/prompt")[0] for _ in range(100)])
        found |= summary("get_queue", [client.ask("GET", "/queue")[0] for _ in range(5)])
        found |= summary(
            "jobs_page", [client.ask("GET", "/api/jobs?limit=20")[0] for _ in range(5)]
        )
        waiting = [item[1] for item in json.loads(client.ask("GET", "/queue")[1])["queue_pending"]]
        gone = [
            client.ask("POST", "/queue", {"delete": [one]})[0] for one in waiting[:: count // 20]
        ]
        found |= summary("delete", gone)
        client.ask("POST", "/interrupt")
        begun, times = time.perf_counter(), []
        while remaining(client):
            times.append(client.ask("GET", "/prompt")[0])
        drained = time.perf_counter() - begun
        found |= {
            "drained_per_s": len(waiting) / drained,
            **summary("while_draining", times or [0]),
        }
    return found


def measure_deaf(count: int) -> dict[str, float]:
    """Push more than the server keeps for one client to a client that does not read."""
    with fake("max") as (pid, port):
        client = Client(port)
        client.plan({"2": {"text": "x" * TEXT_SIZE}})
        deaf, _ = open_ws(port, "/ws?clientId=deaf")
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader, buffer = open_ws(port, "/ws?clientId=reader")
        before, most = rss_mb(pid), 0.0
        waits, asked = [], []
        for number in range(count):
            begun = time.perf_counter()
            client.ask("POST", "/prompt", {"prompt": prompt(number), "client_id": "reader"})
            until(reader, buffer, ENDED)
            buffer.clear()
            waits.append((time.perf_counter() - begun) * 1000)
            asked.append(client.ask("GET", "/prompt")[0])
            most = max(most, rss_mb(pid) - before)
        listening = json.loads(client.ask("GET", "/__fake__/sockets")[1])
        sent = count * TEXT_SIZE / 1e6
        return {
            "pushed_mb": sent,
            "memory_at_most_mb": most,
            "sockets_left": float(sum(one["open"] for one in listening["sockets"])),
            **summary("whole_prompt", waits),
            **summary("get_prompt", asked),
        }


def bounded(work: Callable[[int], dict[str, float]], count: int) -> dict[str, float]:
    """A hung server must not hang the benchmark."""
    guard = threading.Timer(300, lambda: os._exit(1))
    guard.start()
    try:
        return work(count)
    finally:
        guard.cancel()


def main(argv: Iterable[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(None if argv is None else list(argv))
    found = {
        "queue": bounded(measure_queue, 200 if arguments.quick else 10_000),
        "deaf": bounded(measure_deaf, 40 if arguments.quick else 600),
    }
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    for name, values in found.items():
        print(f"{name:6}", "  ".join(f"{key} {value:.4g}" for key, value in values.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
