"""Asking a running server: what is not ComfyUI, what is busy, what is left behind."""

from __future__ import annotations

import pytest

from comfyrec.conform.server import LiveServer
from comfyrec.conform.verdict import look_at
from comfyrec.errors import UsageError
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.node_plan import NodePlans, always
from fake_server.source import Request, Response
from tests.comfyrec.conform.test_departures import Departing
from tests.support.json_over_http import get_json

GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


@pytest.mark.parametrize(
    "url, words",
    [
        ("127.0.0.1:8188", "give the address of a server"),
        ("ftp://a", "give the address of a server"),
        ("http://a:x", "give the address of a server"),
        ("http://127.0.0.1:9", "no answer to GET /prompt"),
    ],
)
def test_an_address_that_leads_nowhere_is_said(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        LiveServer(url)


def test_what_is_no_comfyui_is_said() -> None:
    with (
        serve(SimulatedServer()) as handle,
        pytest.raises(UsageError, match="is not a ComfyUI: GET /prompt answered 404"),
    ):
        LiveServer(f"{handle.url}/elsewhere")


@pytest.mark.parametrize(
    "method, status, words",
    [
        ("GET", 401, "wants credentials .status 401.; give an address behind"),
        ("GET", 403, "wants credentials .status 403."),
        ("POST", 403, "refuses POST /prompt .status 403.; give an address where prompts"),
        ("POST", 405, "refuses POST /prompt .status 405."),
    ],
)
def test_a_server_that_lets_nobody_in_is_said(method: str, status: int, words: str) -> None:
    def answers(request: Request, answer: Response) -> Response:
        return Response(status) if request.method == method else answer

    with (
        serve(Departing(SimulatedServer(), answers=answers)) as handle,
        pytest.raises(UsageError, match=words),
    ):
        LiveServer(handle.url)


def test_a_busy_server_is_asked_without_running_anything() -> None:
    source = SimulatedServer(plan_for=always(NodePlans({"1": {"seconds": 600}})))
    with serve(source) as handle:
        server = LiveServer(handle.url)
        server.ask("POST", "/prompt", {"prompt": GRAPH})

        seen = look_at(LiveServer(handle.url), "busy")
        queue = get_json(f"{handle.url}/queue")

    assert "success_event" in seen.unseen
    assert "jobs" in seen.facts
    assert (len(queue["queue_running"]), len(queue["queue_pending"])) == (1, 0)


def test_nothing_is_cleared_and_nothing_of_others_interrupted() -> None:
    with serve(SimulatedServer()) as handle:
        LiveServer(handle.url).ask("POST", "/prompt", {"prompt": GRAPH})
        server = LiveServer(handle.url)
        while get_json(f"{handle.url}/prompt")["exec_info"]["queue_remaining"]:
            pass
        before = get_json(f"{handle.url}/history")

        look_at(server, "here")
        after = get_json(f"{handle.url}/history")

    assert before.items() <= after.items()
    assert len(before) == 1
