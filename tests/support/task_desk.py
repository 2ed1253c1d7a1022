"""A sequencer over scripted workers, and a client of it with or without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from comfyrec.client.shells.task_client import (
    FluxLoraTask,
    TaskClient,
)
from fake_server.server.thread import serve
from fake_server.source import (
    Request,
    RequestReceived,
    Respond,
    Send,
    Wake,
    Woke,
)
from fake_server.surfaces.task_server import Sequencer
from tests.support.scripted_comfyui import Server

T = TypeVar("T")


FLUX = FluxLoraTask(prompt="a bridge", lora_name="ink")


def visit(server: Sequencer, what: Callable[[TaskClient], Awaitable[T]]) -> T:
    async def main(url: str) -> T:
        async with (
            asyncio.timeout(20),
            TaskClient(url, api_key="me#k-1234", environment={}) as client,
        ):
            return await what(client)

    with serve(server, speed=1.0) as handle:
        return asyncio.run(main(handle.url))


class Desk:
    """A sequencer without a network; each question is answered before ``ask`` returns."""

    def __init__(self, *workers: Server, **options: Any) -> None:
        ids = (f"task-{n}" for n in range(1_000))
        self.workers = workers
        self.source = Sequencer(
            {f"miner-{n}": worker for n, worker in enumerate(workers)},
            new_id=lambda: next(ids),
            **options,
        )
        self.now = 0
        self.wakes: list[int] = []
        self._exchange = 0

    def feed(self, happened: Any) -> list[Any]:
        actions = list(self.source.handle(happened, self.now))
        self.wakes += [a.at for a in actions if isinstance(a, Wake)]
        return [a for a in actions if not isinstance(a, Wake | Send)]

    def wake(self, at: int) -> None:
        self.now = at
        self.feed(Woke())

    def post(self, path: str, body: object, method: str = "POST") -> tuple[int, Any]:
        self._exchange += 1
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = Request(method, path, (("Host", "fake:8188"),), raw)
        [reply] = self.feed(RequestReceived(self._exchange, request))
        assert isinstance(reply, Respond)
        assert reply.exchange == self._exchange
        return reply.answer.status, json.loads(reply.answer.body or b"null")

    def create(self, **more: Any) -> str:
        body = {
            "consumer_id": "me",
            "api_key": "k",
            "task_type": "txt2img",
            "task_details": {"parameters": {"prompt": "x"}},
        }
        status, said = self.post("/task_create", body | more)
        assert status == 200, said
        task_id: str = said["task_id"]
        return task_id

    def query(self, task_id: str) -> dict[str, Any]:
        status, said = self.post("/task_result_query", {"task_id": task_id, "api_key": "k"})
        assert status == 200, said
        state: dict[str, Any] = said
        return state

    def cancel(self, task_id: str) -> Any:
        return self.post("/task_cancel", {"task_id": task_id, "api_key": "k"})


def only(step: Callable[[str], Any]) -> Callable[[Server, str], Iterator[Any]]:
    def script(server: Server, prompt_id: str) -> Iterator[Any]:
        yield step(prompt_id)

    return script


def stays(server: Server, prompt_id: str) -> Iterator[Any]:
    """It waits in the queue."""
    yield from ()
