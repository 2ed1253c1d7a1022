"""Each operation of the control plane does what the fixture does, and gives what it describes."""

from __future__ import annotations

import base64
import json
import runpy
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection, RemoteDisconnected
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from comfyrec.control import controlled
from comfyrec.control.plane import OPERATIONS, openapi
from comfyrec.testing.settings import PluginSettings
from tests.support.paths import ROOT

PROMPT = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
BY_NAME = {operation.name: operation for operation in OPERATIONS}


class Client:
    """Asks a control plane, and holds each question and answer against its description."""

    def __init__(self, url: str, control_url: str = "") -> None:
        self.url, self.control_url = url, control_url or f"{url}/__fake__"

    def __call__(self, name: str, body: Any = None, number: int = 0, query: str = "") -> Any:
        operation = BY_NAME[name]
        path = operation.path.replace("{id}", str(number)) + query
        if body is not None:
            msgspec.convert(body, operation.body)
        answer = self.send(operation.method, f"{self.control_url}{path}", body)
        msgspec.convert(answer, operation.gives)
        return answer

    def send(self, method: str, url: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def prompt(self, client_id: str = "me") -> str:
        body = {"prompt": PROMPT, "client_id": client_id}
        return str(self.send("POST", f"{self.url}/prompt", body)["prompt_id"])


@pytest.fixture
def ask() -> Iterator[Client]:
    with closing(controlled(PluginSettings(timeout_s=2.0))) as server:
        yield Client(server.url)


def test_a_server_on_demand_has_its_own_port_and_seed_and_ends_with_delete(ask: Client) -> None:
    made = ask("makeServer", {"scenario": "ws-silent", "params": {"after": "start"}, "seed": 7})
    child = Client(made["url"], made["control_url"])
    state, own = child("state"), Client(made["url"])("state")
    child.prompt()
    listed = ask("servers")["servers"]
    ended = ask("endServer", number=made["id"])

    assert state["scenario"]["title"] == "ws-silent:after=start"
    assert (state["seed"], own["seed"], state["url"]) == (7, 7, made["url"])
    assert listed == [made]
    assert ended["ended"] == [made["id"]]
    assert ask("requests")["requests"] == []
    with pytest.raises(urllib.error.URLError):
        child.prompt()


def test_a_server_on_demand_speaks_the_surfaces_that_are_asked_for(ask: Client) -> None:
    made = ask("makeServer", {"surface": ["v2:queue_max=1"]})

    with urllib.request.urlopen(f"{made['url']}/api/v2/jobs", timeout=5) as answer:
        listed = json.load(answer)

    assert listed == {"jobs": []}
    ask("endServer", number=made["id"])


def test_servers_on_demand_end_with_the_one_that_made_them(ask: Client) -> None:
    first = ask("makeServer", {})
    second = Client(first["url"], first["control_url"])("makeServer", {})

    told = ask("endServers")

    assert told == {"ended": [first["id"]], "complaints": []}
    with pytest.raises(urllib.error.URLError):
        Client(second["url"])("state")


@pytest.mark.parametrize(
    ("body", "titles", "cassette"),
    [
        ({"scenario": {"name": "ws-silent", "params": {"after": "start"}}},
         ["ws-silent:after=start"], None),
        ({"scenarios": ["ws-silent", "queued-behind"]}, ["ws-silent", "queued-behind"], None),
        ({"cassette": "all-cached", "strict": True}, [], "all-cached"),
        ({"cassette": "all-cached", "scenario": "ws-silent"}, ["ws-silent"], "all-cached"),
        ({"version": "0.3.64", "speed": "max", "timeout_s": 1}, ["success"], None),
    ],
)  # fmt: skip
def test_a_server_is_made_as_it_was_asked_for(
    ask: Client, body: Any, titles: list[str], cassette: str | None
) -> None:
    made = ask("makeServer", body)

    state = Client(made["url"], made["control_url"])("state")
    assert [one["title"] for one in state["scenarios"]] == titles
    assert state["cassette"] == cassette


def test_a_plan_is_followed_by_a_server_that_was_made_with_it(ask: Client) -> None:
    made = ask("makeServer", {"plan": {"1": {"raise": "no"}}})
    child = Client(made["url"], made["control_url"])

    child.prompt()

    assert child("frames", query="?type=execution_error")["frames"] == []  # nobody listens
    history = child.send("GET", f"{made['url']}/history")
    assert [one["status"]["status_str"] for one in history.values()] == ["error"]


def test_what_is_served_is_changed(ask: Client) -> None:
    told = [
        ask("putScenario", {"name": "ws-silent", "params": {"after": "start"}}),
        ask("putScenarios", {"scenarios": ["ws-silent", {"name": "queued-behind"}]}),
        ask("putCassette", {"file": "all-cached", "scenarios": ["ws-silent"]}),
        ask("putPlan", {"nodes": {"1": {"seconds": 1}}}),
    ]

    titles = [[one["title"] for one in each["scenarios"]] for each in told]
    assert titles[:3] == [["ws-silent:after=start"], ["ws-silent", "queued-behind"], ["ws-silent"]]
    assert [each["cassette"] for each in told] == [None, None, "all-cached", None]
    assert told[3]["scenario"]["params"]["nodes"] == {"1": {"seconds": 1}}


def test_the_catalogue_of_scenarios_has_their_parameters(ask: Client) -> None:
    listed = {one["name"]: one for one in ask("listScenarios")["scenarios"]}

    assert "after" in listed["ws-silent"]["parameters"]
    assert len(listed) > 100


def test_workflows_are_learned(ask: Client) -> None:
    workflow = {**PROMPT, "3": {"class_type": "ShowMe", "inputs": {"image": ["1", 0]}}}

    learned = ask("learn", {"workflow": workflow})["learned"]

    assert learned["classes"] == ["ShowMe"]


def test_what_a_client_did_is_seen_decoded(ask: Client) -> None:
    with connect(f"{ask.url.replace('http', 'ws')}/ws?clientId=me") as socket:
        socket.send('{"type": "hello"}')
        prompt_id = ask.prompt()
        ask("waitForRequest", {"method": "POST", "path": "/prompt"})
        opened = ask("waitForSocket", {"count": 1})
        prompts = ask("prompts", query=f"?prompt_id={prompt_id}&client_id=me")["prompts"]
        posted = ask("requests", query="?method=POST&path=/pro*&status=200")["requests"]
        sockets = ask("sockets", query="?client_id=me&open=true")["sockets"]
        frames = ask("frames", query="?type=execution_success")["frames"]

    assert prompts[0]["graph"] == PROMPT
    assert posted[0]["json"]["client_id"] == "me"
    assert opened["client_id"] == sockets[0]["client_id"] == "me"
    assert [json.loads(one["text"])["data"]["prompt_id"] for one in frames] == [prompt_id]
    assert [one["what"] for one in ask("journal", query="?what=request")["entries"]] == ["request"]


def test_an_upload_is_taken_apart(ask: Client) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.bin"\r\n'
        b"Content-Type: image/png\r\n\r\n\x00\xff\r\n--x\r\n"
        b'Content-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n--x--\r\n'
    )
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    request = urllib.request.Request(f"{ask.url}/upload/image", body, kind)
    urllib.request.urlopen(request, timeout=10).close()

    upload = ask("uploads")["uploads"][0]

    assert upload["fields"] == {"overwrite": "true"}
    assert upload["files"][0]["filename"] == "a.bin"
    assert base64.b64decode(upload["files"][0]["base64"]) == b"\x00\xff"


def test_a_server_is_held_stepped_and_released(ask: Client) -> None:
    hold = ask("holdAt", {"event": "executing", "where": {"node": "1"}})
    early = ask("hold", number=hold["id"])
    with connect(f"{ask.url.replace('http', 'ws')}/ws?clientId=me"):
        ask("waitForSocket", {})
        ask.prompt()
        reached = ask("hold", number=hold["id"], query="?wait_s=5")
        stepped = ask("step", {"timeout_s": 5})
        listed = ask("holds")
        last = ask("runUntil", {"event": "executed"})
        freed = ask("releaseHold", number=last["id"])
        ask("release")

    assert (early["reached"], reached["reached"]) == (False, True)
    assert json.loads(reached["message"])["data"]["node"] == "1"
    assert stepped["message"] is not None
    assert listed["held_at"] == "*"
    assert json.loads(last["message"])["type"] == "executed"
    assert freed == {"done": True}
    assert ask("holds") == {"holds": [], "held_at": None}
    assert ask("complaints") == {"complaints": []}


def test_a_hold_that_is_never_reached_is_complained_of_until_it_is_released(ask: Client) -> None:
    hold = ask("holdAt", {"event": "executing", "where": {"node": "99"}})
    ask("hold", number=hold["id"])

    [said] = ask("complaints")["complaints"]
    ask("releaseHold", number=hold["id"])

    assert said.startswith("the server was never held at executing, node='99': no such frame")
    assert ask("complaints") == {"complaints": []}


def test_a_hold_that_was_waited_for_in_vain_is_not_complained_of_again(ask: Client) -> None:
    for name, body in (
        ("runUntil", {"event": "executed", "timeout_s": 0}),
        ("step", {"timeout_s": 0}),
    ):
        with pytest.raises(urllib.error.HTTPError, match="409"):
            ask(name, body)

    assert ask("complaints") == {"complaints": []}


def test_a_long_poll_ends_as_soon_as_the_hold_is_reached(ask: Client) -> None:
    hold = ask("holdAt", {"event": "status"})
    answers: list[Any] = []
    poll = threading.Thread(
        target=lambda: answers.append(ask("hold", number=hold["id"], query="?wait_s=60"))
    )
    poll.start()

    with connect(f"{ask.url.replace('http', 'ws')}/ws?clientId=me"):
        poll.join(20)

    ask("release")
    assert [one["reached"] for one in answers] == [True]


WAITS = {
    "a request": ("waitForRequest", {"method": "GET", "path": "/x", "timeout_s": 0}, "GET /x"),
    "a socket": ("waitForSocket", {"timeout_s": 0}, "socket number 1"),
    "a frame": ("runUntil", {"event": "executed", "timeout_s": 0}, "the frame executed"),
    "one more frame": ("step", {"timeout_s": 0}, "one more frame"),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_wait_in_vain_says_what_was_waited_for(ask: Client, wait: Any) -> None:
    name, body, words = wait

    with pytest.raises(urllib.error.HTTPError) as failed:
        ask(name, body)

    with failed.value:
        assert failed.value.code == 409
        assert f"waited 0 s for {words}" in json.loads(failed.value.read())["error"]


def test_requests_are_counted_and_near_misses_named(ask: Client) -> None:
    ask.prompt("you")
    wanted = {"method": "POST", "path": "/prompt", "status": 200, "json": {"client_id": "me"}}

    missed = ask("verify", {"request": wanted, "count": 1})
    found = ask("verify", {"request": {**wanted, "json": {"client_id": "you"}}, "at_least": 1})

    assert (missed["ok"], missed["count"]) == (False, 0)
    assert missed["message"] == "0 requests of that kind came, expected 1"
    assert missed["near"] == ["POST /prompt -> 200: its body is 'you' at client_id, not 'me'"]
    assert found == {"ok": True, "message": None, "count": 1, "near": []}


ASSERTIONS: dict[str, tuple[Any, bool]] = {
    "one_terminal_event": ({}, True),
    "interrupted": ({}, False),
    "no_foreign_prompt_used": ({}, True),
    "socket_before_post": ({}, True),
    "all_closed": ({"timeout_s": 5}, True),
    "prompt": ({"expected": PROMPT}, True),
}


@pytest.mark.parametrize("name", ASSERTIONS)
def test_the_assertions_of_the_fixture_are_there(ask: Client, name: str) -> None:
    more, holds = ASSERTIONS[name]
    with connect(f"{ask.url.replace('http', 'ws')}/ws?clientId=me"):
        ask("waitForSocket", {})
        ask.prompt()

    verdict = ask("assert", {"name": name, **more})

    assert verdict["ok"] == holds, verdict
    assert (verdict["message"] is None) == holds


def test_sockets_are_dropped_by_client_id(ask: Client) -> None:
    ws = ask.url.replace("http", "ws")
    with connect(f"{ws}/ws?clientId=a") as a, connect(f"{ws}/ws?clientId=b"):
        ask("waitForSocket", {"count": 2})
        dropped = ask("dropSockets", {"client_id": "a", "code": 4000})["dropped"]
        with pytest.raises(ConnectionClosed):
            a.recv(10), a.recv(10)
        still = [one["client_id"] for one in ask("sockets", query="?open=true")["sockets"]]

    assert len(dropped) == 1
    assert a.close_code == 4000
    assert still == ["b"]


def test_a_server_that_was_made_goes_away_and_comes_back(ask: Client) -> None:
    made = ask("makeServer", {})
    child = Client(made["url"], made["control_url"])
    child.prompt()

    child("stop", {})
    with pytest.raises(urllib.error.URLError):
        child.prompt()
    child("start")
    after = child.send("GET", f"{made['url']}/history")
    child("restart")

    assert after == {}
    assert child.send("GET", f"{made['url']}/queue") == {"queue_running": [], "queue_pending": []}


def test_a_connection_that_waits_for_nothing_is_cut_by_a_stop(ask: Client) -> None:
    made = ask("makeServer", {})
    child = Client(made["url"], made["control_url"])
    with closing(HTTPConnection(made["url"].removeprefix("http://"), timeout=10)) as kept:
        kept.request("GET", "/queue")
        kept.getresponse().read()
        child("stop", {})

        with pytest.raises((RemoteDisconnected, ConnectionError)):
            kept.request("GET", "/queue")
            kept.getresponse()


def test_a_server_comes_back_by_itself_when_told_so(ask: Client) -> None:
    made = ask("makeServer", {})
    child = Client(made["url"], made["control_url"])

    child("stop", {"seconds": 0})
    # It is back a turn of the loop later, and each of these takes at least one.
    child("time")
    child("time")

    assert child.prompt()


def test_what_the_cassette_holds_and_was_not_requested_is_told(ask: Client) -> None:
    ask("putCassette", {"file": "all-cached"})

    assert "POST /prompt (recorded 3 times)" in ask("unused")["unused"]


TIME: dict[str, Callable[[Client], Any]] = {
    "pause": lambda ask: ask("pause")["speed"] == 0,
    "resume": lambda ask: ask("resume")["speed"] == "max",
    "stepTime": lambda ask: ask("stepTime")["stepped"] is False,
    "advance": lambda ask: ask("advance", {"seconds": 2})["now_us"] >= 2_000_000,
    "setSpeed": lambda ask: ask("setSpeed", {"speed": 5})["speed"] == 5,
    "time": lambda ask: ask("time")["next_us"] is None,
    "reset": lambda ask: ask("reset", {"what": ["history"]}) == {"reset": ["history"]},
    "openapi": lambda ask: ask("openapi")["openapi"] == "3.1.0",
}


@pytest.mark.parametrize("name", TIME)
def test_time_and_state_are_controlled(ask: Client, name: str) -> None:
    assert TIME[name](ask)


# --- the description -------------------------------------------------------------------------


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from [value["$ref"]] if "$ref" in value else []
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


def test_the_description_is_whole() -> None:
    document = msgspec.to_builtins(openapi())
    schemas = document["components"]["schemas"]

    described = [one["operationId"] for path in document["paths"].values() for one in path.values()]

    assert sorted(described) == sorted(BY_NAME)
    assert {ref.rpartition("/")[2] for ref in references(document)} <= set(schemas)
    assert all("title" in schema for schema in schemas.values())


@pytest.mark.parametrize("name", BY_NAME)
def test_the_example_of_a_body_fits_its_description(name: str) -> None:
    operation = BY_NAME[name]

    assert msgspec.convert(dict(operation.example), operation.body) is not None
    assert bool(operation.example) == bool(operation.body.__struct_fields__)


def test_the_page_of_the_control_plane_is_up_to_date() -> None:
    page = (ROOT / "docs" / "control.md").read_text(encoding="utf-8")
    make_pages = runpy.run_path(str(ROOT / "docs" / "make_pages.py"))

    assert make_pages["_control"](page) == page


def test_every_operation_is_exercised_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")

    assert [name for name in BY_NAME if f'"{name}"' not in source] == []
