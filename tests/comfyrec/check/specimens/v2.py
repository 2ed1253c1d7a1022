"""A small client of Comfy API v2 that is right, and its wrong relatives.

    python -m tests.comfyrec.check.specimens.v2 http://127.0.0.1:8188 workflow_api.json [KEY]

It prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from comfyrec.events import v2
from comfyrec.events.sse import ServerSentEvents
from fake_server.storage.blake3 import blake3
from tests.comfyrec.check.specimens.right import TROUBLES, Over, now

OUTCOMES = {"succeeded": "success", "failed": "error", "canceled": "interrupted", "expired": "lost"}
LABEL = "run"


class V2Client:
    """One job, from the upload to the outcome."""

    idle_s = 0.15
    """So long without an event, and the job is asked for."""
    request_s = 0.6
    limit_s = 4.0
    attempts = 6
    token = ""

    def __init__(self, url: str) -> None:
        self.base = url.rstrip("/")
        self.job: dict[str, Any] = {}
        self.outputs: list[dict[str, Any]] = []
        self.saved: list[bytes] = []
        self.problems: list[str] = []
        self.until = 0.0

    @property
    def files(self) -> dict[int, bytes]:
        return dict(enumerate(self.saved))

    async def run(self, workflow: Any, images: dict[str, bytes] | None = None) -> dict[str, Any]:
        """Upload what the workflow loads, submit, wait, and say what became of it."""
        self.until = now() + self.limit_s
        timeout = aiohttp.ClientTimeout(total=self.request_s)
        async with aiohttp.ClientSession(timeout=timeout) as self.http:
            try:
                await self.upload(workflow, images or {})
                await self.submit(workflow)
                await self.wait()
                raise AssertionError("a run ends with an outcome")
            except Over as over:
                return await self.report(over)

    async def report(self, over: Over) -> dict[str, Any]:
        if over.outcome == "success":
            for output in self.outputs:
                await self.save(output)
        error = "; ".join(filter(None, [over.error, *self.problems]))
        told = {"outcome": over.outcome, "prompt_id": self.job.get("id"), "outputs": None}
        return {**told, "error": error}

    # --- requests ----------------------------------------------------------------------------

    def headers(self, url: str) -> dict[str, str]:
        """The key, where it belongs."""
        mine = urlsplit(url)[:2] == urlsplit(self.base)[:2]
        return {"Authorization": f"Bearer {self.token}"} if self.token and mine else {}

    def link(self, path: str) -> str:
        """A link of the server's: from the root of the same host, or absolute."""
        return urljoin(self.base, path)

    async def ask(self, method: str, url: str, **more: Any) -> tuple[int, dict[str, str], bytes]:
        headers = {**self.headers(url), **more.pop("headers", {})}
        async with self.http.request(
            method, url, headers=headers, allow_redirects=False, **more
        ) as answer:
            return answer.status, dict(answer.headers), await answer.read()

    # --- before ------------------------------------------------------------------------------

    async def upload(self, workflow: Any, images: dict[str, bytes]) -> None:
        """Bring the pictures that the workflow loads, if they are not there, and name them."""
        for node in workflow.values():
            name = node["inputs"].get("image")
            if isinstance(name, str) and name in images:
                id = await self.bring(name, images[name])
                node["inputs"]["image"] = {"__type": "core/ASSET", "info": {"id": id}}

    async def bring(self, name: str, data: bytes) -> str:
        hash = f"blake3:{blake3(data)}"
        status, _, _ = await self.ask("HEAD", f"{self.base}/api/v2/assets/by-hash/{hash}")
        if status == 200:
            body = {"hash": hash, "file_path": name}
            status, _, text = await self.ask("POST", self.assets("/from-hash"), json=body)
            if status < 300:
                return str(json.loads(text)["id"])
            await self.not_minted(text)
        form = aiohttp.FormData()
        for key, value in {
            "content_type": "image/png", "file_path": name, "expected_hash": hash,
        }.items():  # fmt: skip
            form.add_field(key, value)
        form.add_field("file", data, filename=name, content_type="image/png")
        status, _, text = await self.ask("POST", self.assets(), data=form)
        if status >= 300:
            return await self.not_uploaded(text)
        return str(json.loads(text)["id"])

    def assets(self, path: str = "") -> str:
        return f"{self.base}/api/v2/assets{path}"

    async def not_minted(self, text: bytes) -> None:
        """Known bytes could not be had: they are uploaded."""

    async def not_uploaded(self, text: bytes) -> str:
        raise Over("rejected", f"upload: {text.decode()}")

    async def submit(self, workflow: Any) -> None:
        """Submit under one key, as long as it may come to something."""
        self.label, key = str(uuid.uuid4()), str(uuid.uuid4())
        body = {"workflow": workflow, "metadata": {LABEL: self.label}}
        for attempt in range(self.attempts):
            try:
                status, headers, text = await self.ask(
                    "POST", f"{self.base}/api/v2/jobs", json=body, headers={"Idempotency-Key": key}
                )
            except TROUBLES:
                await asyncio.sleep(0.02 * 2**attempt)
                continue
            if status == 201:
                self.job = json.loads(text)
                return
            if not await self.go_on_after(status, headers, text):
                break
        await self.find(text if status < 500 else b"")

    async def go_on_after(self, status: int, headers: dict[str, str], text: bytes) -> bool:
        """Whether to submit again after this answer."""
        if status == 429:
            after = headers.get("Retry-After", "")
            await asyncio.sleep(min(int(after), 1) if after.isdigit() else 0.2)
            return True
        if status >= 500 or b"idempotency_key_reuse" in text:
            return False
        raise Over("rejected", text.decode())

    async def find(self, text: bytes) -> None:
        """Whether there is a job is not known: look for it."""
        status, _, found = await self.ask(
            "GET", f"{self.base}/api/v2/jobs?metadata%5B{LABEL}%5D={self.label}"
        )
        jobs = json.loads(found)["jobs"] if status == 200 else []
        if not jobs:
            raise Over("lost", f"nobody knows the job; {text.decode()}")
        await self.look(f"{self.base}/api/v2/jobs/{jobs[0]['id']}")

    # --- waiting -----------------------------------------------------------------------------

    async def wait(self) -> None:
        """Listen, and ask for the job whenever there is nothing to hear."""
        pause, failures = 0.02, 0
        while True:
            try:
                await self.look(self.link(self.job["urls"]["self"]))
                failures = 0
            except TROUBLES as error:
                failures += 1
                if failures >= self.attempts:
                    raise Over("lost", f"the server does not answer: {error!r}") from None
            self.conclude(self.job["status"])
            if now() > self.until:
                raise Over("timed-out", f"job {self.job['id']} is still on the server")
            await self.listen()
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.3)

    async def look(self, url: str) -> None:
        """The job as it is now, which is what counts."""
        status, _, text = await self.ask("GET", url)
        if status != 200:
            raise ValueError(f"GET {url}: {status}: {text.decode()}")
        self.job = json.loads(text)

    def conclude(self, state: str) -> None:
        if state not in OUTCOMES:
            return
        self.outputs = self.job["outputs"]
        error = self.job.get("error") or {}
        words = f"{error.get('class_type')}: {error.get('message')}" if error else ""
        raise Over(OUTCOMES[state], words)

    async def listen(self) -> None:
        """Take events until the stream has nothing to say."""
        try:
            async for event in self.events():
                self.heard(event)
                if isinstance(event, v2.StatusChange) and event.is_terminal:
                    return
        except TROUBLES as error:
            self.unheard(error)

    async def events(self) -> AsyncIterator[v2.V2Event]:
        url = self.link(self.job["urls"]["events"])
        reader = ServerSentEvents()
        timeout = aiohttp.ClientTimeout(total=None, sock_read=self.idle_s)
        async with self.http.get(url, headers=self.headers(url), timeout=timeout) as answer:
            if answer.status != 200:
                await self.no_stream(await answer.text())
                return
            async for piece in answer.content.iter_any():
                for event in reader.feed(piece):
                    yield v2.decode_event(event.event, event.data)
        self.stream_ended()

    def heard(self, event: v2.V2Event) -> None:
        """Nothing that an event says is final."""

    def unheard(self, error: Exception) -> None:
        """The stream was cut, or is mute."""

    def stream_ended(self) -> None:
        """The server has closed it."""

    async def no_stream(self, text: str) -> None:
        """There is none; the job is asked for."""

    # --- after -------------------------------------------------------------------------------

    async def save(self, output: dict[str, Any]) -> None:
        """Get the bytes of an output, however often it takes."""
        url, data = f"{self.base}/api/v2/assets/{output['id']}/content", b""
        for _ in range(self.attempts):
            whole, part = await self.download(url, data)
            data += part
            if whole:
                self.saved.append(data)
                return
        self.problems.append(f"{output['name']} could not be fetched")

    async def download(self, url: str, have: bytes) -> tuple[bool, bytes]:
        """Whether that is all, and what came beyond ``have``; redirects go without the key."""
        headers = {"Range": f"bytes={len(have)}-"} if have else {}
        part = b""
        try:
            for _ in range(4):
                async with self.http.get(
                    url, headers={**headers, **self.headers(url)}, allow_redirects=False
                ) as answer:
                    if 300 <= answer.status < 400:
                        url = urljoin(url, answer.headers["Location"])
                        continue
                    if answer.status >= 400:
                        return False, b""
                    async for piece in answer.content.iter_any():
                        part += piece
                    return True, part
        except TROUBLES:
            pass
        return False, part


# --- wrong ones ------------------------------------------------------------------------------


class GivesUpWhenBusy(V2Client):
    """429 is the end."""

    async def go_on_after(self, status: int, headers: dict[str, str], text: bytes) -> bool:
        raise Over("rejected", text.decode())


class TriesForEver(V2Client):
    """Whatever is answered, it submits again, at once."""

    attempts = 1_000_000

    async def go_on_after(self, status: int, headers: dict[str, str], text: bytes) -> bool:
        await asyncio.sleep(0.002)
        return True


class HidesTheReason(V2Client):
    """It says that it did not work."""

    async def report(self, over: Over) -> dict[str, Any]:
        return await super().report(Over(over.outcome, "", over.outputs))


class TakesReuseForRefusal(V2Client):
    """A key that was used, or a failed answer, is the end."""

    async def find(self, text: bytes) -> None:
        raise Over("rejected", text.decode())


class TakesTheEndOfTheStreamForTheEnd(V2Client):
    """A stream that ends, by whatever, means success."""

    def unheard(self, error: Exception) -> None:
        if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError):
            raise Over("success")


class OnlyListens(V2Client):
    """It trusts the stream alone, for as long as it takes."""

    idle_s = 60.0

    async def listen(self) -> None:
        await super().listen()
        await asyncio.sleep(60)


class NeedsAStream(V2Client):
    """No stream, no outcome."""

    async def no_stream(self, text: str) -> None:
        raise Over("error", text)


class TakesOutputsFromEvents(V2Client):
    """It keeps what events tell of, each time they do, and nothing else."""

    idle_s = 1.0

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.told: list[dict[str, Any]] = []

    def heard(self, event: v2.V2Event) -> None:
        if isinstance(event, v2.Output):
            self.told.append({"id": event.id, "name": event.name})

    def conclude(self, state: str) -> None:
        try:
            super().conclude(state)
        finally:
            self.outputs = self.kept()

    def kept(self) -> list[dict[str, Any]]:
        return self.told


class TakesOutputsFromEventsFirst(TakesOutputsFromEvents):
    """It keeps what events tell of, each time they do; else what the job has."""

    def kept(self) -> list[dict[str, Any]]:
        return self.told or self.outputs


class SubmitsWithoutItsUpload(V2Client):
    """An upload that fails does not matter."""

    async def not_uploaded(self, text: bytes) -> str:
        return "none"


class FailsWithoutTheBlob(V2Client):
    """Known bytes that cannot be had are the end."""

    async def not_minted(self, text: bytes) -> None:
        raise Over("error", text.decode())


class HasAKey(V2Client):
    """It has a key, and keeps it to itself."""

    token = "comfyui-fake-token"


class SendsItsKeyAnywhere(HasAKey):
    """Each request carries the key, wherever it goes."""

    def headers(self, url: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class JoinsLinksWithItsAddress(V2Client):
    """A link that begins at the root is put behind its address."""

    def link(self, path: str) -> str:
        return path if path.startswith("http") else self.base + path


class KnowsThreeEnds(V2Client):
    """``expired`` is none of the states that it waits for."""

    def conclude(self, state: str) -> None:
        self.until = now() + 60
        if state != "expired":
            super().conclude(state)


class TakesCancelingForCanceled(V2Client):
    """``canceling`` is as good as canceled."""

    def conclude(self, state: str) -> None:
        super().conclude("canceled" if state == "canceling" else state)


class HasNoLimits(V2Client):
    """An answer will come."""

    request_s = 60.0
    limit_s = 600.0


class KeepsHalfAFile(V2Client):
    """What came is what there is."""

    async def download(self, url: str, have: bytes) -> tuple[bool, bytes]:
        _, part = await super().download(url, have)
        return True, part


FAILS: dict[type[V2Client], tuple[str, ...]] = {
    GivesUpWhenBusy: ("v2-queue-full", "v2-deployment-not-ready"),
    TriesForEver: ("v2-deployment-stopped", "v2-insufficient-credits"),
    HidesTheReason: ("v2-workflow-format-ui", "v2-missing-asset", "v2-hash-mismatch"),
    TakesReuseForRefusal: ("v2-idempotency-reuse", "v2-outcome-unknown"),
    TakesTheEndOfTheStreamForTheEnd: ("v2-sse-reconnect",),
    OnlyListens: ("v2-sse-zombie",),
    NeedsAStream: ("v2-sse-501", "v2-too-many-streams"),
    TakesOutputsFromEvents: ("v2-output-late",),
    TakesOutputsFromEventsFirst: ("v2-output-twice",),
    SubmitsWithoutItsUpload: ("v2-hash-mismatch",),
    FailsWithoutTheBlob: ("v2-blob-not-found",),
    SendsItsKeyAnywhere: ("v2-redirect-signed", "v2-links-elsewhere"),
    JoinsLinksWithItsAddress: ("v2-links-with-prefix",),
    KnowsThreeEnds: ("v2-expired",),
    TakesCancelingForCanceled: ("v2-canceling-long",),
    HasNoLimits: ("v2-poll-hangs",),
    KeepsHalfAFile: ("v2-range-resume",),
}
WRONG_ANYWHERE = {TakesOutputsFromEvents}
"""A job that is over before anybody listens has no events."""
NEEDS_A_KEY = ("v2-redirect-signed", "v2-links-elsewhere")


def main(url: str, workflow: Path, token: str = "") -> None:
    V2Client.token = token
    images = {path.name: path.read_bytes() for path in workflow.parent.glob("*.png")}
    graph = json.loads(workflow.read_text(encoding="utf-8"))
    told = asyncio.run(V2Client(url).run(graph, images))
    sys.stdout.write(json.dumps({"comfyrec": told}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:4])
