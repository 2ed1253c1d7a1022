"""Tests of pytest-asyncio, with the fixture's methods awaited."""

import asyncio

import aiohttp
import pytest
from helper import GRAPH


async def run(comfyui):
    body = {"prompt": GRAPH, "client_id": "me"}
    address = f"{comfyui.ws_url}/ws?clientId=me"
    async with aiohttp.ClientSession() as http, http.ws_connect(address) as ws:
        async with http.post(f"{comfyui.url}/prompt", json=body) as said:
            assert said.status == 200
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT and "execution_success" in message.data:
                return


@pytest.mark.parametrize("n", range(26))
@pytest.mark.asyncio
async def test_a_prompt_runs(comfyui, n):
    await asyncio.wait_for(run(comfyui), 5)
    comfyui.assert_one_terminal_event()


@pytest.mark.asyncio
async def test_control_is_awaited(comfyui):
    hold = comfyui.hold_at("executing", node="1")
    running = asyncio.ensure_future(run(comfyui))
    async with hold:
        assert (await comfyui.aio.wait_for_request("POST", "/prompt")).json()["client_id"] == "me"
        assert "progress_state" in await comfyui.aio.step()
        stopped = await comfyui.aio.run_until("executing", node="2")
        assert not running.done()
        assert stopped.reached
        await comfyui.aio.release()
    await asyncio.wait_for(running, 5)


@pytest.mark.asyncio
async def test_a_wait_on_ones_own_loop_does_not_deadlock(comfyui):
    running = asyncio.ensure_future(run(comfyui))
    # Blocking, in the loop of the client that is to make the request: it never can.
    with pytest.raises(AssertionError, match=r"waited 0\.05 s for POST /prompt; it has sent"):
        comfyui.wait_for_request("POST", "/prompt", timeout=0.05)
    await asyncio.wait_for(running, 5)


class TestOneLoop:
    pytestmark = pytest.mark.asyncio(loop_scope="class")

    async def test_one(self, comfyui):
        await asyncio.wait_for(run(comfyui), 5)

    async def test_another(self, comfyui):
        await asyncio.wait_for(run(comfyui), 5)


@pytest.mark.asyncio
async def test_sockets_and_time_are_awaited(comfyui):
    async with aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{comfyui.ws_url}/ws?clientId=me"):
            assert (await comfyui.aio.wait_for_socket()).client_id == "me"
            assert await comfyui.aio.drop_socket("me") == 1
        await comfyui.aio.assert_all_closed()
    await comfyui.aio.advance(3)
    await comfyui.aio.restart()
    await comfyui.aio.wait_until(lambda: not comfyui.prompts, "nothing")
