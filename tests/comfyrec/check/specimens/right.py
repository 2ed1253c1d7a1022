"""A small client that is right: it keeps K1 to K9 in every scenario of the catalogue.

    python -m tests.comfyrec.check.specimens.right http://127.0.0.1:8188 workflow_api.json

It prints one JSON line. Its wrong relatives beside it each override one method.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import uuid
from pathlib import Path
from typing import Any

import aiohttp

TROUBLES = (aiohttp.ClientError, OSError, TimeoutError, ValueError)
ENDS = {"execution_success", "execution_complete", "execution_error", "execution_interrupted"}


FLAGS = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}


class Over(Exception):
    """The outcome is known."""

    def __init__(self, outcome: str, error: str = "", outputs: Any = None) -> None:
        super().__init__(outcome)
        self.outcome, self.error, self.outputs = outcome, error, outputs


class Client:
    """One prompt, from the connect to the outcome."""

    idle_s = 0.15
    """So long without a frame of ours, and the history is asked."""
    request_s = 0.6
    limit_s = 3.5
    attempts = 5
    """So many failures in a row, and the server is given up."""
    frame_bytes_max = 0
    own_id = True
    """Otherwise it goes by the id that the server greets it with."""

    def __init__(self, url: str) -> None:
        self.base = url.rstrip("/")
        self.client_id = str(uuid.uuid4()) if self.own_id else ""
        self.prompt_id = ""
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self.early: list[tuple[str, Any]] = []
        self.started = False
        self.seen_end = ""
        self.outputs: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.problems: list[str] = []
        self.until = 0.0

    async def run(self, workflow: Any, images: dict[str, bytes] | None = None) -> dict[str, Any]:
        """Upload what the workflow loads, submit, wait, and say what became of it."""
        self.images = images or {}
        self.until = now() + self.limit_s
        timeout = aiohttp.ClientTimeout(total=self.request_s)
        async with aiohttp.ClientSession(timeout=timeout) as self.http:
            try:
                await self.go(workflow)
                raise AssertionError("a run ends with an outcome")
            except Over as over:
                return await self.report(over)
            finally:
                if self.socket is not None:
                    await self.socket.close()

    async def go(self, workflow: Any) -> None:
        await self.be_ready()
        await self.upload(workflow)
        await self.connect()
        await self.learn_id()
        await self.submit(workflow)
        await self.wait()

    async def report(self, over: Over) -> dict[str, Any]:
        if over.outputs:
            await self.fetch(over.outputs)
        told = {"outcome": over.outcome, "prompt_id": self.prompt_id, "outputs": over.outputs}
        return {**told, "error": "; ".join(filter(None, [over.error, *self.problems]))}

    # --- before ------------------------------------------------------------------------------

    async def be_ready(self) -> None:
        """Wait until the server answers, with growing pauses, and find out where its routes are."""
        for attempt in range(self.attempts):
            try:
                async with self.http.get(f"{self.base}/prompt", allow_redirects=False) as answer:
                    if answer.status == 404 and not self.base.endswith("/api"):
                        self.base += "/api"
                    elif 300 <= answer.status < 500:
                        raise Over("rejected", f"GET /prompt: {answer.status} {answer.reason}")
                    elif answer.status < 300:
                        return
            except (aiohttp.ClientConnectorCertificateError, ssl.SSLError) as error:
                raise Over("rejected", f"TLS: {error}") from None
            except TROUBLES as error:
                trouble = error
            await asyncio.sleep(0.02 * 2**attempt)
        raise Over("lost", f"{self.base} does not answer: {trouble!r}")

    async def connect(self) -> None:
        """Open the socket; without one the history will have to do."""
        query = f"?clientId={self.client_id}" if self.client_id else ""
        address = f"{self.base}/ws{query}"
        self.socket = None
        try:
            self.socket = await asyncio.wait_for(
                self.http.ws_connect(
                    address,
                    max_msg_size=self.frame_bytes_max,
                    timeout=aiohttp.ClientWSTimeout(ws_close=0.2),
                ),
                self.request_s,
            )
            await self.socket.send_json(FLAGS)
        except TROUBLES as error:
            self.problems.append(f"no socket: {error}")

    async def learn_id(self) -> None:
        """Take the id of the greeting; where there is none, one of its own."""
        if not self.client_id and self.socket is not None:
            kind, data = await self.receive(self.request_s) or ("", {})
            self.client_id = data.get("sid", "") if kind == "status" else ""
        self.client_id = self.client_id or str(uuid.uuid4())

    async def upload(self, workflow: Any) -> None:
        """Bring the pictures that the workflow loads, and use the names they get."""
        for node in workflow.values():
            name = node["inputs"].get("image")
            if not isinstance(name, str) or name not in self.images:
                continue
            form = aiohttp.FormData()
            form.add_field("image", self.images[name], filename=name, content_type="image/png")
            try:
                async with self.http.post(f"{self.base}/upload/image", data=form) as answer:
                    text = await answer.text()
            except TROUBLES as error:
                raise Over("lost", f"POST /upload/image: {error!r}") from None
            if answer.status != 200:
                raise Over("rejected", f"upload of {name}: {answer.status}: {text[:500]}")
            stored = decoded(text)
            node["inputs"]["image"] = "/".join(
                filter(None, [stored.get("subfolder"), stored["name"]])
            )

    async def submit(self, workflow: Any) -> None:
        """Post the prompt, once, and keep the id that the server gives it."""
        body = {"prompt": workflow, "client_id": self.client_id, "prompt_id": str(uuid.uuid4())}
        status, text = await self.post(body)
        if "invalid_prompt_id" in text:
            del body["prompt_id"]
            status, text = await self.post(body)
        reply = decoded(text)
        prompt_id = reply.get("prompt_id") if isinstance(reply, dict) else None
        if not status.startswith("200") or not isinstance(prompt_id, str):
            raise Over(
                "rejected", f"POST /prompt: {status}: no JSON with a prompt_id: {text[:500]}"
            )
        self.prompt_id = prompt_id
        if reply.get("node_errors"):
            self.problems.append("some outputs were refused")

    async def post(self, body: dict[str, Any]) -> tuple[str, str]:
        try:
            async with self.http.post(
                f"{self.base}/prompt", json=body, allow_redirects=False
            ) as answer:
                return f"{answer.status} {answer.reason}", await answer.text()
        except TROUBLES as error:
            raise Over("lost", f"POST /prompt: {error!r}") from None

    # --- waiting -----------------------------------------------------------------------------

    async def wait(self) -> None:
        """Listen, and ask the history whenever the socket has nothing to say about our prompt."""
        pause, failures, absent = self.idle_s, 0, 0
        while True:
            ended = await self.listen(pause)
            if now() > self.until:
                raise Over("timed-out", f"prompt {self.prompt_id} is still on the server")
            try:
                await self.look_up()
                absent = 0 if await self.in_queue() else absent + 1
                failures = 0
            except TROUBLES as error:
                failures += 1
                if failures >= self.attempts:
                    raise Over("lost", f"the server does not answer: {error!r}") from None
            if absent >= 3:
                self.give_up_looking()
            if self.socket is None or self.socket.closed:
                await self.connect()
            pause = 0.03 if ended else min(2 * pause, 0.5)

    def give_up_looking(self) -> None:
        if self.seen_end == "execution_success":
            raise Over("success", "the history does not have it", self.outputs)
        raise Over("lost" if self.started else "cancelled", "neither in history nor in queue")

    async def listen(self, idle_s: float) -> bool:
        """Take frames until our prompt seems over, or nothing of it came for a while."""
        patience = now() + idle_s
        while (left := patience - now()) > 0:
            if self.socket is None or self.socket.closed:
                await asyncio.sleep(min(left, 0.05))
                return False
            message = await self.receive(left)
            if message is None:
                return False
            kind, data = message
            if self.is_ours(kind, data):
                patience = now() + idle_s
                self.started = True
                if self.take(kind, data):
                    return True
        return False

    async def receive(self, within_s: float) -> tuple[str, Any] | None:
        """The next event, ``("", {})`` for anything that is none, None when there is nothing."""
        assert self.socket is not None
        try:
            message = await asyncio.wait_for(self.socket.receive(), within_s)
        except TimeoutError:
            return None
        if message.type is aiohttp.WSMsgType.TEXT:
            return self.read(message.data)
        return ("", {}) if message.type is aiohttp.WSMsgType.BINARY else None

    def read(self, text: str) -> tuple[str, Any]:
        """A text frame, leniently."""
        value = decoded(text)
        if not isinstance(value, dict) or not isinstance(value.get("type"), str):
            return "", {}
        return value["type"], value.get("data")

    def is_ours(self, kind: str, data: Any) -> bool:
        """Only a frame that names our prompt proves anything about it."""
        return isinstance(data, dict) and data.get("prompt_id") == self.prompt_id

    def take(self, kind: str, data: dict[str, Any]) -> bool:
        """Note a frame of ours; whether the prompt seems over now."""
        if kind == "executed" and isinstance(data.get("output"), dict):
            self.outputs[str(data.get("node"))] = data["output"]
        if kind in ENDS:
            self.seen_end = kind
        return kind in ENDS or (kind == "executing" and data.get("node", "") is None)

    # --- the truth ---------------------------------------------------------------------------

    async def look_up(self) -> None:
        """Ask the history for our prompt; if it is there, the outcome is known."""
        entry = (await self.get(f"/history/{self.prompt_id}")).get(self.prompt_id)
        if not isinstance(entry, dict):
            return
        status = entry.get("status")
        status = status if isinstance(status, dict) else {}
        outputs = entry.get("outputs") or {}
        if status.get("status_str") == "error":
            self.raise_failure(status.get("messages") or [])
        if not outputs and self.outputs and not self.problems:
            self.problems.append("the history had no outputs at first")
            await asyncio.sleep(0.1)
            return
        raise Over("success", outputs=outputs)

    def raise_failure(self, messages: list[Any]) -> None:
        kinds = dict(messages)
        if "execution_interrupted" in kinds:
            raise Over("interrupted")
        data = kinds.get("execution_error") or {}
        node, why = data.get("node_id"), data.get("exception_message")
        raise Over("error", f"node {node}: {data.get('exception_type')}: {why}")

    async def in_queue(self) -> bool:
        """Whether the server still has our prompt to do."""
        queue = await self.get("/queue")
        rows = [*queue.get("queue_running", ()), *queue.get("queue_pending", ())]
        ids = [row.get("prompt_id") if isinstance(row, dict) else row[1] for row in rows]
        return self.prompt_id in ids

    async def get(self, route: str) -> Any:
        async with self.http.get(f"{self.base}{route}") as answer:
            answer.raise_for_status()
            return json.loads(await answer.text())

    async def fetch(self, outputs: dict[str, Any]) -> None:
        """Get the files of the outputs; one that cannot be had is said, not the end."""
        for item in files_in(outputs):
            names = ("filename", "subfolder", "type")
            query = {name: item[name] for name in names if isinstance(item.get(name), str)}
            try:
                async with self.http.get(f"{self.base}/view", params=query) as answer:
                    answer.raise_for_status()
                    self.files[item["filename"]] = await answer.read()
            except TROUBLES as error:
                self.problems.append(f"{item['filename']} could not be fetched: {error!r}")


def now() -> float:
    """The loop's own clock, which its timers go by."""
    return asyncio.get_running_loop().time()


def decoded(text: str) -> Any:
    """JSON, NaN included, or None."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def files_in(value: Any) -> list[dict[str, Any]]:
    """All file entries, however deep and under whatever key."""
    if isinstance(value, dict):
        if isinstance(value.get("filename"), str):
            return [value]
        value = list(value.values())
    if isinstance(value, list):
        return [found for inner in value for found in files_in(inner)]
    return []


def main(client: type[Client]) -> int:
    """Run one prompt from the command line, print the outcome, save the files if told where."""
    url, workflow, *out = sys.argv[1:]
    running = client(url)
    beside = Path(workflow).parent.glob("*.png")
    images = {path.name: path.read_bytes() for path in beside}
    told = asyncio.run(running.run(json.loads(Path(workflow).read_text()), images))
    for name, content in running.files.items() if out else ():
        (Path(out[0]) / Path(name).name).write_bytes(content)
    sys.stdout.write(json.dumps({"comfyrec": told}) + "\n")
    return 0 if told["outcome"] == "success" else 1


if __name__ == "__main__":
    sys.exit(main(Client))
