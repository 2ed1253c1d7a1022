"""A script and a page through ``record --include-static``, beside a picture and a bare relay.

    python benchmarks/static_files.py [--quick] [--json]

script_to_picture    time of a script of 12 MB, as a ratio to a picture of 12 MB in the same round
page_to_picture      the same for an HTML page of 8 MB, beside that picture
*_cpu_to_picture     processor time of the recorder, as such a ratio: what a busy machine tells best
*_to_relay           time through the recorder, as a ratio to a relay that records nothing
*_wait_ms            how much longer another client's GET /queue took at worst meanwhile than alone
*_wait_ms_relay      the same of the relay: what the machine itself adds

The picture is a PNG of noise; the script and the page are made of lines with the names in them that
wake the rules of redaction. Waits are the median over rounds of the longest one of a round.
"""

from __future__ import annotations

import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import figures

from comfyrec import __version__

PEER = Path(__file__).with_name("proxy.py")
MB = 1_000_000
PIXELS = 1 << 16
"""In one chunk, as Pillow writes them."""
TYPES = {"picture": b"image/png", "script": b"text/javascript", "page": b"text/html"}
LIMIT_S = 60
PAUSE_S = 0.004
"""Between two questions of the other client."""
LINES = (
    "const token=t.accessToken??(await store.get('api_key'));headers.Authorization=`Bearer ${x}`;",
    "function n%d(e,t){const r=e.key??t.session;return r?e.map(o=>o.tokens.length):[]}",
    ".token.key{color:#%06x;background:url(/assets/sprite-%d.webp?v=1)} /* secret garden */",
    "<li class='node password-%d' data-key='k%d'>a photo of a cookie, signature, 8k</li>",
)


def text(size: int, chance: random.Random) -> bytes:
    """Code and markup, none of it twice the same."""
    lines, left = [], size
    while left > 0:
        line = chance.choice(LINES)
        numbers = tuple(chance.randrange(1 << 24) for _ in range(line.count("%")))
        lines.append(line % numbers)
        left -= len(lines[-1]) + 1
    return "\n".join(lines).encode()[:size]


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def bodies(scale: float) -> dict[str, bytes]:
    chance = random.Random(3)
    chunks = [chunk(b"IHDR", bytes(13))]
    chunks += [
        chunk(b"IDAT", chance.randbytes(PIXELS)) for _ in range(int(12 * MB * scale) // PIXELS)
    ]
    picture = b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")
    page = b"<!doctype html>" + text(int(8 * MB * scale) - 15, chance)
    return {"picture": picture, "script": text(int(12 * MB * scale), chance), "page": page}


# --- the server, in this process -------------------------------------------------------------


def serve(listener: socket.socket, held: dict[bytes, bytes]) -> None:
    while True:
        client, _ = listener.accept()
        threading.Thread(target=answer, args=(client, held), daemon=True).start()


def answer(client: socket.socket, held: dict[bytes, bytes]) -> None:
    with client, client.makefile("rb") as stream:
        while line := stream.readline():
            while stream.readline() not in (b"\r\n", b""):
                continue
            client.sendall(held.get(line.split(b" ")[1], held[b"/queue"]))


def response(kind: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (kind, len(body)) + body


PATHS = {"picture": b"/view", "script": b"/assets/index.js", "page": b"/index.html"}
"""A frontend's files by their addresses; the picture as ComfyUI serves it."""


# --- the recorder and the relay --------------------------------------------------------------


@contextmanager
def proxy(name: str, upstream: int, folder: Path) -> Iterator[tuple[int, int]]:
    """Process id and port."""
    command = [str(PEER), "--be", "relay", "--upstream", str(upstream)]
    if name == "comfyrec":
        command = ["-m", "comfyrec", "record", "--listen", "127.0.0.1:0", "--include-static"]
        command += ["--upstream", f"http://127.0.0.1:{upstream}", "-o", str(folder / "a.crec")]
    running = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert running.stdout is not None
    try:
        first = running.stdout.readline()
        yield running.pid, int(first.split()[-1].rpartition(b":")[2].rstrip(b"/"))
    finally:
        running.kill()
        running.wait(LIMIT_S)
        running.stdout.close()


def cpu_ns(pid: int) -> int | None:
    """Processor time of all threads of a process so far (Linux; None elsewhere)."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    except OSError:
        return None


# --- the clients -----------------------------------------------------------------------------


def fetched(line: socket.socket, path: bytes, size: int, buffer: bytearray) -> float:
    """Seconds of one request, until all of its answer has come."""
    begun, got, body = time.perf_counter(), b"", size
    line.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
    while b"\r\n\r\n" not in got:
        got += line.recv(65536)
    body -= len(got.partition(b"\r\n\r\n")[2])
    while body > 0:
        body -= line.recv_into(buffer, min(body, len(buffer)))
    return time.perf_counter() - begun


class Other:
    """Another client, which asks for the queue again and again."""

    def __init__(self, port: int, size: int) -> None:
        self._line = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        self._size, self._done = size, threading.Event()
        self.waits: list[float] = []
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        buffer = bytearray(65536)
        while not self._done.is_set():
            self.waits.append(fetched(self._line, b"/queue", self._size, buffer))
            time.sleep(PAUSE_S)

    def __enter__(self) -> Other:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._line.close()


QUEUE = b'{"queue_running": [], "queue_pending": []}'


def one_round(pid: int, port: int, sizes: dict[str, int]) -> dict[str, float | None]:
    """Seconds, processor time and the longest wait of the other client, for each body."""
    found: dict[str, float | None] = {}
    buffer = bytearray(1 << 20)
    with Other(port, len(QUEUE)) as other:
        time.sleep(0.25)
    alone = statistics.median(other.waits)
    for name, size in sizes.items():
        with (
            socket.create_connection(("127.0.0.1", port), LIMIT_S) as line,
            Other(port, len(QUEUE)) as other,
        ):
            before = cpu_ns(pid)
            found[name] = fetched(line, PATHS[name], size, buffer)
            after = cpu_ns(pid)
        found[f"{name} cpu"] = None if before is None or after is None else after - before
        found[f"{name} wait"] = max(other.waits) - alone
    return found


def measure(*, quick: bool) -> dict[str, Any]:
    held = bodies(0.1 if quick else 1)
    sizes = {name: len(body) for name, body in held.items()}
    answers = {PATHS[name]: response(TYPES[name], body) for name, body in held.items()}
    answers[b"/queue"] = response(b"application/json", QUEUE)
    rounds: dict[str, list[dict[str, float | None]]] = {"comfyrec": [], "relay": []}
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server, answers), daemon=True).start()
        upstream = int(server.getsockname()[1])
        with (
            proxy("comfyrec", upstream, Path(folder)) as ours,
            proxy("relay", upstream, Path(folder)) as relay,
        ):
            for turn in range(2 if quick else 8):
                for name, (pid, port) in (("comfyrec", ours), ("relay", relay)):
                    found = one_round(pid, port, sizes)
                    if turn:  # the first one warms up
                        rounds[name].append(found)
    return {
        "comfyrec": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load": round(os.getloadavg()[0], 1),
        "picture_ms": _median(rounds["comfyrec"], "picture", 1000),
        "script_to_picture": _ratio(rounds["comfyrec"], "script", "picture"),
        "page_to_picture": _ratio(rounds["comfyrec"], "page", "picture"),
        "script_cpu_to_picture": _ratio(rounds["comfyrec"], "script cpu", "picture cpu"),
        "page_cpu_to_picture": _ratio(rounds["comfyrec"], "page cpu", "picture cpu"),
        **{
            f"{name}_to_relay": _between(rounds["comfyrec"], rounds["relay"], name)
            for name in sizes
        },
        **{f"{name}_wait_ms": _median(rounds["comfyrec"], f"{name} wait", 1000) for name in sizes},
        **{
            f"{name}_wait_ms_relay": _median(rounds["relay"], f"{name} wait", 1000)
            for name in sizes
        },
    }


def _median(rounds: list[dict[str, float | None]], name: str, unit: float) -> float:
    return round(statistics.median((one[name] or 0) * unit for one in rounds), 1)


def _ratio(rounds: list[dict[str, float | None]], name: str, to: str) -> float | None:
    pairs = [(one[name], one[to]) for one in rounds]
    found = [above / below for above, below in pairs if above is not None and below]
    return round(statistics.median(found), 2) if found else None


def _between(
    ours: list[dict[str, float | None]], theirs: list[dict[str, float | None]], name: str
) -> float:
    pairs = zip(ours, theirs, strict=True)
    return round(statistics.median((a[name] or 0) / (b[name] or 1) for a, b in pairs), 2)


main = partial(figures.main, __doc__, measure)

if __name__ == "__main__":
    sys.exit(main())
