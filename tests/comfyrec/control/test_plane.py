"""``/__fake__/``: what it answers, what it changes, and how it says no."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from comfyrec.cassette.files import find_cassette, open_cassette
from comfyrec.control import controlled
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.settings import PluginSettings
from comfyrec.timeline import Timeline
from comfyrec.versions import DEFAULT_VERSION
from fake_server.replay import Player
from fake_server.scenario_source import scenario_source, scenarios_over
from fake_server.scenarios import choice_of
from fake_server.server.hold import Gate
from fake_server.server.thread import Handle, serve
from fake_server.source import Source
from fake_server.surfaces.task_server import Sequencer
from tests.support.scripted_source import Plain

PROMPT = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}


@pytest.fixture
def handle() -> Iterator[ComfyUI]:
    with closing(controlled(PluginSettings(speed=0.0))) as server:
        yield server


def ask(handle: ComfyUI | Handle, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    with Plain(handle.port) as client:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
        status, fields, got = client.ask(head, data)
    return status, json.loads(got) if "json" in fields.get("content-type", "") else got


def control(handle: ComfyUI, method: str, path: str, body: Any = None) -> Any:
    status, got = ask(handle, method, f"/__fake__{path}", body)
    assert status == 200, got
    return got


def test_it_says_what_this_is(handle: ComfyUI) -> None:
    told = control(handle, "GET", "/")

    assert "simulated" in told["what"]
    assert told["time"] == {"now_us": 0, "speed": 0, "next_us": None}
    assert told["facts"]["comfyui_version"] == DEFAULT_VERSION
    assert told["routes"]["/__fake__/scenario"] == ["PUT"]
    assert control(handle, "GET", "") == told


def test_a_scenario_is_played_from_then_on(handle: ComfyUI) -> None:
    params = {"nodes": {"1": {"raise": {"type": "ValueError", "message": "no"}}}}

    told = control(handle, "PUT", "/scenario", {"name": "success", "params": params})
    _, accepted = ask(handle, "POST", "/prompt", {"prompt": PROMPT})
    control(handle, "POST", "/time/advance", {"seconds": 1})
    _, history = ask(handle, "GET", f"/history/{accepted['prompt_id']}")

    assert told["scenario"]["params"] == {"classes": {}, "strict": False, **params}
    assert history[accepted["prompt_id"]]["status"]["status_str"] == "error"
    assert control(handle, "GET", "/")["scenario"]["name"] == "success"


def test_an_unknown_path_names_the_nearest_and_a_wrong_method_the_right_one(
    handle: ComfyUI,
) -> None:
    status, told = ask(handle, "GET", "/__fake__/request")
    wrong = ask(handle, "GET", "/__fake__/reset")

    assert (status, told["error"]) == (
        404,
        "there is no /__fake__/request; did you mean /__fake__/requests?",
    )  # fmt: skip
    assert wrong == (405, {"error": "/__fake__/reset takes POST, not GET"})


def test_a_reset_forgets_everything(handle: ComfyUI) -> None:
    control(handle, "PUT", "/scenario", {"name": "ws-silent"})
    ask(handle, "POST", "/prompt", {"prompt": PROMPT})
    ask(handle, "POST", "/userdata/a.txt", b"x")

    told = control(handle, "POST", "/reset")

    assert set(told["reset"]) == {
        "queue", "history", "cache", "counters", "files", "scenario", "journal",
    }  # fmt: skip
    assert ask(handle, "GET", "/history") == (200, {})
    assert ask(handle, "GET", "/userdata/a.txt")[0] == 404
    assert control(handle, "GET", "/")["scenario"]["name"] == "success"
    entries = control(handle, "GET", "/journal")["entries"]
    assert [e["target"] for e in entries if e["what"] == "request"] == [
        "/history",
        "/userdata/a.txt",
    ]


def test_a_reset_of_parts_leaves_the_others(handle: ComfyUI) -> None:
    ask(handle, "POST", "/prompt", {"prompt": PROMPT})
    control(handle, "POST", "/time/advance", {"seconds": 1})
    ask(handle, "POST", "/userdata/a.txt", b"x")

    told = control(handle, "POST", "/reset", {"what": ["history"]})

    assert told == {"reset": ["history"]}
    assert ask(handle, "GET", "/history") == (200, {})
    assert ask(handle, "GET", "/userdata/a.txt")[0] == 200
    control(handle, "POST", "/reset", {"what": ["files"]})
    assert ask(handle, "GET", "/userdata/a.txt")[0] == 404


CUSTOM = {**PROMPT, "3": {"class_type": "ShowMe", "inputs": {"image": ["1", 0]}}}


def test_a_server_learns_a_workflow_and_knows_it_under_every_scenario(handle: ComfyUI) -> None:
    refused, _ = ask(handle, "POST", "/prompt", {"prompt": CUSTOM})

    learned = control(handle, "POST", "/catalogue", {"workflow": CUSTOM})["learned"]
    accepted, _ = ask(handle, "POST", "/prompt", {"prompt": CUSTOM})
    control(handle, "PUT", "/scenario", {"name": "queued-behind"})
    control(handle, "POST", "/reset")
    again, _ = ask(handle, "POST", "/prompt", {"prompt": CUSTOM})

    assert learned["classes"] == ["ShowMe"]
    assert (refused, accepted, again) == (400, 200, 200)
    assert control(handle, "GET", "/")["facts"]["learned"]["classes"] == ["ShowMe"]


def test_the_journal_tells_requests_answers_and_frames(handle: ComfyUI) -> None:
    with connect(f"{handle.ws_url}/ws?clientId=me", compression=None) as ws:
        ws.recv(10)
        ws.send('{"type": "hello"}')
        ask(handle, "POST", "/prompt", {"prompt": PROMPT, "client_id": "me"})
        entries = control(handle, "GET", "/journal")["entries"]

    asked = next(e for e in entries if e["what"] == "request")
    answered = next(e for e in entries if e["what"] == "answer")
    sent = [json.loads(e["text"])["type"] for e in entries if e["what"] == "sent"]
    assert (asked["method"], asked["target"]) == ("POST", "/prompt")
    assert json.loads(asked["text"])["client_id"] == "me"
    assert (answered["number"], answered["status"]) == (asked["number"], 200)
    assert sent[:2] == ["status", "status"]
    assert [e["text"] for e in entries if e["what"] == "received"] == ['{"type": "hello"}']
    later = control(handle, "GET", f"/journal?after={entries[-1]['serial']}&what=request")
    assert [e["target"] for e in later["entries"]] == []


def test_sockets_are_listed_and_dropped(handle: ComfyUI) -> None:
    with (
        connect(f"{handle.ws_url}/ws?clientId=a") as a,
        connect(f"{handle.ws_url}/ws?clientId=b") as b,
    ):
        a.recv(10)
        b.recv(10)
        listed = control(handle, "GET", "/sockets")["sockets"]
        first = next(s["socket"] for s in listed if s["client_id"] == "a")
        control(handle, "POST", "/sockets/drop", {"socket": first, "code": 4000, "reason": "test"})
        with pytest.raises(ConnectionClosed) as closed:
            a.recv(10)
        control(handle, "POST", "/sockets/drop")
        with pytest.raises(ConnectionClosed) as cut:
            b.recv(10)

    assert [s["client_id"] for s in listed] == ["a", "b"]
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "test")
    assert cut.value.rcvd is None


def test_time_stands_still_steps_advances_and_runs(handle: ComfyUI) -> None:
    plan = {"nodes": {"1": {"seconds": 5}}}
    control(handle, "PUT", "/scenario", {"name": "success", "params": plan})
    _, accepted = ask(handle, "POST", "/prompt", {"prompt": PROMPT})
    path = f"/history/{accepted['prompt_id']}"

    waiting = control(handle, "GET", "/time")
    control(handle, "POST", "/time/advance", {"seconds": 4.9})
    early = ask(handle, "GET", path)[1]
    stepped = control(handle, "POST", "/time/step")
    over = ask(handle, "GET", path)[1]

    assert waiting == {"now_us": 0, "speed": 0, "next_us": 5_000_000}
    assert early == {}
    assert (stepped["stepped"], stepped["now_us"]) == (True, 5_000_000)
    assert accepted["prompt_id"] in over
    assert control(handle, "POST", "/time/step")["stepped"] is False
    assert control(handle, "PUT", "/time/speed", {"speed": "max"})["speed"] == "max"
    assert control(handle, "POST", "/time/pause")["speed"] == 0
    assert control(handle, "POST", "/time/resume")["speed"] == "max"


def test_without_a_control_plane_the_path_belongs_to_the_source() -> None:
    with serve(scenario_source([])) as plain:
        assert ask(plain, "GET", "/__fake__/")[0] == 404


def status_for(handle: ComfyUI, *fields: str) -> int:
    with Plain(handle.port) as client:
        head = "".join(f"{field}\r\n" for field in fields)
        return client.ask(f"POST /__fake__/reset HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n", b"")[
            0
        ]


FOREIGN = {
    "another site": ("Host: 127.0.0.1:8188", "Origin: https://evil.example"),
    "another port": ("Host: 127.0.0.1:8188", "Origin: http://127.0.0.1:9000"),
    "a sandboxed frame": ("Host: 127.0.0.1:8188", "Origin: null"),
    "a browser's own word": ("Host: 127.0.0.1:8188", "Sec-Fetch-Site: cross-site"),
    "a name that leads here": ("Host: evil.example:8188", "Origin: http://evil.example:8188"),
}


@pytest.mark.parametrize("fields", FOREIGN.values(), ids=FOREIGN)
def test_a_page_of_another_origin_cannot_use_the_control_plane(
    handle: ComfyUI, fields: tuple[str, ...]
) -> None:
    assert status_for(handle, *fields) == 403


OURS = {
    "no browser": ("Host: comfyui:8188",),
    "the same origin": ("Host: 127.0.0.1:8188", "Origin: http://127.0.0.1:8188"),
    "a name for this machine": ("Host: LOCALHOST:8188", "Origin: http://localhost:8188"),
    "an address typed by hand": ("Host: [::1]:8188", "Sec-Fetch-Site: none"),
}


@pytest.mark.parametrize("fields", OURS.values(), ids=OURS)
def test_whoever_is_of_the_same_origin_may_use_the_control_plane(
    handle: ComfyUI, fields: tuple[str, ...]
) -> None:
    assert status_for(handle, *fields) == 200


def replayed() -> Source:
    with open_cassette(find_cassette("all-cached")) as records:
        return Player(Timeline.build(records))


# Sources that cannot be reset in parts, or that have others inside.
SOURCES = {
    "a replay": replayed,
    "tasks": lambda: Sequencer.before(lambda: scenario_source([]), workers=2),
    "tasks under a scenario": lambda: Sequencer.before(
        lambda: scenario_source([choice_of("ws-silent")])
    ),
    "tasks of a replay": lambda: Sequencer.before(replayed),
    "a replay under a scenario": lambda: scenarios_over([choice_of("ws-silent")], replayed),
    "a gate": lambda: Gate(scenario_source([])),
}


def serving(make: Callable[[], Source]) -> ComfyUI:
    return controlled(PluginSettings(speed=0.0), make=lambda _: make())


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_the_journal_can_be_forgotten_whatever_is_served(make: Callable[[], Source]) -> None:
    with closing(serving(make)) as handle:
        ask(handle, "GET", "/queue")

        told = control(handle, "POST", "/reset", {"what": ["journal"]})

        assert told == {"reset": ["journal"]}
        assert control(handle, "GET", "/journal")["entries"] == []


@pytest.mark.parametrize("kind", ["tasks", "tasks under a scenario", "a gate"])
def test_what_is_simulated_can_be_reset_in_parts_inside_of_others(kind: str) -> None:
    with closing(serving(SOURCES[kind])) as handle:
        ask(handle, "POST", "/userdata/a.txt", b"x")

        control(handle, "POST", "/reset", {"what": ["files"]})

        assert ask(handle, "GET", "/userdata/a.txt")[0] == 404


@pytest.mark.parametrize("kind", ["a replay", "tasks of a replay", "a replay under a scenario"])
def test_a_replay_is_only_reset_as_a_whole(kind: str) -> None:
    with closing(serving(SOURCES[kind])) as handle:
        refused = ask(handle, "POST", "/__fake__/reset", {"what": ["history"]})
        whole = control(handle, "POST", "/reset")

    assert refused == (
        400,
        {
            "error": "this server cannot forget its history by itself; "
            'start it anew with {"what": ["scenario"]}'
        },
    )
    assert "scenario" in whole["reset"]
