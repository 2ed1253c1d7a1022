"""The client of the task interface and the fake server of it, together over a network."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from comfyrec.client.shells.task_client import (
    TaskClient,
    Text2VideoTask,
    UpscalerTask,
)
from comfyrec.errors import TaskError, TaskTimedOut
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    Request,
    Response,
)
from fake_server.surfaces.task_server import Sequencer
from tests.support.scripted_comfyui import Server, begin, finish
from tests.support.task_desk import FLUX, Desk, only, visit


def test_keys_are_in_no_error_of_the_client():
    class Echo(Server):
        def _answer(self, request: Request, path: str, now: int) -> Response:
            return Response(status=400, body=request.body)

    async def talk(client: TaskClient) -> str:
        with pytest.raises(TaskError) as caught:
            await client.query("t")
        return str(caught.value)

    async def main(url: str) -> str:
        async with TaskClient(url, api_key="me#k-1234", environment={}) as client:
            return await talk(client)

    with serve(Echo(), speed=1.0) as handle:
        said = asyncio.run(main(handle.url))

    assert "k-1234" not in said


def test_submit_wait_and_finish_over_the_network():
    desk = Desk(Server())

    state = visit(desk.source, lambda client: client.execute_and_wait(FLUX, interval_s=1.0))

    assert state["status"] == "finished"
    assert state["result"].startswith("http://127.0.0.1:")


def test_a_task_can_be_queried_and_canceled_after_the_timeout():
    desk = Desk(Server(only(begin)))

    async def talk(client: TaskClient) -> tuple[str, str]:
        task_id = await client.execute(FLUX)
        with pytest.raises(TaskTimedOut):
            await client.wait(task_id, timeout_s=0.01, interval_s=1.0)
        before = (await client.query(task_id))["status"]
        await client.cancel(task_id)
        return before, (await client.query(task_id))["status"]

    assert visit(desk.source, talk) == ("running", "canceled")


DRIVER = """
const { Heurist, UpscalerTask, FluxLoraTask, Text2VideoTask } = await import(process.argv[2]);
const client = new Heurist({ workflowURL: process.argv[3], apiKey: "me#k-1234" });
const flow = client.workflow;
const out = {};
const attempt = async (work) => {
  try { return await work(); } catch (e) { return { error: e.message, details: e.errorDetails }; }
};
const picture = new FluxLoraTask({ prompt: "a bridge", lora_name: "ink", steps: 3 });
out.finished = await flow.executeWorkflowAndWaitForResult(picture, 5000, 1000);
const broken = new UpscalerTask({ image_url: "http://x/y.png" });
out.failed = await flow.executeWorkflowAndWaitForResult(broken, 5000, 1000);
const film = new Text2VideoTask({ prompt: "fog" });
const id = await flow.executeWorkflow(film);
out.running = await flow.queryTaskResult(id);
out.cancel = await flow.cancelTask(id);
out.canceled = await flow.queryTaskResult(id);
out.timeout = await attempt(() => flow.executeWorkflowAndWaitForResult(film, 1, 1000));
out.unknown = await attempt(() => flow.queryTaskResult("nobody"));
out.resource = await flow.resourceRequest("me", "3", "txt2img");
console.log(JSON.stringify(out));
"""


def sdk() -> Path:
    """The module of the npm package; skips where it, or node, is missing."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    home = Path(os.environ.get("COMFYREC_HEURIST", "node_modules/heurist"))
    module = home / "dist" / "index.mjs"
    if not module.exists():
        pytest.skip("npm install heurist, or name its folder with COMFYREC_HEURIST, to run this")
    return module.resolve()


def by_kind(server: Server, prompt_id: str) -> Iterator[Any]:
    """Pictures come out, upscaling fails, films never end."""
    graph = json.loads(server.asked("POST", "/prompt")[-1].body)["prompt"]
    kind = next(n["inputs"]["filename_prefix"] for n in graph.values() if "Save" in n["class_type"])
    yield {
        "txt2img": finish(prompt_id),
        "upscaler": finish(prompt_id, kind="error", outputs={}, exception_message="no paint"),
        "txt2vid": begin(prompt_id),
    }[kind]


def test_the_real_sdk_submits_waits_finishes_fails_cancels_and_times_out(tmp_path: Path):
    module = sdk()
    driver = tmp_path / "driver.mjs"
    driver.write_text(DRIVER)

    with serve(Desk(Server(by_kind)).source, speed=1.0) as handle:
        done = subprocess.run(
            ["node", str(driver), module.as_uri(), handle.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    assert out["finished"]["status"] == "finished"
    assert out["finished"]["result"].endswith("type=output")
    assert (out["failed"]["status"], out["failed"]["msg"]) == ("failed", "no paint")
    assert out["running"]["status"] == "running"
    assert out["cancel"]["msg"] == "task canceled"
    assert out["canceled"]["status"] == "canceled"
    assert out["timeout"]["error"] == "Timeout waiting for task result"
    assert out["unknown"]["details"] == {
        "status_code": 404,
        "error_type": "client_error",
        "message": "task not found",
    }
    assert out["resource"]


def test_tasks_of_every_kind_run_on_the_simulated_server():
    async def talk(client: TaskClient) -> list[str]:
        tasks = (FLUX, UpscalerTask(image_url="u"), Text2VideoTask(prompt="fog", length=2))
        states = [await client.execute_and_wait(task, interval_s=1.0) for task in tasks]
        return [f"{state['task_type']} {state['status']}" for state in states]

    ran = visit(Sequencer.before(SimulatedServer, workers=2), talk)

    assert ran == ["txt2img finished", "upscaler finished", "txt2vid finished"]


def test_the_result_of_a_task_can_be_fetched_from_its_url():
    async def talk(client: TaskClient) -> bytes:
        state = await client.execute_and_wait(FLUX, interval_s=1.0)
        async with aiohttp.ClientSession() as http, http.get(state["result"]) as answered:
            return await answered.read()

    assert visit(Sequencer.before(SimulatedServer), talk).startswith(b"\x89PNG")
