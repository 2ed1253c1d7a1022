"""What a downstream project's type checker sees; read by mypy in CI, never run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type

from comfyrec.client.blocking import Client
from comfyrec.client.outcome import Outcome, Result
from comfyrec.events import ExecutionSuccess, Progress, decode
from comfyrec.testing.handle import ComfyUI, Holding
from comfyrec.testing.witness import SeenPrompt, SeenRequest
from fake_server.testing import running


def test_with_the_fixture(comfyui: ComfyUI, comfyui_factory: Callable[..., ComfyUI]) -> None:
    assert_type(comfyui.url, str)
    assert_type(comfyui.port, int)
    assert_type(comfyui.prompts, list[SeenPrompt])
    assert_type(comfyui.wait_for_request("POST", "/prompt"), SeenRequest)
    assert_type(comfyui.hold_at("executing", node="3"), Holding)
    assert_type(comfyui.scenario("all-cached").plan({"1": {"seconds": 1}}), ComfyUI)
    assert_type(comfyui_factory(scenario="oom"), ComfyUI)


def percent(message: str | bytes) -> float | None:
    event = decode(message)
    if isinstance(event, Progress):
        assert_type(event, Progress)
        return 100 * event.data.value / event.data.max
    return 100.0 if isinstance(event, ExecutionSuccess) else None


def run(graph: dict[str, Any]) -> Outcome:
    with running() as url, Client(url) as client:
        result = client.run(graph)
        assert_type(result, Result)
        return result.outcome
