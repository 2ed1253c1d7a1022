"""The assertions of the handle: what passes, and what a failure says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.sync.client import connect

from comfyrec.testing.assertions import difference
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.settings import PluginSettings
from tests.comfyrec.plugin.downstream_client import GRAPH, get, post, run

FOREIGN = "f0e1d2c3-0000-4000-8000-000000000001"
OUTPUT = {"images": [{"filename": "theirs.png", "subfolder": "", "type": "output"}]}
THEIRS = json.dumps(
    {"type": "executed", "data": {"node": "9", "output": OUTPUT, "prompt_id": FOREIGN}}
)


@pytest.fixture
def server() -> Iterator[ComfyUI]:
    """A server that nobody has used yet."""
    server = ComfyUI(PluginSettings(timeout_s=0.05))
    yield server
    server.close()


def submit(server: ComfyUI) -> str:
    _, said = post(server, "/prompt", {"prompt": GRAPH, "client_id": "me"})
    return str(said["prompt_id"])


def two_terminal_events(server: ComfyUI) -> None:
    run(server)
    success = next(m for _, _, m in server.frames if "execution_success" in str(m))
    _sent(server, success)
    server.assert_one_terminal_event()


def two_prompts(server: ComfyUI) -> None:
    run(server)
    run(server)
    server.assert_one_terminal_event()


def nobody_interrupts(server: ComfyUI) -> None:
    submit(server)
    server.assert_interrupted()


def whatever_runs_is_interrupted(server: ComfyUI) -> None:
    prompt_id = submit(server)
    post(server, "/interrupt", {"prompt_id": prompt_id})
    post(server, "/interrupt", {})
    server.assert_interrupted()


def another_is_interrupted(server: ComfyUI) -> None:
    submit(server)
    post(server, "/interrupt", {"prompt_id": "another"})
    server.assert_interrupted()


def foreign_history(server: ComfyUI) -> None:
    submit(server)
    get(server, f"/history/{FOREIGN}")
    server.assert_no_foreign_prompt_used()


def foreign_prompt_interrupted(server: ComfyUI) -> None:
    _sent(server, THEIRS)
    post(server, "/interrupt", {"prompt_id": FOREIGN})
    server.assert_no_foreign_prompt_used()


def foreign_file(server: ComfyUI) -> None:
    _sent(server, THEIRS)
    with contextlib.suppress(ValueError):  # a picture, or that there is none
        get(server, "/view?filename=theirs.png&type=output")
    server.assert_no_foreign_prompt_used()


def _sent(server: ComfyUI, message: str | bytes) -> None:
    server._call(server._witness.frames.append, (0, 1, message))


def nothing_posted(server: ComfyUI) -> None:
    with connect(f"{server.ws_url}/ws?clientId=me"):
        server.assert_socket_before_post()


def late_socket(server: ComfyUI) -> None:
    prompt_id = submit(server)
    with connect(f"{server.ws_url}/ws?clientId=me"):
        assert prompt_id
    server.assert_socket_before_post()


def open_socket(server: ComfyUI) -> None:
    with connect(f"{server.ws_url}/ws?clientId=me"):
        server.assert_all_closed()


def another_graph(server: ComfyUI) -> None:
    submit(server)
    inputs = {**GRAPH["1"]["inputs"], "width": 16, "extra": 1}
    server.assert_prompt({**GRAPH, "1": {**GRAPH["1"], "inputs": inputs}})


FAILURES: dict[Callable[[ComfyUI], None], str] = {
    two_terminal_events: r"has 2 terminal events: \['execution_success', 'execution_success'\]",
    two_prompts: "2 prompts were submitted; give prompt_id",
    nobody_interrupts: "nobody posted to /interrupt",
    whatever_runs_is_interrupted: "one POST /interrupt has no prompt_id: it stops whatever runs",
    another_is_interrupted: r"/interrupt was posted 1 time, for \['another'\], but not for",
    foreign_history: f"foreign prompts: GET /history/{FOREIGN} names {FOREIGN}",
    foreign_prompt_interrupted: f"foreign prompts: POST /interrupt names {FOREIGN}",
    foreign_file: r"foreign prompts: GET /view names theirs\.png",
    nothing_posted: r"no prompt was accepted, so there is no POST",
    late_socket: r"was posted before a WebSocket with clientId 'me' was open",
    open_socket: "waited 0.05 s for the client to close its WebSockets",
    another_graph: r"(?s)1/inputs/width: 8, expected 16.*1/inputs/extra: missing, expected 1",
}


@pytest.mark.parametrize(("wrong", "words"), FAILURES.items(), ids=[f.__name__ for f in FAILURES])
def test_a_failure_says_what_was_there(
    server: ComfyUI, wrong: Callable[[ComfyUI], None], words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        wrong(server)


def test_a_client_that_does_all_well_passes(server: ComfyUI) -> None:
    _sent(server, THEIRS)
    run(server)
    prompt_id = server.prompts[0].prompt_id
    get(server, f"/history/{prompt_id}")
    post(server, "/interrupt", {"prompt_id": prompt_id})

    assert server.assert_one_terminal_event() == "execution_success"
    server.assert_interrupted(prompt_id)
    server.assert_no_foreign_prompt_used()
    server.assert_socket_before_post()
    server.assert_all_closed(timeout=5)
    server.assert_prompt(GRAPH)


WAITS: dict[str, Callable[[ComfyUI], Any]] = {
    "POST /prompt": lambda server: server.wait_for_request("POST", "/prompt"),
    "socket number 1": lambda server: server.wait_for_socket(),
    "the frame executing, node='1'": lambda server: server.hold_at("executing", node="1").wait(),
    "one more frame": lambda server: server.step(),
    "the frame executed": lambda server: server.run_until("executed"),
}


@pytest.mark.parametrize(("what", "wait"), WAITS.items(), ids=WAITS)
def test_a_wait_ends_and_says_what_for(
    server: ComfyUI, what: str, wait: Callable[[ComfyUI], Any]
) -> None:
    with pytest.raises(AssertionError, match=rf"waited 0\.05 s for {what}; it has sent nothing"):
        wait(server)


def test_a_wait_may_ask_the_server_for_what_it_waits_for(server: ComfyUI) -> None:
    run(server)

    server.wait_until(lambda: not any(socket.open for socket in server.sockets), "the end", 5)
    with pytest.raises(AssertionError, match=r"waited 0.05 s for 2 prompts; it sent last: \{"):
        server.wait_until(lambda: len(server.prompts) == 2, "2 prompts")


SMALL = {"1": {"class_type": "A", "inputs": {"seed": 1, "link": ["2", 0]}}}


@pytest.mark.parametrize(
    ("expected", "actual", "lines"),
    [
        (SMALL, SMALL, []),
        ({"a": 1}, {"a": 2}, ["a: 2, expected 1"]),
        ({"a": 1}, {"a": 1.0}, ["a: 1.0, expected 1"]),
        ({"a": {"b": 1}}, {"a": {}}, ["a/b: missing, expected 1"]),
        ({}, {"a": 1}, ["a: 1, expected nothing"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a: [2, 1], expected [1, 2]"]),
    ],
)
def test_where_graphs_differ_is_said(expected: Any, actual: Any, lines: list[str]) -> None:
    assert list(difference(expected, actual)) == lines
