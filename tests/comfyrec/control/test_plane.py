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
    assert told["facts"]["comfyui_version"] == "0.27.0"
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


REFUSED = {
    "an unknown scenario": ("PUT", "/scenario", {"name": "sucess"}, "did you mean 'success'?"),
    "an unknown parameter": (
        "PUT", "/scenario", {"name": "success", "params": {"nods": {}}}, "did you mean 'nodes'?",
    ),
    "an unknown key of a plan": (
        "PUT", "/scenario", {"name": "success", "params": {"nodes": {"1": {"secnds": 1}}}},
        "seconds",
    ),
    "an unknown field": ("PUT", "/scenario", {"nam": "success"}, "did you mean 'name'?"),
    "no name": ("PUT", "/scenario", {}, '"name" is missing; write it as in {"name": "ws-silent"'),
    "a name that is not text": (
        "PUT", "/scenario", {"name": 3}, '"name" is wrong: expected a text',
    ),
    "parameters that are no object": (
        "PUT", "/scenario", {"name": "success", "params": [1]}, "expected an object, got a list",
    ),
    "a body that is not JSON": ("PUT", "/scenario", b"{", "not valid JSON"),
    "a body that is not an object": ("PUT", "/scenario", [1], "must be a JSON object"),
    "an unknown thing to reset": ("POST", "/reset", {"what": ["quue"]}, "did you mean 'queue'?"),
    "a reset of no list": ("POST", "/reset", {"what": "queue"}, "list"),
    "a socket that is not there": ("POST", "/sockets/drop", {"socket": 99}, "99"),
    "a code that is none": ("POST", "/sockets/drop", {"code": 99}, "a whole number >= 1000"),
    "a reason too long": (
        "POST", "/sockets/drop", {"code": 1000, "reason": "x" * 124}, "123 bytes",
    ),
    "time backwards": ("POST", "/time/advance", {"seconds": -1}, "a number >= 0"),
    "a time that is none": ("POST", "/time/advance", {"seconds": "soon"}, "a number"),
    "a speed that is none": ("PUT", "/time/speed", {"speed": "fast"}, "it is one of max"),
    "a speed below 0": ("PUT", "/time/speed", {"speed": -1}, '{"speed": "max"}'),
    "nothing to learn from": ("POST", "/catalogue", {}, '{"workflow": a workflow}'),
    "a workflow that is a list": ("POST", "/catalogue", {"workflow": [1]}, "expected an object"),
    "what is not a workflow": ("POST", "/catalogue", {"workflow": {"a": 1}}, "no workflow in it"),
    "a place in the journal that is none": (
        "GET", "/journal?after=x", None, "expected a whole number",
    ),
    "a kind of entry that is none": ("GET", "/journal?what=requests", None, "mean 'request'?"),
    "a filter that is none": ("GET", "/requests?paht=/prompt", None, "did you mean 'path'?"),
    "a query where none is": ("GET", "/time?at=3", None, "has no filter 'at'; leave it out"),
    "an event that is none": ("POST", "/holds", {"event": "executin"}, "mean 'executing'?"),
    "a field that is none": (
        "POST", "/holds", {"event": "executing", "where": {"nod": "1"}}, "did you mean 'node'?",
    ),
    "a frame of no type": ("GET", "/frames?type=progres", None, "did you mean 'progress'?"),
    "a hold that is not there": ("DELETE", "/holds/7", None, "GET /__fake__/holds lists them"),
    "a server that is not there": ("GET", "/servers/7/time", None, "GET /__fake__/servers"),
    "no scenarios": ("PUT", "/scenarios", {"scenarios": []}, '"scenarios" is empty'),
    "an unknown one of several": (
        "PUT", "/scenarios", {"scenarios": ["success", "sucess"]}, "did you mean 'success'?",
    ),
    "a cassette that is not there": ("PUT", "/cassette", {"file": "none.crec"}, "none.crec"),
    "a scenario of another address": ("PUT", "/scenario", {"name": "tls-self-signed"}, "address"),
    "a client that is not there": ("POST", "/sockets/drop", {"client_id": "me"}, "none is open"),
    "a reason without a code": ("POST", "/sockets/drop", {"reason": "x"}, 'goes with "code"'),
    "two kinds of bounds": (
        "POST", "/verify", {"request": {}, "count": 1, "at_least": 1}, 'either "count"',
    ),
    "bounds the wrong way": (
        "POST", "/verify", {"request": {}, "at_least": 3, "at_most": 1}, "below",
    ),
    "a pattern with an unknown part": (
        "POST", "/verify", {"request": {"pth": "/prompt"}}, "unknown field",
    ),
    "an assertion that is none": ("POST", "/assert", {"name": "closed"}, "mean 'all_closed'?"),
    "a prompt like nothing": ("POST", "/assert", {"name": "prompt"}, '{"expected": the graph}'),
    "a server of two kinds": (
        "POST", "/servers", {"scenario": "success", "scenarios": ["success"]}, "either",
    ),
    "a plan over a cassette": (
        "POST", "/servers", {"plan": {}, "cassette": "all-cached"}, '"plan" goes with',
    ),
    "parameters of no scenario": ("POST", "/servers", {"params": {"a": 1}}, '"params" are those'),
    "a server of an unknown scenario": (
        "POST", "/servers", {"scenario": "ws-silnt"}, "did you mean 'ws-silent'?",
    ),
    "a server of no version": ("POST", "/servers", {"version": "banana"}, "banana"),
    "a wait without end": (
        "POST", "/wait/request", {"method": "GET", "path": "/", "timeout_s": 9999}, "<= 600",
    ),
    "a method that is none": (
        "POST", "/wait/request", {"method": "FETCH", "path": "/"}, "'FETCH', which is unknown; did",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_said_in_a_sentence(handle: ComfyUI, name: str) -> None:
    method, path, body, words = REFUSED[name]

    status, told = ask(handle, method, f"/__fake__{path}", body)

    assert status == 400
    assert words in told["error"]


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
