"""A source and a polite client of Comfy API v2, without a network: what is said, in virtual time.

It uploads what its workflow loads, submits it, listens, asks for the job when there is nothing to
hear, and fetches the outputs. What it meets is the scenario.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from comfyrec.events import v2
from comfyrec.events.sse import ServerSentEvents
from comfyrec.wording import shortened
from fake_server.scenarios.kit.dry_run import DryRunLine
from fake_server.scenarios.kit.requests import read_json
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

__all__ = ["dry_run_v2"]

PATIENCE_US: Final = 5_000_000
"""For an answer, and for the next event."""
PAUSE_US: Final = 500_000
SUBMITS_MAX: Final = 3
ROUNDS_MAX: Final = 4
DOWNLOADS_MAX: Final = 2
_HOST: Final = "127.0.0.1:8188"
_LIMIT: Final = "comfyrec-dry-run"


class _Client:
    def __init__(self, source: Source, token: str) -> None:
        self.source, self.token = source, token
        self.now = self.number = 0
        self.lines: list[DryRunLine] = []
        self.answers: dict[int, Response | None] = {}
        self.pieces: list[bytes] = []
        self.ended: set[int] = set()
        self._wakes: list[int] = []
        self._real: list[int] = []
        self.names: dict[str, str] = {}
        """Ids -> the words that stand for them."""

    def feed(self, happened: Happened) -> None:
        for action in self.source.handle(happened, self.now):
            self._take(action)

    def _take(self, action: Action) -> None:
        match action:
            case Wake():
                heapq.heappush(self._wakes, action.at)
            case WaitRealTime():
                self._real.append(action.token)
            case Respond():
                self.answers[action.exchange] = action.answer.in_memory()
                self.pieces += [action.answer.in_memory().body] if action.more else []
            case RespondMore():
                self.pieces.append(bytes(action.data))
                self.ended |= {action.exchange} if action.last else set()
            case HangUp():
                self.answers.setdefault(action.exchange, None)
                self.ended.add(action.exchange)

    def wait(self, us: int) -> bool:
        """Let the next thing happen within so much time; whether something was due."""
        if self._real:
            self.feed(RealTimePassed(self._real.pop(0)))
            return True
        if not self._wakes or self._wakes[0] > self.now + us:
            self.now += us
            return False
        self.now = max(self.now, heapq.heappop(self._wakes))
        self.feed(Woke())
        return True

    # --- words -------------------------------------------------------------------------------

    def say(self, text: str, *, to_client: bool, message: str | bytes = b"") -> None:
        for id, word in self.names.items():
            text = text.replace(id, word)
        self.lines.append(DryRunLine(self.now, to_client, text, message))

    # --- requests ----------------------------------------------------------------------------

    def send(self, method: str, url: str, body: bytes = b"", *fields: tuple[str, str]) -> int:
        parts = urlsplit(url)
        host = parts.netloc or _HOST
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        key = (("Authorization", f"Bearer {self.token}"),) if host == _HOST and self.token else ()
        self.number += 1
        shown = target if host == _HOST else f"http://{host}{parts.path}"
        self.say(f"{method} {shown}", to_client=False, message=body)
        request = Request(method, target, (("Host", host), *key, *fields), body)
        self.feed(RequestReceived(self.number, request))
        return self.number

    def ask(
        self, method: str, url: str, body: bytes = b"", *fields: tuple[str, str]
    ) -> Response | None:
        """The answer; None where none comes."""
        number = self.send(method, url, body, *fields)
        until = self.now + PATIENCE_US
        while number not in self.answers and self.now < until:
            self.wait(until - self.now)
        if number not in self.answers:
            self.say(f"(no answer to {method} {urlsplit(url).path})", to_client=True)
            self.feed(RequestAborted(number))
            return None
        answer = self.answers[number]
        path = urlsplit(url).path
        if answer is None:
            self.say(f"(cut in place of an answer to {method} {path})", to_client=True)
        else:
            text = shortened(_words(answer), 90)
            self.say(
                f"{answer.status} to {method} {path}{text}", to_client=True, message=answer.body
            )
        return answer

    def listen(self, url: str) -> None:
        """Take events until the stream ends or has nothing to say."""
        self.pieces.clear()
        number = self.send("GET", url)
        reader, silent_since = ServerSentEvents(), self.now
        while True:
            for piece in self.pieces:
                for event in reader.feed(piece):
                    silent_since = self.now
                    self.say(f"event {event.event}{_event(event.data)}", to_client=True)
            self.pieces.clear()
            answer = self.answers.get(number)
            if answer is not None and answer.status != 200:
                self.say(f"{answer.status} to GET events{_words(answer)}", to_client=True)
                return
            if number in self.ended:
                self.say("the stream ends", to_client=True)
                return
            if self.now - silent_since >= PATIENCE_US:
                self.say("(nothing comes any more)", to_client=True)
                self.feed(RequestAborted(number))
                return
            self.wait(PATIENCE_US)


def _words(answer: Response) -> str:
    value = read_json(answer.body)
    if not isinstance(value, dict):
        return f" ({len(answer.body)} bytes)" if answer.body else ""
    error = value.get("error")
    if isinstance(error, dict):
        return f": {error.get('code')}"
    return f": {value['status']}" if "status" in value else ""


def _event(data: str) -> str:
    value = read_json(data)
    if not isinstance(value, dict):
        return ""
    shown = [f"{name}={value[name]!r}" for name in ("status", "value", "name") if name in value]
    return f" {' '.join(shown)}" if shown else ""


def dry_run_v2(
    source: Source,
    workflow: Mapping[str, Any],
    *,
    prefix: str = "",
    images: Mapping[str, bytes] | None = None,
    token: str = "",
) -> Iterable[DryRunLine]:
    """What a polite client and the source say to each other."""
    client = _Client(source, token)
    base = f"{prefix}/api/v2"
    graph = json.loads(json.dumps(workflow))
    for node in graph.values():
        name = node["inputs"].get("image")
        if isinstance(name, str) and name in (images or {}):
            id = _brought(client, base, name, (images or {})[name])
            if id is None:
                return client.lines
            node["inputs"]["image"] = {"__type": "core/ASSET", "info": {"id": id}}
    job = _submitted(client, base, graph)
    if job is not None:
        _followed(client, base, job)
    return client.lines


def _brought(client: _Client, base: str, name: str, data: bytes) -> str | None:
    fields = {"content_type": "image/png", "file_path": name}
    parts = [
        f'--{_LIMIT}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    head = f'--{_LIMIT}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = "".join((*parts, head)).encode() + data + f"\r\n--{_LIMIT}--\r\n".encode()
    kind = ("Content-Type", f"multipart/form-data; boundary={_LIMIT}")
    answer = client.ask("POST", f"{base}/assets", body, kind)
    asset = read_json(answer.body) if answer is not None and answer.status < 300 else None
    return asset["id"] if isinstance(asset, dict) else None


def _submitted(client: _Client, base: str, graph: Mapping[str, Any]) -> dict[str, Any] | None:
    body = json.dumps({"workflow": graph}).encode()
    key = ("Idempotency-Key", "dry-run")
    for _ in range(SUBMITS_MAX):
        answer = client.ask("POST", f"{base}/jobs", body, key)
        job = read_json(answer.body) if answer is not None else None
        if answer is not None and answer.status == 201 and isinstance(job, dict):
            client.names[job["id"]] = "{id}"
            return job
        if answer is not None and answer.status not in (429, 500):
            break
        client.wait(PAUSE_US)
    answer = client.ask("GET", f"{base}/jobs")
    page = read_json(answer.body) if answer is not None else None
    jobs = page.get("jobs") if isinstance(page, dict) else None
    if not jobs:
        return None
    client.names[jobs[0]["id"]] = "{id}"
    here = f"{base}/jobs/{jobs[0]['id']}"
    return {**jobs[0], "urls": {"self": here, "events": f"{here}/events"}}


def _followed(client: _Client, base: str, job: dict[str, Any]) -> None:
    for _ in range(ROUNDS_MAX):
        client.listen(job["urls"]["events"])
        answer = client.ask("GET", job["urls"]["self"])
        found = read_json(answer.body) if answer is not None and answer.status == 200 else None
        job = found if isinstance(found, dict) else job
        if job["status"] in v2.TERMINAL:
            break
        client.wait(PAUSE_US)
    for output in _outputs(client, job):
        _fetched(client, f"{base}/assets/{output['id']}/content")


def _outputs(client: _Client, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number, output in enumerate(job.get("outputs") or (), 1):
        client.names[output["id"]] = f"{{asset {number}}}"
        yield output


def _fetched(client: _Client, url: str) -> None:
    for _ in range(DOWNLOADS_MAX):
        answer = client.ask("GET", url)
        if answer is None or answer.status != 302:
            return
        url = dict(answer.headers)["Location"]
