"""Large bodies in a replay, beside a bare aiohttp server: an upload of 30 MB, and a view of one.

    python benchmarks/bodies.py [--quick] [--json]

upload_to_peer   time of an upload, as a ratio to a server that reads the form as ComfyUI does
view_to_peer     time of a recorded file, as a ratio to a server that has its bytes in memory
own_to_peer      the same for a file that the live client has just uploaded
extra_mb         how much more memory the replay took at its highest than one of 1 kB bodies

The same with ``fixture_`` before it for a replay of the pytest fixture ``comfyui``.

The client is the same for both: raw sockets, one request each, the median of several. Memory is the
high-water mark of the server's process (Linux; left out elsewhere).
"""

from __future__ import annotations

import json
import platform
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import figures

from comfyrec import __version__
from comfyrec.cassette.files import write_cassette
from comfyrec.cassette.records import AnyRecord, End, HttpPart, Session, Side

PIECE = 1 << 16
BOUNDARY = b"benchmark-5d1f0c"

PEER = """
import sys
from aiohttp import web

made = open(sys.argv[1], "rb").read()


async def upload(request):
    form = await request.post()
    return web.json_response({"name": form["image"].filename, "subfolder": "", "type": "input"})


async def view(request):
    return web.Response(body=made, content_type="image/png")


app = web.Application(client_max_size=1 << 30)
app.add_routes([web.post("/upload/image", upload), web.get("/view", view)])
port = int(sys.argv[2])
web.run_app(app, host="127.0.0.1", port=port, print=lambda *_: print("ready", flush=True))
"""


FIXTURE = """
import sys
from pathlib import Path
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.settings import PluginSettings

comfyui = ComfyUI(PluginSettings(cassette=Path(sys.argv[1])))
print(comfyui.port, flush=True)
sys.stdin.read()
"""


# --- the recording ---------------------------------------------------------------------------


def form(image: bytes, name: str) -> bytes:
    head = (
        b'--%b\r\nContent-Disposition: form-data; name="image"; filename="%b"\r\n'
        b"Content-Type: image/png\r\n\r\n" % (BOUNDARY, name.encode())
    )
    return head + image + b"\r\n--%b--\r\n" % BOUNDARY


def upload_head(size: int) -> bytes:
    return (
        b"POST /upload/image HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: multipart/form-data; boundary=%b\r\nContent-Length: %d\r\n\r\n"
        % (BOUNDARY, size)
    )


def records(uploaded: bytes, made: bytes) -> Iterator[AnyRecord]:
    """An upload, and a view of another file, in pieces as the recorder writes them."""
    sent = form(uploaded, "recorded.png")
    said = json.dumps({"name": "recorded.png", "subfolder": "", "type": "input"}).encode()
    asked = b"GET /view?filename=made.png HTTP/1.1\r\nHost: x\r\n\r\n"
    seq = 0
    yield Session(0, 1)
    for exchange, (side, head, body) in enumerate(
        (
            (Side.CLIENT, upload_head(len(sent)), sent),
            (Side.SERVER, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", said),
            (Side.CLIENT, asked, b""),
            (Side.SERVER, b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n", made),
        )
    ):
        for at in range(0, max(len(body), 1), PIECE):
            seq += 1
            yield HttpPart(
                seq, seq + 1, 1 + exchange // 2, side, 0,
                b"" if at else head, body[at : at + PIECE], last=at + PIECE >= len(body),
            )  # fmt: skip
    yield End(seq + 1, seq + 2, seq + 2)


# --- the two servers -------------------------------------------------------------------------


class Process:
    """A server in a process of its own."""

    def __init__(self, running: subprocess.Popen[str], port: int) -> None:
        self.running, self.port = running, port

    def peak_mb(self) -> float | None:
        """The most memory that it has had."""
        try:
            status = Path(f"/proc/{self.running.pid}/status").read_text()
        except OSError:
            return None
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else None


@contextmanager
def started(command: list[str], port: int | None) -> Iterator[Process]:
    """A server that says a line when it is ready; where it has no port yet, that is the port."""
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stdin is not None and running.stdout is not None
    try:
        said = running.stdout.readline()
        yield Process(running, int(said) if port is None else port)
    finally:
        running.terminate()
        running.wait(30)
        running.stdin.close()
        running.stdout.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def ours(cassette: Path) -> Any:
    port = free_port()
    command = [sys.executable, "-m", "comfyrec", "serve", str(cassette), "--port", str(port)]
    return started(command, port)


def fixture(cassette: Path) -> Any:
    return started([sys.executable, "-c", FIXTURE, str(cassette)], None)


def peer(made: Path) -> Any:
    port = free_port()
    return started([sys.executable, "-c", PEER, str(made), str(port)], port)


# --- measuring -------------------------------------------------------------------------------


def seconds(server: Process, head: bytes, body: bytes, answer_bytes: int) -> float:
    """One request, until all of its answer has come."""
    buffer, got = bytearray(1 << 20), 0
    with socket.create_connection(("127.0.0.1", server.port), 60) as client:
        begun = time.perf_counter()
        client.sendall(head)
        client.sendall(body)
        while size := client.recv_into(buffer):
            got += size
        took = time.perf_counter() - begun
    if got < answer_bytes:
        raise SystemExit(f"the answer has {got} bytes, it should have {answer_bytes} and a head")
    return took


def get(name: str, **more: str) -> bytes:
    query = "&".join(f"{key}={value}" for key, value in {"filename": name, **more}.items())
    return f"GET /view?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


def medians(server: Process, sent: bytes, size: int, rounds: int) -> dict[str, float]:
    asked = {
        "upload": (upload_head(len(sent)), sent, 40),
        "own": (get("live.png", type="input"), b"", size),
        "view": (get("made.png"), b"", size),
    }
    return {
        name: statistics.median(seconds(server, *request) for _ in range(rounds))
        for name, request in asked.items()
    }


def measure(*, quick: bool) -> dict[str, Any]:
    size, rounds = (2 << 20, 1) if quick else (30 << 20, 7)
    chance = random.Random(5)
    made, uploaded = chance.randbytes(size), chance.randbytes(size)
    sent = form(uploaded, "live.png")
    with tempfile.TemporaryDirectory() as folder:
        cassette, tiny, file = (Path(folder) / name for name in ("big.crec", "tiny.crec", "made"))
        file.write_bytes(made)
        write_cassette(cassette, records(uploaded, made))
        write_cassette(tiny, records(uploaded[:1024], made[:1024]))
        with peer(file) as server:
            bare = medians(server, sent, size, rounds)
        facts: dict[str, Any] = {f"{name}_ms_peer": milliseconds(bare[name]) for name in bare}
        for kind, replay in (("", ours), ("fixture_", fixture)):
            with replay(tiny) as server:
                medians(server, form(uploaded[:1024], "live.png"), 1024, 1)
                idle_mb = server.peak_mb()
            with replay(cassette) as server:
                took = medians(server, sent, size, rounds)
                peak_mb = server.peak_mb()
            known = peak_mb is not None and idle_mb is not None
            facts |= {f"{kind}{name}_ms": milliseconds(took[name]) for name in took}
            facts |= {f"{kind}{name}_to_peer": round(took[name] / bare[name], 2) for name in took}
            facts[f"{kind}extra_mb"] = round((peak_mb or 0) - (idle_mb or 0), 1) if known else None
    return {
        "comfyrec": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "body_mb": size >> 20,
        **facts,
    }


def milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 1)


main = partial(figures.main, __doc__, measure)

if __name__ == "__main__":
    sys.exit(main())
