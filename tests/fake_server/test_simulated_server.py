"""The simulated server as one source: sockets, the order of answers and frames, versions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.versions import ERAS, era_of
from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from fake_server.source import (
    Accept,
    MessageReceived,
    Request,
    RequestReceived,
    Respond,
    Send,
    Wake,
    Woke,
)
from tests.support.source_client import GRAPH, ask, json_of, types, upgrade


@pytest.mark.parametrize("target", ["/ws?clientId=me", "/api/ws?clientId=me"])
def test_a_socket_is_let_in_and_greeted(target: str) -> None:
    actions = upgrade(SimulatedServer(), target)

    assert actions[0] == Accept(7)
    assert types(actions) == ["status"]
    assert '"sid": "me"' in actions[1].message


@pytest.mark.parametrize(
    ("target", "fields", "status"),
    [
        ("/ws", {"Host": "127.0.0.1:8188", "Origin": "http://evil.example"}, 403),
        ("/ws", {"Host": "127.0.0.1:8188", "Sec_Fetch_Site": "cross-site"}, 403),
        ("/ws", {"Host": "127.0.0.1:x", "Origin": "http://127.0.0.1"}, 500),
        ("/prompt", {"Host": "x"}, 200),
        ("/nope", {"Host": "x"}, 404),
    ],
)
def test_an_upgrade_elsewhere_or_from_afar_is_a_plain_request(
    target: str, fields: dict[str, str], status: int
) -> None:
    actions = upgrade(SimulatedServer(), target, **fields)

    assert [type(action) for action in actions] == [Respond]
    assert actions[0].answer.status == status


def test_the_answer_of_a_prompt_is_in_front_of_its_frames() -> None:
    server = SimulatedServer()
    upgrade(server)

    body = json.dumps({"prompt": GRAPH, "client_id": "me"}).encode()
    actions = list(server.handle(RequestReceived(2, Request("POST", "/prompt", (), body)), 0))

    assert isinstance(actions[0], Respond)
    assert types(actions)[:3] == ["status", "status", "execution_start"]


def test_flags_are_answered_on_the_socket_as_over_http() -> None:
    server = SimulatedServer()
    upgrade(server)

    hello = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
    sent = [a for a in server.handle(MessageReceived(7, hello), 0) if isinstance(a, Send)]

    assert json.loads(sent[0].message)["data"] == json_of(ask(server, "GET", "/features"))


@given(st.binary(max_size=40), st.sampled_from(["GET", "POST", "PATCH", "DELETE"]))
def test_any_bytes_as_a_body_get_an_answer(body: bytes, method: str) -> None:
    server = SimulatedServer()

    for target in ("/prompt", "/upload/image", "/upload/mask", "/users", "/settings", "/settings/a",
                   "/userdata/a", "/internal/logs/subscribe", "/queue", "/free", "/history",
                   "/interrupt", "/api/jobs/cancel"):  # fmt: skip
        for kind in ("application/json; charset=x", "multipart/form-data; boundary=b", "text/x"):
            assert 200 <= ask(server, method, target, body, Content_Type=kind).status <= 500


@pytest.mark.slow
@given(st.text(max_size=30))
def test_any_text_as_a_target_gets_an_answer(text: str) -> None:
    server = SimulatedServer()
    target = "/" + text.replace(" ", "+")

    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        assert 200 <= ask(server, method, target).status <= 500


@pytest.mark.parametrize("version", ERAS)
def test_every_era_has_its_routes_and_answers_them(version: str) -> None:
    server = SimulatedServer(ServerOptions(era=era_of(version)))

    for target in ("/prompt", "/queue", "/history", "/object_info/KSampler", "/system_stats",
                   "/users", "/settings", "/extensions", "/embeddings"):  # fmt: skip
        assert ask(server, "GET", target).status == 200
    assert (ask(server, "GET", "/features").status == 200) is era_of(version).has("progress_state")
    assert (ask(server, "GET", "/api/jobs").status == 200) is era_of(version).has("jobs")


def test_a_reset_of_the_files_leaves_the_history() -> None:
    server = SimulatedServer()
    ask(server, "POST", "/prompt", {"prompt": GRAPH})
    ask(server, "POST", "/userdata/a.txt", b"x")

    server.reset(["files"])

    assert ask(server, "GET", "/userdata/a.txt").status == 404
    assert len(json_of(ask(server, "GET", "/history"))) == 1


def test_step_by_frame_gives_one_frame_of_the_worker_at_a_time() -> None:
    server = SimulatedServer()
    upgrade(server)
    server.step_by_frame(True)
    body = json.dumps({"prompt": GRAPH, "client_id": "me"}).encode()

    first = list(server.handle(RequestReceived(2, Request("POST", "/prompt", (), body)), 0))
    second = list(server.handle(Woke(), 0))

    assert types(first) == ["status", "status"]
    assert types(second) == ["execution_start"]
    assert isinstance(second[-1], Wake)
