"""The wire facts W1 to W21 that the scenarios rest on, each on the fake, by its number."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from comfyrec.versions import DEFAULT_VERSION, era_of
from fake_server.options import ServerOptions
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from fake_server.server.clock import MAX
from fake_server.server.thread import Handle, serve
from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.node_plan import NodePlans, always

SOON_S = 10.0
GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 7},
    },
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "w"}},
}
Event = dict[str, Any]


class Server:
    """A fake server with the few calls that these tests need."""

    def __init__(self, handle: Handle) -> None:
        self.handle, self.url = handle, handle.url

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, Any]:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=SOON_S) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read(), refused.headers

    def get(self, path: str) -> Any:
        return json.loads(self.ask("GET", path)[1])

    def post(self, graph: Any = GRAPH, **more: Any) -> Any:
        status, body, _ = self.ask("POST", "/prompt", {"prompt": graph, **more})
        assert status == 200, body
        return json.loads(body)["prompt_id"]

    def socket(self, client_id: str | None = "me", **options: Any) -> ClientConnection:
        query = "" if client_id is None else f"?clientId={client_id}"
        return connect(f"{self.handle.ws_url}/ws{query}", max_size=None, **options)

    def advance(self, seconds: float) -> None:
        self.handle.call(self.handle.server.clock.advance, round(seconds * 1_000_000))


@contextmanager
def serving(source: Any = None, *, speed: float = MAX) -> Iterator[Server]:
    with serve(source or SimulatedServer(), speed=speed) as handle:
        yield Server(handle)


def slow(*, version: str = DEFAULT_VERSION, **does: Any) -> SimulatedServer:
    options = ServerOptions(era=era_of(version))
    return SimulatedServer(options, plan_for=always(NodePlans({"1": does})))


def event(socket: ClientConnection) -> Event:
    """The next text frame."""
    while isinstance(message := socket.recv(timeout=SOON_S), bytes):
        pass
    return json.loads(message)  # type: ignore[no-any-return]  # an object


def up_to_the_end(socket: ClientConnection) -> list[Event]:
    """All events up to the null executing."""
    found = [event(socket)]
    while not is_null(found[-1]):
        found.append(event(socket))
    return found


def until(socket: ClientConnection, kind: str) -> Event:
    while (found := event(socket))["type"] != kind:
        pass
    return found


def is_null(found: Event) -> bool:
    return found["type"] == "executing" and found["data"]["node"] is None


def is_silent(server: Server, socket: ClientConnection) -> bool:
    """Nothing is on its way: what the server has sent by now has arrived, and it is nothing."""
    socket.ping().wait(SOON_S)
    with pytest.raises(TimeoutError):
        socket.recv(timeout=0)
    return True


def kinds(events: list[Event]) -> list[str]:
    return [found["type"] for found in events]


# W1
def test_a_normal_run_says_status_twice_start_cached_nodes_success_status_null() -> None:
    with serving() as server, server.socket() as socket:
        first = event(socket)
        server.post(client_id="me")

        events = up_to_the_end(socket)

    assert first["data"]["sid"] == "me"
    assert [e["data"]["status"]["exec_info"]["queue_remaining"] for e in events[:2]] == [1, 1]
    node = ["progress_state", "executing"]
    assert kinds(events)[2:] == [
        "execution_start", "execution_cached", *node, "progress_state", *node, "executed",
        "progress_state", "execution_success", "status", "executing",
    ]  # fmt: skip
    assert events[3]["data"]["nodes"] == []


# W2
def test_all_cached_says_executed_for_outputs_and_no_executing_with_a_node() -> None:
    with serving() as server, server.socket() as socket:
        event(socket)
        server.post(client_id="me")
        up_to_the_end(socket)
        server.post(client_id="me")

        events = up_to_the_end(socket)

    assert kinds(events)[2:] == [
        "execution_start", "execution_cached", "executed", "progress_state", "execution_success",
        "status", "executing",
    ]  # fmt: skip
    assert events[3]["data"]["nodes"] == ["1", "9"]


# W3
def test_success_may_be_seen_before_the_history_entry_and_the_null_may_not() -> None:
    with (
        serving(scenario_source([choose("success-before-history")])) as server,
        server.socket() as socket,
    ):
        prompt_id = server.post(client_id="me")
        until(socket, "execution_success")
        early = server.get(f"/history/{prompt_id}")
        up_to_the_end(socket)

        late = server.get(f"/history/{prompt_id}")

    assert early == {}
    assert prompt_id in late


# W4
def test_a_socket_behind_a_fast_prompt_gets_one_status_and_silence() -> None:
    with serving() as server:
        server.post(client_id="me")
        with server.socket() as socket:
            first = event(socket)
            silent = is_silent(server, socket)

    assert first["data"] == {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "me"}
    assert silent


# W5
def test_a_reconnect_is_greeted_with_executing_without_prompt_id() -> None:
    with serving(slow(seconds=1), speed=0) as server:
        with server.socket() as first:
            server.post(client_id="me")
            until(first, "executing")
        with server.socket() as second:
            greeting = [event(second), event(second)]
            server.advance(1)
            rest = up_to_the_end(second)

    assert kinds(greeting) == ["status", "executing"]
    assert greeting[1]["data"] == {"node": "1"}
    assert rest[-3]["type"] == "execution_success"


# W6
def test_closing_the_old_of_two_sockets_with_one_id_silences_the_new_one() -> None:
    with serving() as server, server.socket() as old:
        event(old)
        with server.socket() as new:
            event(new)
            old.close()
            prompt_id = server.post(client_id="me")
            server.ask("GET", "/queue")
            silent = is_silent(server, new)

        history = server.get(f"/history/{prompt_id}")

    assert silent
    assert prompt_id in history


# W7
def test_of_two_sockets_with_one_id_the_last_takes_all() -> None:
    with serving() as server, server.socket() as first, server.socket() as last:
        event(first)
        event(last)
        server.post(client_id="me")

        events = up_to_the_end(last)

        assert "execution_success" in kinds(events)
        assert is_silent(server, first)


# W8
@pytest.mark.parametrize("version, outputs", [("0.27.0", []), ("0.33.0", ["9"])])
def test_without_client_id_only_progress_reaches_everybody(
    version: str, outputs: list[str]
) -> None:
    source = slow(version=version, seconds=0.5, steps=3)
    with serving(source) as server, server.socket() as socket:
        event(socket)
        server.post()
        seen = []
        while seen[-1:] != [("status", 0)]:
            found = event(socket)
            left = found["data"].get("status", {}).get("exec_info", {}).get("queue_remaining")
            seen.append((found["type"], left))
        again = server.post()

        history = server.get(f"/history/{again}")

    assert {kind for kind, _ in seen} == {"status", "progress", "progress_state"}
    assert list(history[again]["outputs"]) == outputs


# W9
def test_a_node_that_raises_gives_an_error_status_null_and_an_error_entry() -> None:
    failing = slow(**{"raise": {"type": "ValueError", "message": "no"}})
    with serving(failing) as server, server.socket() as socket:
        prompt_id = server.post(client_id="me")
        events = up_to_the_end(socket)

        entry = server.get(f"/history/{prompt_id}")[prompt_id]

    assert kinds(events)[-3:] == ["execution_error", "status", "executing"]
    data = events[-3]["data"]
    assert isinstance(data["current_outputs"], list)
    assert isinstance(data["current_inputs"], dict)
    assert data["exception_message"].endswith("\n")
    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["completed"] is False


# W10
def test_a_blocker_with_a_message_is_an_error_frame_and_then_a_success() -> None:
    with serving(slow(block="not today")) as server, server.socket() as socket:
        prompt_id = server.post(client_id="me")
        events = up_to_the_end(socket)

        entry = server.get(f"/history/{prompt_id}")[prompt_id]

    blocked = next(found["data"] for found in events if found["type"] == "execution_error")
    assert blocked["exception_type"] == "ExecutionBlocked"
    assert (blocked["traceback"], blocked["current_inputs"], blocked["current_outputs"]) == (
        [], [], [],
    )  # fmt: skip
    assert "timestamp" not in blocked
    assert kinds(events)[-3:] == ["execution_success", "status", "executing"]
    assert "execution_error" not in [kind for kind, _ in entry["status"]["messages"]]


# W11
def test_an_interrupt_is_noticed_at_the_next_check_and_stands_in_the_history() -> None:
    with serving(slow(seconds=60, steps=60), speed=0) as server, server.socket() as socket:
        prompt_id = server.post(client_id="me")
        until(socket, "executing")
        unknown = server.ask("POST", "/interrupt", {"prompt_id": "nobody"})[:2]
        known = server.ask("POST", "/interrupt", {"prompt_id": prompt_id})[:2]
        server.advance(1)
        events = up_to_the_end(socket)

        entry = server.get(f"/history/{prompt_id}")[prompt_id]

    assert unknown == known == (200, b"")
    assert kinds(events)[-3:] == ["execution_interrupted", "status", "executing"]
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
    assert entry["status"]["messages"][-1][0] == "execution_interrupted"


# W12
def test_a_deleted_pending_prompt_leaves_only_status() -> None:
    with serving(slow(seconds=60), speed=0) as server, server.socket() as socket:
        server.post(client_id="me")
        until(socket, "executing")
        other = {**GRAPH, "1": {**GRAPH["1"], "inputs": {**GRAPH["1"]["inputs"], "color": 8}}}
        pending = server.post(other, client_id="me")
        answer = server.ask("POST", "/queue", {"delete": [pending]})[:2]
        after = [event(socket) for _ in range(3)]

        silent = is_silent(server, socket)
        history = server.get(f"/history/{pending}")

    assert answer == (200, b"")
    assert kinds(after) == ["status"] * 3
    assert silent
    assert history == {}


# W13
def test_nan_and_infinity_are_bare_tokens_in_frames_and_history() -> None:
    ui = {"values": [float("nan"), float("inf"), float("-inf")], "odd": [None]}
    with (
        serving(SimulatedServer(plan_for=always(NodePlans({"9": {"ui": ui}})))) as server,
        server.socket() as socket,
    ):
        prompt_id = server.post(client_id="me")
        while b"executed" not in (frame := _raw(socket)):
            pass

        history = server.ask("GET", f"/history/{prompt_id}")[1]

    assert b"[NaN, Infinity, -Infinity]" in frame
    assert b"[NaN, Infinity, -Infinity]" in history
    assert b"[null]" in frame


def _raw(socket: ClientConnection) -> bytes:
    message = socket.recv(timeout=SOON_S)
    return message.encode() if isinstance(message, str) else message


# W14
def test_an_unserializable_output_ends_frames_and_server() -> None:
    source = scenario_source([choose("unserializable-kills-server")])
    with serving(source) as server, server.socket() as socket:
        server.post(client_id="me")
        seen = []
        with pytest.raises(ConnectionClosed):
            while True:
                seen.append(event(socket)["type"])

        with pytest.raises(urllib.error.URLError):
            server.ask("GET", "/history")

    assert "executed" not in seen


# W15
def test_what_a_stalled_peer_holds_up_comes_in_one_burst() -> None:
    source = scenario_source([choose("stalled-peer:release_after_s=5")])
    with serving(source, speed=0) as server, server.socket() as socket:
        event(socket)
        prompt_id = server.post(client_id="me")
        history = server.get(f"/history/{prompt_id}")
        silent = is_silent(server, socket)
        server.advance(5)

        events = up_to_the_end(socket)

    assert prompt_id in history
    assert silent
    assert "execution_success" in kinds(events)


# W16
@pytest.mark.parametrize("size, passes", {900_000: True, 1_100_000: False}.items())
def test_the_default_limit_of_websockets_is_a_mebibyte(size: int, passes: bool) -> None:
    source = scenario_source([choose(f"big-frame:bytes={size}")])
    with (
        serving(source) as server,
        connect(f"{server.handle.ws_url}/ws?clientId=me") as socket,
    ):
        server.post(client_id="me")
        closed = None
        try:
            up_to_the_end(socket)
        except ConnectionClosed as error:
            closed = error.sent and error.sent.code

    assert closed == (None if passes else 1009)


# W17
def test_progress_is_throttled_to_one_in_a_hundred_milliseconds() -> None:
    with serving(slow(seconds=0.3, steps=10)) as server, server.socket() as socket:
        server.post(client_id="me")

        events = up_to_the_end(socket)

    values = [found["data"]["value"] for found in events if found["type"] == "progress"]
    assert values[0] == 1
    assert values[-1] == 10
    assert len(values) in (4, 5)


REFUSALS = {
    "no_prompt": ({}, 400, "no_prompt"),
    "no outputs": ({"prompt": {"1": GRAPH["1"]}}, 400, "prompt_no_outputs"),
    "bad link": (
        {"prompt": {"9": {**GRAPH["9"], "inputs": {"filename_prefix": "w"}}}},
        400,
        "prompt_outputs_failed_validation",
    ),
    "missing class": (
        {"prompt": {"1": {"class_type": "Gone", "inputs": {}}}},
        400,
        "missing_node_type",
    ),
    "upper-case id": (
        {"prompt": GRAPH, "prompt_id": "AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA"},
        400,
        "invalid_prompt_id",
    ),
}


# W18
@pytest.mark.parametrize("body, status, kind", REFUSALS.values(), ids=REFUSALS)
def test_refusals_are_400_with_a_type(body: Any, status: int, kind: str) -> None:
    with serving() as server:
        answer = server.ask("POST", "/prompt", body)

    assert answer[0] == status
    assert json.loads(answer[1])["error"]["type"] == kind


BROKEN = {"no json": b"{", "prompt is a list": b'{"prompt": []}', "bad number": None}


# W18
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_broken_bodies_are_500_in_plain_text(body: bytes | None) -> None:
    body = body or json.dumps({"prompt": GRAPH, "number": "many"}).encode()
    with serving() as server:
        status, text, headers = server.ask("POST", "/prompt", body)

    assert status == 500
    assert headers.get_content_type() == "text/plain"
    assert b"Server got itself in trouble" in text


# W18
def test_numbers_may_be_floats_and_negative() -> None:
    with serving() as server:
        given = json.loads(server.ask("POST", "/prompt", {"prompt": GRAPH, "number": 12.5})[1])
        server.post()
        front = json.loads(server.ask("POST", "/prompt", {"prompt": GRAPH, "front": True})[1])

    assert given["number"] == 12.5
    assert front["number"] < 0


# W19
def test_gets_answer_as_the_real_ones_do() -> None:
    with serving() as server:
        unknown = server.ask("GET", "/history/nobody")
        not_a_number = server.ask("GET", "/history?max_items=abc")
        missing = server.ask("GET", "/view?filename=gone.png")
        outside = server.ask("GET", "/view?filename=../../secret")
        alias = server.ask("GET", "/api/queue")
        with connect(f"{server.handle.ws_url}/api/ws?clientId=me") as socket:
            greeting = event(socket)

    assert unknown[:2] == (200, b"{}")
    assert not_a_number[0] == 500
    assert not_a_number[2].get_content_type() == "text/plain"
    assert missing[:2] == (404, b"")
    assert outside[0] == 400
    assert alias[0] == 200
    assert greeting["data"]["sid"] == "me"


# W20
def test_another_origin_is_refused_and_no_origin_is_fine() -> None:
    with serving() as server:
        port = urlsplit(server.url).port
        foreign = server.ask("GET", "/queue", headers={"Origin": "http://elsewhere.example"})
        other_port = server.ask("GET", "/queue", headers={"Origin": f"http://127.0.0.1:{port + 1}"})
        cross_site = server.ask("GET", "/queue", headers={"Sec-Fetch-Site": "cross-site"})
        plain = server.ask("GET", "/queue")
        with pytest.raises(InvalidStatus) as refused:
            server.socket(origin="http://elsewhere.example")

    assert [answer[0] for answer in (foreign, other_port, cross_site, plain)] == [
        403,
        403,
        403,
        200,
    ]
    assert refused.value.response.status_code == 403


# W21
def test_deflate_is_negotiated() -> None:
    with serving() as server, server.socket() as socket:
        offered = socket.response.headers.get("Sec-WebSocket-Extensions", "")

    assert "permessage-deflate" in offered


# W21
def test_feature_flags_are_answered_only_as_the_first_message() -> None:
    flags = json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    with serving() as server, server.socket("a") as first, server.socket("b") as late:
        event(first)
        event(late)
        first.send(flags)
        answer = event(first)
        late.send('{"op": "subscribe_to_prompt"}')
        late.send(flags)

        assert answer["type"] == "feature_flags"
        assert is_silent(server, late)


# W21
def test_other_messages_are_ignored_and_lower_case_clientid_is_no_parameter() -> None:
    with serving() as server, connect(f"{server.handle.ws_url}/ws?clientid=me") as socket:
        sid = event(socket)["data"]["sid"]
        for message in ("not json", b"\x00\x01", "[1, 2]", '{"op": "x"}'):
            socket.send(message)

        assert is_silent(server, socket)

    assert sid != "me"
