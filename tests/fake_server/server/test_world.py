"""The simulated server as one source: guard, sockets, uploads, users, console, eras."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from comfyrec.versions import ERAS, era_of
from fake_server.http.routes import routes_of
from fake_server.options import ServerOptions
from fake_server.scenario_source import chosen, over, scenario_source, transport_of
from fake_server.scenarios import choose
from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.node_plan import NodePlans, always
from fake_server.source import (
    Accept,
    Action,
    MessageReceived,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    UpgradeRequested,
    Wake,
    Woke,
)
from fake_server.storage.memory import StoredFile
from fake_server.storage.pictures import picture

GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}


def ask(
    world: Any, method: str, target: str, body: Any = b"", now: int = 0, **fields: str
) -> Response:
    """One request without a shell."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = (("Host", "127.0.0.1:8188"), *((k.replace("_", "-"), v) for k, v in fields.items()))
    actions = list(world.handle(RequestReceived(1, Request(method, target, headers, data)), now))
    return next(action.answer for action in actions if isinstance(action, Respond))


def said(answer: Response) -> Any:
    return json.loads(answer.body)


def knock(
    world: SimulatedServer, target: str = "/ws?clientId=me", socket: int = 7, **fields: str
) -> list[Action]:
    headers = tuple((name.replace("_", "-"), value) for name, value in fields.items())
    return list(world.handle(UpgradeRequested(socket, Request("GET", target, headers)), 0))


def run_out(world: SimulatedServer, actions: list[Action]) -> list[Action]:
    """Wake the world until it has nothing more to do."""
    done, open_ = list(actions), list(actions)
    while wakes := [action.at for action in open_ if isinstance(action, Wake)]:
        open_ = list(world.handle(Woke(), max(wakes)))
        done += open_
    return done


def types(actions: list[Action]) -> list[str]:
    return [json.loads(a.message)["type"] for a in actions if isinstance(a, Send)]


# --- sockets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/ws?clientId=me", "/api/ws?clientId=me"])
def test_a_socket_is_let_in_and_greeted(target: str) -> None:
    actions = knock(SimulatedServer(), target)

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
    actions = knock(SimulatedServer(), target, **fields)

    assert [type(action) for action in actions] == [Respond]
    assert actions[0].answer.status == status


def test_the_answer_of_a_prompt_is_in_front_of_its_frames() -> None:
    world = SimulatedServer()
    knock(world)

    body = json.dumps({"prompt": GRAPH, "client_id": "me"}).encode()
    actions = list(world.handle(RequestReceived(2, Request("POST", "/prompt", (), body)), 0))

    assert isinstance(actions[0], Respond)
    assert types(actions)[:3] == ["status", "status", "execution_start"]


def test_flags_are_answered_on_the_socket_as_over_http() -> None:
    world = SimulatedServer()
    knock(world)

    hello = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
    sent = [a for a in world.handle(MessageReceived(7, hello), 0) if isinstance(a, Send)]

    assert json.loads(sent[0].message)["data"] == said(ask(world, "GET", "/features"))


# --- what stands around the routes -------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://[::1]:8188", "[::1]:8188", 200),
        ("http://[::1]:9", "[::1]:8188", 403),
        ("http://evil.example", "[::1]:8188", 403),
        ("http://app.localhost:1", "app.localhost:1", 200),
        ("http://evil.example", "app.localhost:1", 200),
        ("http://evil.example", "localhost:1", 403),
        ("http://evil.example", "127.1:8188", 403),
        ("http://evil.example", "0x7f000001", 403),
        ("http://evil.example", "2130706433", 403),
        ("http://evil.example", "0177.0.0.1", 403),
        ("http://evil.example", "128.1", 200),
        ("http://127.0.0.1:99999", "example.com", 500),
        ("http://evil.example", "192.168.0.1:8188", 200),
        ("http://evil.example", "", 200),
        ("nonsense", "127.0.0.1", 200),
        ("http://127.0.0.1:99999", "127.0.0.1:8188", 500),
        ("http://[", "127.0.0.1:8188", 500),
    ],
)
def test_the_guard_compares_host_and_origin(origin: str, host: str, status: int) -> None:
    headers = (("Host", host), ("Origin", origin))

    actions = list(
        SimulatedServer().handle(RequestReceived(1, Request("GET", "/prompt", headers)), 0)
    )

    assert actions[0].answer.status == status


def test_cors_is_on_every_answer_of_a_handler_and_not_on_what_aiohttp_refuses() -> None:
    world = SimulatedServer(ServerOptions(cors_origin="*"))

    allowed = [
        dict(ask(world, method, target).headers).get("Access-Control-Allow-Origin")
        for method, target in (
            ("GET", "/prompt"), ("GET", "/nope"), ("OPTIONS", "/x"), ("GET", "/view"),
            ("POST", "/queue"), ("PUT", "/prompt"), ("GET", "//x"),
        )
    ]  # fmt: skip

    assert allowed == ["*", "*", "*", "*", None, None, None]


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("/x.js", "no-store"), ("/x.css", "no-store"), ("/index.html", None),
        ("/a/index.json", "no-store"), ("/x.png", "public, max-age=86400"), ("/prompt", None),
        ("/userdata/b.png", "public, max-age=3600"),
        ("/userdata/a.png", "public, max-age=86400"), ("/view?filename=x.png", None),
    ],
)  # fmt: skip
def test_caching_follows_from_the_path(target: str, value: str | None) -> None:
    world = SimulatedServer()
    ask(world, "POST", "/userdata/a.png", b"x")

    assert dict(ask(world, "GET", target).headers).get("Cache-Control") == value


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_a_body_over_the_limit_is_refused_where_a_handler_would_read_it(method: str) -> None:
    world = SimulatedServer(ServerOptions(max_upload_size=10))
    target = {"POST": "/prompt", "PATCH": "/internal/logs/subscribe", "PUT": "/nope"}[method]

    got = ask(world, method, target, b"x" * 11)

    assert (got.status, got.body) == {
        "POST": (413, b"Maximum request body size 10 exceeded."),
        "PATCH": (413, b"Maximum request body size 10 exceeded."),
        "PUT": (405, b"405: Method Not Allowed"),
    }[method]


@given(st.binary(max_size=40), st.sampled_from(["GET", "POST", "PATCH", "DELETE"]))
def test_any_bytes_as_a_body_get_an_answer(body: bytes, method: str) -> None:
    world = SimulatedServer()

    for target in ("/prompt", "/upload/image", "/upload/mask", "/users", "/settings", "/settings/a",
                   "/userdata/a", "/internal/logs/subscribe", "/queue", "/free", "/history",
                   "/interrupt", "/api/jobs/cancel"):  # fmt: skip
        for kind in ("application/json; charset=x", "multipart/form-data; boundary=b", "text/x"):
            assert 200 <= ask(world, method, target, body, Content_Type=kind).status <= 500


@given(st.text(max_size=30))
def test_any_text_as_a_target_gets_an_answer(text: str) -> None:
    world = SimulatedServer()
    target = "/" + text.replace(" ", "+")

    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        assert 200 <= ask(world, method, target).status <= 500


# --- uploads -----------------------------------------------------------------------------------


def form(*fields: tuple[str, bytes, str | None]) -> dict[str, Any]:
    parts = []
    for name, value, filename in fields:
        named = f'; filename="{filename}"' if filename is not None else ""
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        parts.append(head.encode() + value + b"\r\n")
    return {
        "body": b"".join(parts) + b"--b--\r\n",
        "Content_Type": "multipart/form-data; boundary=b",
    }


def png(size: tuple[int, int] = (4, 4), alpha: int = 255) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", size, (9, 9, 9, alpha)).save(buffer, "PNG")
    return buffer.getvalue()


def upload_mask(world: SimulatedServer, ref: Any, mask: bytes | None = None) -> Response:
    data = ref if isinstance(ref, bytes) else json.dumps(ref).encode()
    fields = (("image", mask or png(alpha=40), "m.png"), ("original_ref", data, None))
    return ask(world, "POST", "/upload/mask", **form(*fields))


def test_a_mask_lays_its_alpha_over_the_original() -> None:
    world = SimulatedServer()
    original = picture(width=4, height=4, seed=1, text={"prompt": "kept"})
    ask(world, "POST", "/upload/image", **form(("image", original, "o.png")))

    got = upload_mask(world, {"filename": "o.png", "type": "input"})
    seen = ask(world, "GET", "/view?filename=m.png&type=input")

    masked = Image.open(io.BytesIO(seen.body))
    assert said(got) == {"name": "m.png", "subfolder": "", "type": "input"}
    assert masked.getchannel("A").getextrema() == (40, 40)
    assert masked.text == {"prompt": "kept"}


@pytest.mark.parametrize(
    ("ref", "status"),
    [
        ({"filename": "absent.png"}, 200),
        ({"filename": "o.png [input]"}, 200),
        ({"filename": "../o.png", "type": "input"}, 200),
        ({"filename": "/o.png"}, 200),
        ({"filename": ""}, 200),
        ({"filename": "o.png", "type": "nowhere"}, 200),
        ({"filename": "o.png", "type": "input", "subfolder": "../.."}, 200),
        ({"type": "input"}, 500),
        ({"filename": 3}, 500),
        ([], 500),
        (b"{", 500),
    ],
)
def test_a_mask_without_its_original_is_not_written(ref: Any, status: int) -> None:
    world = SimulatedServer()
    ask(world, "POST", "/upload/image", **form(("image", png(), "o.png")))

    got = upload_mask(world, ref)
    written = ask(world, "GET", "/view?filename=m.png&type=input").status == 200

    assert got.status == status
    assert written is (ref == {"filename": "o.png [input]"})


def test_a_mask_of_another_size_or_without_a_reference_breaks_the_handler() -> None:
    world = SimulatedServer()
    ask(world, "POST", "/upload/image", **form(("image", png(), "o.png")))

    other_size = upload_mask(world, {"filename": "o.png", "type": "input"}, png((9, 9)))
    no_ref = ask(world, "POST", "/upload/mask", **form(("image", png(), "m.png")))

    assert (other_size.status, no_ref.status) == (500, 500)


# --- users -------------------------------------------------------------------------------------


def test_users_are_told_apart_by_a_header() -> None:
    world = SimulatedServer(ServerOptions(multi_user=True))
    ann = said(ask(world, "POST", "/users", {"username": " Ann B. "}))
    bob = said(ask(world, "POST", "/users", {"username": "bob"}))
    ask(world, "POST", "/settings/a", 1, comfy_user=ann)

    assert ann.startswith("Ann-B-_")
    assert said(ask(world, "GET", "/users")) == {
        "storage": "server", "users": {ann: "Ann B.", bob: "bob"},
    }  # fmt: skip
    assert said(ask(world, "GET", "/settings", comfy_user=ann)) == {"a": 1}
    assert said(ask(world, "GET", "/settings", comfy_user=bob)) == {}
    assert ask(world, "GET", "/settings", comfy_user="nobody").status == 401
    assert ask(world, "GET", "/settings").status == 401
    assert ask(world, "GET", "/userdata?dir=x", comfy_user="nobody").status == 500
    assert ask(world, "GET", "/v2/userdata", comfy_user="nobody").status == 403


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"username": "default"}, 400, "Duplicate username."),
        ({"username": "  "}, 400, "username not provided"),
        ({"username": "__x"}, 400, "System User prefix not allowed"),
        ({"username": 3}, 500, None),
        ({}, 500, None),
        ([], 500, None),
    ],
)
def test_a_user_that_cannot_be_is_refused(body: Any, status: int, error: str | None) -> None:
    got = ask(SimulatedServer(), "POST", "/users", body)

    assert got.status == status
    assert error is None or said(got) == {"error": error}


# --- the console -------------------------------------------------------------------------------


def test_the_console_is_read_along_by_those_who_subscribed() -> None:
    world = SimulatedServer(
        plan_for=always(NodePlans({"1": {"raise": {"type": "ValueError", "message": "no"}}}))
    )
    knock(world)
    ask(world, "PATCH", "/internal/logs/subscribe", {"clientId": "me", "enabled": True})

    body = json.dumps({"prompt": GRAPH, "client_id": "me"}).encode()
    actions = run_out(
        world, list(world.handle(RequestReceived(2, Request("POST", "/prompt", (), body)), 0))
    )

    logs = [
        json.loads(a.message)["data"]
        for a in actions
        if isinstance(a, Send) and '"logs"' in a.message
    ]
    lines = [entry["m"] for data in logs for entry in data["entries"]]
    assert [bool(data["size"]) for data in logs] == [True, False, False, False]
    assert "got prompt" in lines[0]
    assert "!!! Exception during processing !!! no" in lines[1]
    assert "Traceback" in lines[2]
    assert "Prompt executed in" in lines[3]
    assert types(actions)[-1] == "logs"
    assert types(actions).index("logs", 1) < types(actions).index("execution_error")
    assert "got prompt" in said(ask(world, "GET", "/internal/logs"))
    assert len(said(ask(world, "GET", "/internal/logs/raw"))["entries"]) >= 4


def test_a_subscription_ends_when_it_is_taken_back_or_its_socket_is_gone() -> None:
    world = SimulatedServer()
    knock(world)
    for enabled in (True, False):
        ask(world, "PATCH", "/internal/logs/subscribe", {"clientId": "me", "enabled": enabled})
    ask(world, "PATCH", "/internal/logs/subscribe", {"clientId": "gone", "enabled": True})
    ask(world, "POST", "/prompt", b"")

    assert world.context.subscribers == {}


@pytest.mark.parametrize(
    "body", [{"clientId": "a"}, {"enabled": True}, [], "x", {"clientId": [], "enabled": 1}]
)
def test_a_subscription_without_its_fields_breaks_the_handler(body: Any) -> None:
    assert ask(SimulatedServer(), "PATCH", "/internal/logs/subscribe", body).status == 500


# --- eras, frontends, models -------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
def test_every_era_has_its_routes_and_answers_them(version: str) -> None:
    world = SimulatedServer(ServerOptions(era=era_of(version)))

    for target in ("/prompt", "/queue", "/history", "/object_info/KSampler", "/system_stats",
                   "/users", "/settings", "/extensions", "/embeddings"):  # fmt: skip
        assert ask(world, "GET", target).status == 200
    assert (ask(world, "GET", "/features").status == 200) is era_of(version).has("progress_state")
    assert (ask(world, "GET", "/api/jobs").status == 200) is era_of(version).has("jobs")


def test_the_routes_of_an_era_are_made_once() -> None:
    assert routes_of(era_of()) is routes_of(era_of())


def test_a_frontend_is_served_where_one_is_given() -> None:
    pages = {
        "index.html": b"<html>page",
        "assets/a.js": b"code",
        "extensions/core/groupNode.js": b"",
    }
    static = {name: StoredFile(data, 0) for name, data in pages.items()}.get
    world = SimulatedServer(
        ServerOptions(frontend=static, extension_scripts=("/extensions/core/groupNode.js",))
    )

    root, script = ask(world, "GET", "/"), ask(world, "GET", "/assets/a.js")

    assert root.body == b"<html>page"
    assert dict(root.headers)["Cache-Control"] == "no-store, must-revalidate"
    assert script.body == b"code"
    assert dict(script.headers)["Content-Type"] == "application/javascript"
    assert dict(script.headers)["Cache-Control"] == "no-store"
    assert said(ask(world, "GET", "/extensions")) == ["/extensions/core/groupNode.js"]


def test_a_picture_beside_a_model_is_its_preview() -> None:
    world = SimulatedServer()
    world.context.folders.write("models/loras", "", "style.png", png(), 0)
    path = "/experiment/models/preview/loras"

    found = ask(world, "GET", f"{path}/0/style.safetensors")

    assert (found.status, found.body[:4]) == (200, b"RIFF")
    assert [
        ask(world, "GET", f"{path}/{rest}").status
        for rest in ("0/none.safetensors", "9/style.safetensors", "x/style.safetensors", "0/",
                     "0/../../x")
    ] == [404, 404, 400, 400, 403]  # fmt: skip


# --- scenarios ---------------------------------------------------------------------------------


def test_scenarios_add_up_and_their_shells_too() -> None:
    choices = [choose("lifelike"), choose("profile:0.3.10"), choose("base-path:prefix=/comfy/")]

    source = scenario_source(choices)

    assert source.facts()["comfyui_version"] == "0.3.10"
    assert transport_of(choices).prefix == "/comfy/"
    assert transport_of([choose("tls-self-signed")]).tls
    assert ask(source, "GET", "/comfy/features").status == 404


def test_a_plan_follows_each_prompt() -> None:
    source = scenario_source([chosen("execution-error", {})])

    accepted = said(ask(source, "POST", "/prompt", {"prompt": GRAPH, "client_id": "me"}))
    history = said(ask(source, "GET", f"/history/{accepted['prompt_id']}", now=10_000_000))

    assert history[accepted["prompt_id"]]["status"]["status_str"] == "error"


def test_a_scenario_about_nodes_cannot_be_put_over_a_recording() -> None:
    from comfyrec.errors import ScenarioError

    with pytest.raises(ScenarioError, match="about what nodes do"):
        over([choose("lifelike")], SimulatedServer)
    assert over([choose("ws-silent")], SimulatedServer).facts()["operators"]
