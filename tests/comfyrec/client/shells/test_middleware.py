"""The continuous mode over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from comfyrec.client import Client, workflow
from comfyrec.client.shells.middleware import Middleware
from fake_server.server.thread import serve
from fake_server.source import Response
from tests.support.scripted_comfyui import (
    GRAPH,
    PNG,
    Server,
    answer,
    begin,
    event,
    finish,
    status,
)

FLOW = {
    **GRAPH,
    "5": {"class_type": "LoadImage", "inputs": {"image": "old.png"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a bridge"}},
    "3": {"class_type": "KSampler", "inputs": {"positive": ["6", 0]}},
}

Talk = Callable[["Visitor"], Awaitable[None]]


class Visitor:
    """A client of the middleware."""

    def __init__(self, http: aiohttp.ClientSession, url: str, middleware: Middleware) -> None:
        self._http, self.url, self.middleware = http, url, middleware

    async def get(self, path: str) -> tuple[int, Any]:
        return await self._ask("GET", path)

    async def post(self, path: str, body: object = None) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self._ask("POST", path, data=data)

    async def upload(self, name: str = "image", **fields: str) -> tuple[int, Any]:
        form = aiohttp.FormData()
        form.add_field(name, PNG, filename="new.png")
        for key, value in fields.items():
            form.add_field(key, value)
        return await self._ask("POST", "/upload/image", data=form)

    async def _ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        async with self._http.request(method, self.url + path, **more) as response:
            is_json = response.content_type == "application/json"
            return response.status, await (response.json() if is_json else response.text())

    async def over(self) -> str:
        """Wait for the end of the run, and say how it ended."""
        if self.middleware._watching is not None:
            await asyncio.wait([self.middleware._watching])
        return self.middleware.state


def visit(server: Server, what: Talk, *, flow: Any = FLOW, **options: Any) -> None:
    client_options = options.pop("client", {})

    async def main(url: str) -> None:
        async with (
            asyncio.timeout(20),
            Client(url, environment={}, **client_options) as client,
            aiohttp.ClientSession() as http,
        ):
            given = workflow.of(flow) if flow is not None else None
            middleware = Middleware(client, given, **options)
            runner = web.AppRunner(middleware.app())
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                here = f"http://127.0.0.1:{runner.addresses[0][1]}"
                await what(Visitor(http, here, middleware))
            finally:
                await runner.cleanup()

    with serve(server, speed=1.0) as handle:
        asyncio.run(main(handle.url))


def forever(server: Server, prompt_id: str) -> Iterator[Any]:
    yield begin(prompt_id)
    yield event("execution_start", prompt_id=prompt_id, timestamp=1)


def test_health_run_and_status_answer_with_json_and_their_codes():
    async def talk(visitor: Visitor) -> None:
        assert await visitor.get("/health") == (200, {"message": "ok"})
        assert (await visitor.get("/status"))[1]["state"] == "idle"
        code, said = await visitor.post("/run")
        assert (code, said["prompt_id"]) == (202, "00000000-0000-0000-0000-000000000001")
        assert await visitor.over() == "success"
        _, state = await visitor.get("/status")
        assert state["state"] == "success"
        assert state["last"]["outcome"] == "success"
        assert state["last"]["outputs"]["2"]["images"]
        assert (await visitor.get("/queue"))[0] == 202
        assert await visitor.over() == "success"

    visit(Server(), talk)


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/nowhere", 404), ("POST", "/queue", 405), ("GET", "/run", 405)],
)
def test_other_routes_are_refused_in_json(method: str, path: str, code: int):
    async def talk(visitor: Visitor) -> None:
        found, said = await visitor._ask(method, path)
        assert found == code
        assert said["message"]

    visit(Server(), talk)


@pytest.mark.parametrize(("compat", "code"), [(False, 409), (True, 400)])
def test_a_run_while_one_runs_is_refused_and_never_watched_twice(compat: bool, code: int):
    server = Server(forever)

    async def talk(visitor: Visitor) -> None:
        both = await asyncio.gather(*(visitor.post("/run") for _ in range(5)))
        assert sorted(found for found, _ in both) == [200 if compat else 202] + [code] * 4
        assert (await visitor.get("/queue"))[0] == code
        assert (await visitor.upload())[0] == code

    visit(server, talk, compat=compat)

    assert len(server.asked("POST", "/prompt")) == 1


def test_an_upload_puts_name_and_subfolder_into_the_load_nodes():
    server = Server()
    server.routes["POST", "/upload/image"] = lambda _: answer(
        {"name": "new (1).png", "subfolder": "in", "type": "input"}
    )

    async def talk(visitor: Visitor) -> None:
        code, said = await visitor.upload()
        assert (code, said["name"], said["nodes"]) == (200, "new (1).png", ["5"])
        await visitor.post("/run")
        await visitor.over()

    visit(server, talk)

    [post] = server.asked("POST", "/prompt")
    assert json.loads(post.body)["prompt"]["5"]["inputs"]["image"] == "in/new (1).png"


@pytest.mark.parametrize(("compat", "code"), [(False, 422), (True, 500)])
def test_an_upload_without_a_node_for_it_is_refused_before_it_is_sent(compat: bool, code: int):
    server = Server()

    async def talk(visitor: Visitor) -> None:
        assert (await visitor.upload())[0] == code
        assert (await visitor.upload(node_id="1"))[0] == code

    visit(server, talk, flow=GRAPH, compat=compat)

    assert not server.asked("POST", "/upload/image")


def test_a_wrong_field_is_refused():
    async def talk(visitor: Visitor) -> None:
        assert (await visitor.upload(name="file"))[0] == 400
        assert (await visitor.post("/upload/image", b"raw"))[0] == 400

    visit(Server(), talk)


def test_an_upload_may_run_the_workflow():
    server = Server()
    server.routes["POST", "/upload/image"] = lambda _: answer({"name": "new.png"})

    async def talk(visitor: Visitor) -> None:
        code, said = await visitor.upload()
        assert (code, said["prompt_id"]) == (200, "00000000-0000-0000-0000-000000000001")
        assert await visitor.over() == "success"

    visit(server, talk, run_on_upload=True)


UPDATES = {
    "by node id": ({"node_id": "6", "text": "a ship"}, 200),
    "by a node id that is a number": ({"node_id": 6, "text": "a ship"}, 200),
    "by role": ({"role": "positive", "text": "a ship"}, 200),
    "by the older word": ({"type": "positive", "text": "a ship"}, 200),
    "a role that no node has": ({"role": "negative", "text": "x"}, 404),
    "a node that is not there": ({"node_id": "99", "text": "x"}, 404),
    "a node without a text": ({"node_id": "1", "text": "x"}, 400),
    "no text": ({"role": "positive"}, 400),
    "no target": ({"text": "x"}, 400),
    "an odd role": ({"role": "both", "text": "x"}, 400),
    "a list": ([1], 400),
    "no JSON": (b"{", 400),
}


@pytest.mark.parametrize(("body", "code"), UPDATES.values(), ids=UPDATES)
def test_a_text_is_updated_by_node_id_and_by_role(body: Any, code: int):
    server = Server()

    async def talk(visitor: Visitor) -> None:
        assert (await visitor.post("/update/prompt", body))[0] == code
        await visitor.post("/run")
        await visitor.over()

    visit(server, talk)

    [post] = server.asked("POST", "/prompt")
    text = json.loads(post.body)["prompt"]["6"]["inputs"]["text"]
    assert text == ("a ship" if code == 200 else "a bridge")


def test_bad_json_has_the_older_code_on_request():
    async def talk(visitor: Visitor) -> None:
        code, said = await visitor.post("/update/prompt", b"{")
        assert code == 500
        assert isinstance(said, str)

    visit(Server(), talk, compat=True)


@pytest.mark.parametrize(("compat", "code"), [(False, 409), (True, 400)])
def test_an_interrupt_when_idle_and_after_completion_says_so(compat: bool, code: int):
    server = Server()

    async def talk(visitor: Visitor) -> None:
        assert (await visitor.post("/interrupt"))[0] == code
        await visitor.post("/run")
        await visitor.over()
        assert (await visitor.post("/interrupt"))[0] == code

    visit(server, talk, compat=compat)

    assert not server.asked("POST", "/interrupt")


def test_an_interrupt_while_running_tells_its_effect():
    server = Server(forever)

    async def talk(visitor: Visitor) -> None:
        await visitor.post("/run")
        code, said = await visitor.post("/interrupt")
        assert (code, said["effect"]) == (200, "interrupted")
        assert (await visitor.get("/status"))[1]["state"] == "interrupted"
        assert (await visitor.post("/run"))[0] == 202

    visit(server, talk)


def test_an_interrupt_while_waiting_takes_it_out_of_the_queue():
    server = Server(lambda server, prompt_id: [status(2)])
    server.running["another"] = 0

    async def talk(visitor: Visitor) -> None:
        await visitor.post("/run")
        _, said = await visitor.post("/interrupt")
        assert said["effect"] == "deleted"
        assert (await visitor.get("/status"))[1]["state"] == "cancelled"

    visit(server, talk)

    assert not server.asked("POST", "/interrupt")


@pytest.mark.slow
def test_previews_do_not_end_a_run_and_silence_asks_the_history():
    def with_previews(server: Server, prompt_id: str) -> Iterator[Any]:
        yield from forever(server, prompt_id)
        for _ in range(3):
            yield b"\x00\x00\x00\x01\x00\x00\x00\x01\xff\xd8\xff"
        yield finish(prompt_id, kind="error", outputs={}, exception_message="no")

    async def talk(visitor: Visitor) -> None:
        await visitor.post("/run")
        assert await visitor.over() == "error"

    visit(Server(with_previews), talk, client={"idle_limit_s": 0.5})


def test_a_restarted_server_is_used_without_a_restart_of_ours(unused_port: int):
    async def talk(visitor: Visitor) -> None:
        await visitor.post("/run")
        assert await visitor.over() == "success"
        await asyncio.to_thread(first.close)
        code, said = await visitor.post("/run")
        assert (code, str(unused_port) in said["message"]) == (502, True)
        assert (await visitor.get("/health"))[0] == 200
        second = await asyncio.to_thread(serve, Server(), port=unused_port, speed=1.0)
        try:
            assert (await visitor.post("/run"))[0] == 202
            assert await visitor.over() == "success"
        finally:
            await asyncio.to_thread(second.close)

    async def main() -> None:
        async with (
            asyncio.timeout(20),
            Client(f"127.0.0.1:{unused_port}", environment={}) as client,
            aiohttp.ClientSession() as http,
        ):
            middleware = Middleware(client, workflow.of(FLOW))
            runner = web.AppRunner(middleware.app())
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                await talk(Visitor(http, f"http://127.0.0.1:{runner.addresses[0][1]}", middleware))
            finally:
                await runner.cleanup()

    first = serve(Server(), port=unused_port, speed=1.0)
    asyncio.run(main())


def test_health_answers_while_a_run_is_being_posted():
    class Slow(Server):
        """Takes its time with the answer to the POST: until somebody asks for /go."""

        def __init__(self) -> None:
            super().__init__()
            self.waiting: list[Any] = []

        def _asked(self, happened: Any, now: int) -> None:
            path = happened.request.target
            if path == "/prompt" and not self.waiting:
                self.waiting.append(happened)
                return
            super()._asked(happened, now)
            if path == "/go":
                super()._asked(self.waiting[0], now)

    async def talk(visitor: Visitor) -> None:
        running = asyncio.create_task(visitor.post("/run"))
        while not server.waiting:
            assert (await visitor.get("/health"))[0] == 200
        assert (await visitor.get("/health"))[0] == 200
        assert (await visitor.get("/status"))[1]["state"] == "running"
        async with aiohttp.ClientSession() as http, http.get(f"{comfy.url}/go"):
            assert (await running)[0] == 202

    server = Slow()
    with serve(server, speed=1.0) as comfy:

        async def main() -> None:
            async with (
                asyncio.timeout(20),
                Client(comfy.url, environment={}) as client,
                aiohttp.ClientSession() as http,
            ):
                middleware = Middleware(client, workflow.of(FLOW))
                runner = web.AppRunner(middleware.app())
                await runner.setup()
                try:
                    await web.TCPSite(runner, "127.0.0.1", 0).start()
                    here = f"http://127.0.0.1:{runner.addresses[0][1]}"
                    await talk(Visitor(http, here, middleware))
                finally:
                    await runner.cleanup()

        asyncio.run(main())


def test_no_workflow_and_a_refused_one_are_told_apart():
    server = Server()
    server.routes["POST", "/prompt"] = lambda _: answer(
        {"error": {"type": "x", "message": "no such node"}, "node_errors": {}}, 400
    )

    async def refused(visitor: Visitor) -> None:
        code, said = await visitor.post("/run")
        assert code == 400
        assert "no such node" in said["message"]
        assert (await visitor.get("/status"))[1]["state"] == "idle"

    async def none(visitor: Visitor) -> None:
        assert (await visitor.post("/run"))[0] == 400

    visit(server, refused)
    visit(server, none, flow=None)


def test_an_upload_that_comfyui_refuses_is_a_bad_gateway():
    server = Server()
    server.routes["POST", "/upload/image"] = lambda _: Response(status=413, body=b"too big")

    async def talk(visitor: Visitor) -> None:
        code, said = await visitor.upload()
        assert code == 502
        assert "too big" in said["message"]

    visit(server, talk)
