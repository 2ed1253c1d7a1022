"""Tests of anyio, on asyncio and on trio."""

import json

import anyio
import pytest
from helper import GRAPH

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


async def ask(comfyui, method, path, body=b""):
    async with await anyio.connect_tcp(comfyui.host, comfyui.port) as stream:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        await stream.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = b""
        while True:
            try:
                answer += await stream.receive()
            except anyio.EndOfStream:
                return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("n", range(15))
async def test_a_prompt_runs(comfyui, n):
    body = json.dumps({"prompt": GRAPH, "client_id": "me"}).encode()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, comfyui, "POST", "/prompt", body)
            assert (await comfyui.aio.wait_for_request("POST", "/prompt")).body == body
        assert len(await ask(comfyui, "GET", "/history")) == 1
