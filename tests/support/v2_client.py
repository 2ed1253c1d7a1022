"""A client of Comfy API v2 over a source, without a network, and what the document says of answers.

``OPERATIONS`` is written down by hand from ``openapi-v2.yaml`` (Comfy-Org/docs, version 2.0.0):
which statuses each operation may have. ``listJobs`` is newer than that; its statuses are those that
comfy-sdk 0.5.0 knows.
"""

from __future__ import annotations

import heapq
import json
from typing import Any

import msgspec

from comfyrec.events import v2
from comfyrec.events.sse import ServerSentEvent, ServerSentEvents
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from fake_server.source import (
    Action,
    HangUp,
    Happened,
    RealTimePassed,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    RespondMore,
    Response,
    Source,
    WaitRealTime,
    Wake,
    Woke,
)
from fake_server.surfaces.v2.settings import V2Settings

OPERATIONS = {
    "postAssets": {200, 201, 401, 403, 409, 422, 500},
    "assetFromHash": {200, 201, 401, 403, 404, 500},
    "headAssetByHash": {200, 401, 404, 500},
    "getAsset": {200, 401, 403, 404, 500},
    "deleteAsset": {204, 401, 403, 404, 409, 500},
    "getAssetContent": {200, 206, 302, 401, 403, 404, 416, 500},
    "postJobs": {201, 401, 402, 403, 422, 429, 500},
    "getJob": {200, 401, 403, 404, 429, 500},
    "getJobWorkflow": {200, 401, 403, 404, 429, 500},
    "getJobEvents": {200, 401, 403, 404, 429, 500, 501},
    "cancelJob": {200, 401, 403, 404, 429, 500},
    "listJobs": {200, 401, 403, 422, 429, 500},
}
BODIES: dict[tuple[str, int], type[msgspec.Struct]] = {
    ("postAssets", 200): v2.Asset,
    ("postAssets", 201): v2.Asset,
    ("assetFromHash", 200): v2.Asset,
    ("assetFromHash", 201): v2.Asset,
    ("getAsset", 200): v2.Asset,
    ("postJobs", 201): v2.Job,
    ("getJob", 200): v2.Job,
    ("cancelJob", 200): v2.Job,
    ("getJobWorkflow", 200): v2.JobWorkflow,
    ("listJobs", 200): v2.JobList,
}

PICTURE: dict[str, Any] = {
    "3": {
        "class_type": "EmptyImage",
        "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0},
    },
    "4": {
        "class_type": "ImageScaleBy",
        "inputs": {"image": ["3", 0], "upscale_method": "nearest-exact", "scale_by": 2.0},
    },
    "9": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}},
}
LIMIT = "limit"
_DISPOSITION = "Content-Disposition: form-data"


def v2_source(*scenarios: str, native: bool = False, **settings: Any) -> Source:
    """The simulated server with the surface before it."""
    surfaces = [SurfaceChoice("v2", V2Settings(**settings))]
    surfaces += [SurfaceChoice("native")] if native else []
    return scenario_source([*map(choose, scenarios)], ServerOptions(surfaces=tuple(surfaces)))


class Stream:
    """An event stream as a client reads it."""

    def __init__(self) -> None:
        self.events: list[ServerSentEvent] = []
        self.over = self.cut = False
        self._reader = ServerSentEvents()

    def feed(self, data: bytes) -> None:
        self.events += self._reader.feed(data)

    @property
    def comments(self) -> int:
        return self._reader.comments

    def named(self, event: str) -> list[Any]:
        """Data of the events of one type."""
        return [json.loads(one.data) for one in self.events if one.event == event]

    @property
    def states(self) -> list[str]:
        return [one["status"] for one in self.named("status")]


class V2Client:
    """Requests and streams; time goes on when ``wait`` says so."""

    def __init__(self, source: Source, *, prefix: str = "", **headers: str) -> None:
        self.source, self.now, self._prefix = source, 0, prefix
        self._headers = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        self._exchange = 0
        self._wakes: list[int] = []
        self._real: list[int] = []
        self.answers: dict[int, Response] = {}
        self.streams: dict[int, Stream] = {}

    # --- time ------------------------------------------------------------------------------------

    def feed(self, happened: Happened) -> None:
        for action in self.source.handle(happened, self.now):
            self.take(action)

    def take(self, action: Action) -> None:
        match action:
            case Wake():
                heapq.heappush(self._wakes, action.at)
            case WaitRealTime():
                self._real.append(action.token)
            case Respond():
                self.answers[action.exchange] = action.answer
                if action.more:
                    self.streams[action.exchange] = Stream()
                    self.streams[action.exchange].feed(action.answer.body)
            case RespondMore():
                stream = self.streams[action.exchange]
                assert not stream.over
                stream.feed(action.data)
                stream.over = action.last
            case HangUp():
                if action.exchange in self.streams:
                    self.streams[action.exchange].cut = True
                else:
                    self.answers[action.exchange] = Response(0)

    def wait(self, seconds: float = 3_600.0) -> None:
        """Let so much time pass, from moment to moment."""
        goal = self.now + round(seconds * 1_000_000)
        for _ in range(100_000):
            if self._real:
                self.feed(RealTimePassed(self._real.pop(0)))
            elif self._wakes and self._wakes[0] <= goal:
                self.now = max(self.now, heapq.heappop(self._wakes))
                self.feed(Woke())
            else:
                break
        else:
            raise AssertionError("it never comes to rest")
        self.now = goal

    # --- requests --------------------------------------------------------------------------------

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> int:
        """A request; gives its number."""
        self._exchange += 1
        data = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        own = path.startswith(("/jobs", "/assets"))
        target = f"{self._prefix}/api/v2{path}" if own else path
        request = Request(
            method, target, (("Host", "127.0.0.1:8189"), *self._headers, *fields), data
        )
        self.feed(RequestReceived(self._exchange, request))
        return self._exchange

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """A request, and its answer."""
        number = self.send(method, path, body, **headers)
        if number not in self.answers:
            self.wait(60)
        return self.answers[number]

    def read(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        answer = self.ask(method, path, body, **headers)
        return answer.status, json.loads(answer.body) if answer.body else None

    def submit(self, workflow: Any = None, **more: Any) -> str:
        """Submit a workflow; gives the job's id."""
        body = {"workflow": PICTURE if workflow is None else workflow, **more}
        status, job = self.read("POST", "/jobs", body)
        assert status == 201, job
        id: str = job["id"]
        return id

    def job(self, id: str) -> v2.Job:
        answer = self.ask("GET", f"/jobs/{id}")
        assert answer.status == 200, answer.body
        return v2.decode_http(v2.Job, answer.body)

    def listen(self, id: str) -> Stream:
        """Open an event stream."""
        number = self.send("GET", f"/jobs/{id}/events")
        if number not in self.streams:
            self.wait(1)
        return self.streams[number]

    def leave(self, stream: Stream) -> None:
        number = next(n for n, one in self.streams.items() if one is stream)
        self.feed(RequestAborted(number))

    def upload(
        self, data: bytes, path: str = "photo.png", kind: str = "image/png", **more: str
    ) -> Response:
        """Upload an asset. ``key`` is its Idempotency-Key."""
        key = more.pop("key", None)
        fields = {"content_type": kind, "file_path": path, **more}
        parts = [
            f'--{LIMIT}\r\n{_DISPOSITION}; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in fields.items()
            if value
        ]
        file = f'--{LIMIT}\r\n{_DISPOSITION}; name="file"; filename="f"\r\n\r\n'
        body = b"".join([*parts, file.encode(), data, f"\r\n--{LIMIT}--\r\n".encode()])
        headers = {"Content_Type": f"multipart/form-data; boundary={LIMIT}"}
        headers |= {"Idempotency_Key": key} if key is not None else {}
        return self.ask("POST", "/assets", body, **headers)


def code(answer: Response) -> str:
    """The code of an error."""
    return v2.decode_http(v2.ErrorEnvelope, answer.body).error.code


def check_answer(operation: str, answer: Response) -> None:
    """What the document says of an answer: its status, and what its body is."""
    assert answer.status in OPERATIONS[operation], (operation, answer.status, answer.body)
    kind = BODIES.get((operation, answer.status))
    if kind is not None:
        v2.decode_http(kind, answer.body)
    elif answer.status >= 400 and answer.status != 416 and operation != "headAssetByHash":
        v2.decode_http(v2.ErrorEnvelope, answer.body)
