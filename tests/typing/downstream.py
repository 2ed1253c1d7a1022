"""What a downstream project's type checker sees; read by mypy in CI, never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from hypothesis import given
from hypothesis.strategies import SearchStrategy

from comfyrec.client.result import Outcome, Result
from comfyrec.client.shells.blocking import Client
from comfyrec.events import ExecutionSuccess, Progress, decode
from comfyrec.strategies import (
    Choice,
    Served,
    Stream,
    Workflow,
    client_machine,
    events,
    fake_comfyui,
    faulty_streams,
    graphs,
    played,
    runs,
    save_example,
    scenarios,
    streams,
)
from comfyrec.testing.handle import ComfyUI, Holding
from comfyrec.testing.observed import SeenPrompt, SeenRequest, SeenSocket
from fake_server.testing import running


def test_with_the_fixture(comfyui: ComfyUI, comfyui_factory: Callable[..., ComfyUI]) -> None:
    assert_type(comfyui.url, str)
    assert_type(comfyui.ws_url, str)
    assert_type(comfyui.port, int)
    assert_type(comfyui_factory(scenario="oom"), ComfyUI)


def test_the_journal(comfyui: ComfyUI) -> None:
    assert_type(comfyui.prompts, list[SeenPrompt])
    assert_type(comfyui.prompts[0].graph, dict[str, Any])
    assert_type(comfyui.prompts[0].client_id, str | None)
    assert_type(comfyui.requests, list[SeenRequest])
    assert_type(comfyui.requests[0].status, int | None)
    assert_type(comfyui.uploads, list[SeenRequest])
    assert_type(comfyui.sockets, list[SeenSocket])
    assert_type(comfyui.frames, list[tuple[int, int, str | bytes]])
    assert_type(comfyui.timeline(), list[dict[str, Any]])


def test_the_control(comfyui: ComfyUI) -> None:
    assert_type(comfyui.scenario("all-cached").plan({"1": {"seconds": 1}}), ComfyUI)
    assert_type(comfyui.cassette("all-cached"), ComfyUI)
    assert_type(comfyui.wait_for_request("POST", "/prompt"), SeenRequest)
    assert_type(comfyui.wait_for_socket(), SeenSocket)
    assert_type(comfyui.hold_at("executing", node="3").wait(), Holding)
    assert_type(comfyui.step(), str | bytes | None)
    assert_type(comfyui.run_until("executed", node="3"), Holding)
    assert_type(comfyui.drop_socket("me", code=1001), int)
    with comfyui.hold_at("executing") as hold:
        assert_type(hold, Holding)
        assert_type(hold.message, str | bytes | None)


async def test_the_control_awaited(comfyui: ComfyUI) -> None:
    assert_type(await comfyui.aio.wait_for_request("POST", "/prompt"), SeenRequest)
    assert_type(await comfyui.aio.step(), str | bytes | None)
    assert_type(await comfyui.aio.run_until("executed"), Holding)
    async with comfyui.hold_at("executing") as hold:
        assert_type(hold, Holding)


def test_the_assertions(comfyui: ComfyUI) -> None:
    assert_type(comfyui.assert_one_terminal_event(), str)
    comfyui.assert_interrupted("id")
    comfyui.assert_prompt({"1": {"class_type": "PreviewAny"}})


@given(runs())
def test_the_recipe(run: Stream) -> None:
    with fake_comfyui(run) as server:
        assert_type(server, Served)
        assert_type(server.workflow, dict[str, Any])
        assert_type(server.bounded(lambda: percent("{}")), float | None)
        assert_type(server.bounded(lambda: awaited("{}")), float | None)
        server.judge("success", {"1": {"images": []}})


def test_the_strategies() -> None:
    assert_type(graphs(), SearchStrategy[Workflow])
    assert_type(events("0.27.0", type="progress"), SearchStrategy[str | bytes])
    assert_type(streams(), SearchStrategy[Stream])
    assert_type(faulty_streams(labels=("cut",)), SearchStrategy[Stream])
    assert_type(scenarios("ws-*"), SearchStrategy[Choice])
    stream = played(Stream(graph={"1": {"class_type": "PreviewAny", "inputs": {}}}))
    assert_type(stream.messages, tuple[str | bytes, ...])
    save_example(stream, "found.jsonl", overwrite=True)


class Adapter:
    """As ``client_machine`` wants it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def submit(self, workflow: dict[str, Any]) -> str:
        return "id"

    def interrupt(self, prompt_id: str) -> None: ...

    def delete(self, prompt_id: str) -> None: ...

    def reconnect(self) -> None: ...

    def outcomes(self) -> dict[str, list[str]]:
        return {}

    def settle(self) -> None: ...

    def close(self) -> None: ...


TestAdapter = client_machine(Adapter).TestCase


async def awaited(message: str | bytes) -> float | None:
    return percent(message)


def percent(message: str | bytes) -> float | None:
    event = decode(message)
    if isinstance(event, Progress):
        assert_type(event, Progress)
        value, most = event.data.value, event.data.max
        return 100 * value / most if value is not None and most else None
    return 100.0 if isinstance(event, ExecutionSuccess) else None


def run(graph: dict[str, Any]) -> Outcome:
    with running() as url, Client(url) as client:
        result = client.run(graph)
        assert_type(result, Result)
        return result.outcome
