"""HTTP: as recorded as of the current point, as it follows from the events, or strictly refused."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from comfyrec.cassette.records import HttpPart, Note, Side
from comfyrec.events import History, Jobs, PromptInfo, Queue, decode_http
from comfyrec.timeline import Timeline
from comfyrec.versions import era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.replay import SYNTHESIZED, Player
from fake_server.source import Response
from tests.support.replay_rig import Rig, graph_of
from tests.support.timeline_samples import GRAPH, PROMPT, Recording, run, session

JSON = "Content-Type: application/json; charset=utf-8\r\n"


def mark(answer: Response) -> str | None:
    return dict(answer.headers).get(SYNTHESIZED)


def rig_of(recording: Recording, **options: Any) -> Rig:
    return Rig(Timeline.build(recording.end()), **options)


def item(prompt_id: str = PROMPT) -> list[Any]:
    return [0, prompt_id, GRAPH, {"client_id": "recorded"}, ["2"]]


def modern() -> Recording:
    return session(comfyui_version="0.27.0")


def watched() -> Recording:
    """A run, with somebody who looks at the queue and the history before, while and behind."""
    recording = session()
    recording.request(2, "POST", "/prompt", {"prompt": GRAPH, "client_id": "recorded"})
    answer = {"prompt_id": PROMPT, "number": 0, "node_errors": {}}
    recording.answer(2, answer, headers=JSON)
    recording.status(1, 1)
    recording.status(1, 1)
    recording.says(1, "execution_start", prompt_id=PROMPT)
    recording.says(1, "execution_cached", nodes=[], prompt_id=PROMPT)
    recording.asked(3, "GET", "/queue", answer={"queue_running": [item()], "queue_pending": []})
    recording.asked(4, "GET", f"/history/{PROMPT}", answer={})
    recording.wait(1_000_000)
    recording.says(1, "execution_success", prompt_id=PROMPT)
    recording.status(1, 0)
    recording.says(1, "executing", node=None, prompt_id=PROMPT)
    entry = {"prompt": item(), "outputs": {}, "status": {"status_str": "success", "messages": []}}
    recording.asked(5, "GET", f"/history/{PROMPT}", answer={PROMPT: {**entry, "told": "recorded"}})
    recording.asked(6, "GET", "/queue", answer={"queue_running": [], "queue_pending": []})
    return recording


# --- as of the current point ---------------------------------------------------------------------


def test_answers_follow_the_state_not_the_order_of_the_recording() -> None:
    rig = rig_of(watched())
    socket = rig.connect("mine")
    rig.run()
    prompt_id = rig.submit(GRAPH, "mine")
    rig.run_to(socket, "execution_cached")
    first = rig.ask("GET", f"/history/{prompt_id}")
    again = [rig.get(f"/history/{prompt_id}") for _ in range(3)]
    running = rig.get("/queue")
    rig.run()
    last = rig.ask("GET", f"/history/{prompt_id}")

    assert (json.loads(first.body), mark(first), again) == ({}, None, [{}, {}, {}])
    assert [entry[1] for entry in running["queue_running"]] == [prompt_id]
    assert running["queue_running"][0][3] == {"client_id": "mine"}
    assert (json.loads(last.body)[prompt_id]["told"], mark(last)) == ("recorded", None)


def test_a_client_that_asks_only_at_the_end_does_not_get_an_old_answer() -> None:
    rig = rig_of(watched())
    rig.connect("mine")
    prompt_id = rig.submit(GRAPH, "mine")
    rig.run()

    assert list(rig.get(f"/history/{prompt_id}")) == [prompt_id]
    assert rig.get("/queue") == {"queue_running": [], "queue_pending": []}


def test_the_last_answer_repeats() -> None:
    recording = Recording()
    for n in range(3):
        recording.asked(n, "GET", "/system_stats", answer={"n": n})
    rig = rig_of(recording)

    assert [rig.get("/system_stats")["n"] for _ in range(6)] == [0, 1, 2, 2, 2, 2]


def test_what_was_answered_behind_the_current_point_is_not_answered_yet() -> None:
    recording = session()
    recording.asked(5, "GET", "/models/loras", answer=["before"])
    run(recording)
    recording.asked(6, "GET", "/models/loras", answer=["behind"])
    rig = rig_of(recording)
    rig.connect("mine")
    rig.run()
    before = [rig.get("/models/loras") for _ in range(2)]
    rig.submit(GRAPH, "mine")
    rig.run()

    assert before == [["before"], ["before"]]
    assert rig.get("/models/loras") == ["behind"]


def test_a_change_has_the_answers_behind_it_follow() -> None:
    recording = Recording()
    recording.asked(1, "GET", "/userdata/a", answer=b"old")
    recording.asked(2, "POST", "/userdata/a", b"new", answer=b'"a"')
    recording.asked(3, "GET", "/userdata/a", answer=b"new")
    rig = rig_of(recording)

    old = [rig.ask("GET", "/userdata/a").body for _ in range(3)]
    rig.ask("POST", "/userdata/a", b"new")

    assert old == [b"old"] * 3
    assert [rig.ask("GET", "/userdata/a").body for _ in range(2)] == [b"new"] * 2


def test_the_history_can_be_forgotten() -> None:
    rig = Rig("image-only")
    ids = []
    for n in range(3):
        ids.append(rig.submit(graph_of(rig.timeline, n)))
        rig.run()
    rig.ask("POST", "/history", {"delete": [ids[1]]})
    left = list(rig.get("/history"))
    rig.ask("POST", "/history", {"clear": True})

    assert (left, rig.get("/history")) == ([ids[0], ids[2]], {})


# --- heads and bodies ----------------------------------------------------------------------------


def test_a_recorded_answer_keeps_its_fields_but_those_of_the_connection() -> None:
    recording = Recording()
    recording.request(1, "GET", "/view?filename=a.png")
    recording.answer(
        1, b"\x89PNG", headers="Content-Type: image/png\r\nETag: x\r\nContent-Length: 4\r\n"
        "Date: then\r\nServer: it\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n",
    )  # fmt: skip

    answer = rig_of(recording).ask("GET", "/view?filename=a.png")

    assert (answer.headers, answer.body) == (
        (("Content-Type", "image/png"), ("ETag", "x")),
        b"\x89PNG",
    )


@pytest.mark.parametrize("takes, unpack", [("gzip, br", gzip.decompress), ("", bytes)])
def test_ids_are_renamed_inside_a_compressed_body(takes: str, unpack: Any) -> None:
    recording = run(session())
    body = gzip.compress(json.dumps({"prompt_id": PROMPT}).encode())
    recording.request(7, "GET", "/extension/jobs")
    recording.answer(7, body, headers=f"{JSON}Content-Encoding: gzip\r\n")
    rig = rig_of(recording)
    prompt_id = rig.submit(GRAPH, "mine")
    rig.run()

    answer = rig.ask("GET", "/extension/jobs", headers=[("Accept-Encoding", takes)])

    assert json.loads(unpack(answer.body)) == {"prompt_id": prompt_id}


def test_a_body_that_was_not_recorded_has_an_honest_substitute() -> None:
    recording = Recording()
    for conn, kind in enumerate(("image/jpeg", "application/json"), 1):
        recording.request(conn, "GET", f"/file{conn}")
        recording.answer(conn, headers=f"Content-Type: {kind}\r\n")
        recording.put(Note, conn=conn, what="body_omitted", count=70_000)
    rig = rig_of(recording)

    picture, text = rig.ask("GET", "/file1"), rig.ask("GET", "/file2")

    assert (picture.body[:3], text.body) == (b"\xff\xd8\xff", b"{}")
    assert mark(picture) == "body of 70000 bytes was not recorded"


def upload(boundary: str, name: str) -> tuple[list[tuple[str, str]], bytes]:
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        f"Content-Type: image/png\r\n\r\nPNG\r\n--{boundary}--\r\n"
    )
    return [("Content-Type", f"multipart/form-data; boundary={boundary}")], body.encode()


def test_an_upload_is_the_recorded_one_whatever_its_boundary() -> None:
    headers, body = upload("one", "a.png")
    recording = Recording()
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    recording.put(
        HttpPart, conn=1, side=0, exchange=0,
        head=f"POST /upload/image HTTP/1.1\r\n{head}\r\n".encode(), body=body,
    )  # fmt: skip
    recording.answer(1, {"name": "a (1).png", "subfolder": "", "type": "input"}, headers=JSON)
    rig = rig_of(recording)

    headers, body = upload("two", "a.png")
    answer = rig.ask("POST", "/upload/image", body, headers=headers)

    assert json.loads(answer.body)["name"] == "a (1).png"


def test_what_is_uploaded_though_nothing_was_can_be_viewed() -> None:
    rig = rig_of(Recording())
    headers, body = upload("x", "mine.png")

    told = rig.ask("POST", "/upload/image", body, headers=headers)
    viewed = rig.ask("GET", "/view?filename=mine.png&type=input")

    assert json.loads(told.body) == {"name": "mine.png", "subfolder": "", "type": "input"}
    assert (viewed.body, dict(viewed.headers)["Content-Type"]) == (b"PNG", "image/png")


# --- from the events -----------------------------------------------------------------------------


def test_nobody_asked_and_the_history_is_right_all_the_same() -> None:
    rig = rig_of(run(modern()))
    socket = rig.connect("mine")
    prompt_id = rig.submit(GRAPH, "mine", extra_data={"x": 1})
    rig.run_to(socket, "executed")
    running = rig.get("/queue"), rig.get(f"/history/{prompt_id}"), rig.get("/api/jobs")["jobs"]
    rig.run()
    answer = rig.ask("GET", f"/history/{prompt_id}")

    entry = json.loads(answer.body)[prompt_id]
    assert mark(answer) == "history"
    assert running[0]["queue_running"] == [
        [0, prompt_id, GRAPH, {"x": 1, "client_id": "mine"}, ["2"]]
    ]
    assert (running[1], [job["status"] for job in running[2]]) == ({}, ["in_progress"])
    assert entry["outputs"]["2"]["images"][0]["filename"] == "a_1.png"
    assert [kind for kind, _ in entry["status"]["messages"]] == [
        "execution_start",
        "execution_cached",
        "execution_success",
    ]
    assert entry["status"]["messages"][0][1]["prompt_id"] == prompt_id


def test_the_history_is_written_between_the_last_event_and_the_status() -> None:
    rig = rig_of(run(session()))
    socket = rig.connect("mine")
    prompt_id = rig.submit(GRAPH, "mine")
    rig.run_to(socket, "execution_success")
    before = rig.get(f"/history/{prompt_id}")
    rig.run_to(socket, "status", 4)

    assert (before, list(rig.get(f"/history/{prompt_id}"))) == ({}, [prompt_id])


PAGES = {
    "": [0, 1, 2],
    "?max_items=2": [1, 2],
    "?max_items=2&offset=0": [0, 1],
    "?max_items=2&offset=-1": [1, 2],
    "?offset=1": [1, 2],
    "?max_items=0": [],
    "?max_items=-1": [],
}


@pytest.mark.parametrize("query, expected", PAGES.items(), ids=[page or "all" for page in PAGES])
def test_pages_of_a_history_that_nobody_asked_for(query: str, expected: list[int]) -> None:
    rig = Rig("image-only")
    ids = []
    for n in range(3):
        ids.append(rig.submit(graph_of(rig.timeline, n)))
        rig.run()

    assert list(rig.get(f"/history{query}")) == [ids[n] for n in expected]


TYPED = {"/api/jobs": Jobs, "/queue": Queue, "/prompt": PromptInfo, "/history": History}


@pytest.mark.parametrize("name", ["image-only", "execution-error", "async-nodes", "two-clients"])
@pytest.mark.parametrize("path, kind", TYPED.items(), ids=TYPED)
def test_what_follows_from_the_events_has_the_servers_shape(
    name: str, path: str, kind: Any
) -> None:
    rig = Rig(name)
    rig.connect("mine")
    rig.submit(graph_of(rig.timeline), "mine")
    rig.run()

    assert decode_http(kind, rig.ask("GET", path).body)


ROUTES = {
    "/": 200,
    "/system_stats": 200,
    "/api/system_stats": 200,
    "/features": 200,
    "/object_info": 200,
    "/object_info/Unknown": 200,
    "/users": 200,
    "/settings": 200,
    "/settings/x": 200,
    "/extensions": 200,
    "/embeddings": 200,
    "/api/jobs": 200,
    "/jobs": 404,
    "/api/jobs/00000000-0000-4000-8000-000000000000": 404,
    "/view?filename=none.png": 404,
    "/view": 404,
    "/nothing/like/this": 404,
}


@pytest.mark.parametrize("path, status", ROUTES.items(), ids=ROUTES)
def test_what_nobody_asked_is_answered_as_a_server_would_and_marked(path: str, status: int) -> None:
    answer = rig_of(run(modern())).ask("GET", path)

    assert (answer.status, mark(answer) is not None) == (status, True)


ODD_FLAGS = {
    "no data": b'{"type": "feature_flags"}',
    "no object": b'{"type": "feature_flags", "data": 3}',
    "too deep": b'{"type": "feature_flags", "data": {"a": %b}}' % (b"[" * 300 + b"]" * 300),
}


@pytest.mark.parametrize("frame", ODD_FLAGS.values(), ids=ODD_FLAGS)
def test_flags_that_cannot_be_read_are_those_of_the_version(frame: bytes) -> None:
    recording = modern()
    recording.frame(1, frame)

    assert rig_of(run(recording)).get("/features")["supports_preview_metadata"] is True


def test_the_classes_of_recorded_nodes_and_of_the_version_are_known() -> None:
    custom = {"9": {"class_type": "Custom", "inputs": {"strength": 1, "image": ["1", 0]}}}

    rig = rig_of(run(session(), graph={**GRAPH, **custom}))
    info = rig.get("/object_info")

    # Nobody asked the recorded server for its classes, so it has those of every such server.
    assert set(info) == {*Catalogue.core(era_of(rig.timeline.comfyui_version)), "Custom"}
    assert set(info["EmptyImage"]["input"]["required"]) == {
        "width",
        "height",
        "batch_size",
        "color",
    }
    assert set(info["Custom"]["input"]["optional"]) == {"image", "strength"}


def test_a_single_class_comes_from_the_recorded_list_of_all() -> None:
    recording = Recording()
    recording.asked(1, "GET", "/object_info", answer={"A": {"name": "A"}, "B": {"name": "B"}})

    assert rig_of(recording).get("/object_info/B") == {"B": {"name": "B"}}


def test_a_picture_that_was_announced_and_never_viewed_is_a_picture() -> None:
    rig = rig_of(run(session()))

    answer = rig.ask("GET", "/view?filename=a_1.png&type=output&subfolder=")

    assert answer.body.startswith(b"\x89PNG\r\n")
    assert dict(answer.headers)["Content-Disposition"] == 'filename="a_1.png"'


def test_servers_without_jobs_have_no_jobs() -> None:
    rig = Rig("server-0.3.10-errors")

    assert rig.ask("GET", "/api/jobs").status == 404


def test_methods_that_a_route_does_not_know_are_not_allowed() -> None:
    answers = [rig_of(Recording()).ask(method, "/queue") for method in ("PUT", "OPTIONS")]

    assert [answer.status for answer in answers] == [405, 200]


# --- strict --------------------------------------------------------------------------------------


def test_a_strict_replay_answers_what_was_recorded() -> None:
    rig = rig_of(watched(), strict=True)
    rig.connect("mine")
    prompt_id = rig.submit(GRAPH, "mine")
    rig.run()

    assert list(rig.get(f"/history/{prompt_id}")) == [prompt_id]
    assert rig.player.complaints == []


def test_a_strict_replay_says_what_comes_closest_to_an_unknown_request() -> None:
    rig = rig_of(watched(), strict=True)

    answer = rig.ask("GET", "/jobs?limit=1")

    error = json.loads(answer.body)["error"]
    assert (answer.status, error["type"]) == (500, "not_recorded")
    assert error["extra_info"]["closest"][0] == "GET /queue"
    assert error["details"].endswith("query limit=1, recorded was None")
    assert rig.player.complaints == [
        "GET /jobs?limit=1 was not recorded; closest: GET /queue "
        "(path /jobs, recorded was /queue; query limit=1, recorded was None)"
    ]


def test_a_strict_replay_says_in_what_a_prompt_differs() -> None:
    rig = rig_of(watched(), strict=True)
    graph = json.loads(json.dumps(GRAPH))
    graph["1"]["inputs"]["width"] = 9
    graph["3"] = graph.pop("2")

    answer = rig.post(graph, "mine")

    error = json.loads(answer.body)["error"]
    assert answer.status == 500
    assert sorted(error["extra_info"]["differences"]) == [
        "node 1 (EmptyImage) input width: 9, recorded was 8",
        "node 2 (SaveImage) is missing",
        "node 3 (SaveImage) was not there",
    ]


@pytest.mark.parametrize("method, path", [("POST", "/interrupt"), ("DELETE", "/userdata/x")])
def test_a_strict_replay_refuses_changes_that_were_not_recorded(method: str, path: str) -> None:
    rig = rig_of(watched(), strict=True)

    assert rig.ask(method, path).status == 500
    assert len(rig.player.complaints) == 1


def test_complaints_are_bounded() -> None:
    rig = rig_of(Recording(), strict=True)
    for n in range(1_200):
        rig.ask("GET", f"/{n}")

    assert len(rig.player.complaints) == 1_000


# --- hostile requests ----------------------------------------------------------------------------

HOSTILE = {
    "a method of its own": ("BREW", "/prompt", b""),
    "no path": ("GET", "*", b""),
    "half of an escape": ("GET", "/history/%", b""),
    "bytes that are no text": ("POST", "/queue", b"\xff\xfe{"),
    "brackets without end": ("POST", "/prompt", b"[" * 100_000),
    "brackets in a form": ("POST", "/interrupt", b'{"a":' * 100_000),
    "a number for a list": ("POST", "/queue", b'{"delete": 3}'),
    "an object for an id": ("POST", "/interrupt", b'{"prompt_id": {"a": []}}'),
    "a graph that is a list": ("POST", "/prompt", b'{"prompt": [1, 2]}'),
    "nodes that are numbers": ("POST", "/prompt", b'{"prompt": {"1": 2}, "client_id": 7}'),
    "a form without an end": ("POST", "/upload/image", b"--x"),
}


@pytest.mark.parametrize("method, target, body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lenient"])
def test_any_request_has_an_answer(method: str, target: str, body: bytes, strict: bool) -> None:
    rig = Rig("image-only", strict=strict)
    headers = [("Content-Type", "multipart/form-data; boundary=x")]

    answer = rig.ask(method, target, body, headers=headers)

    assert 200 <= answer.status <= 599


def test_a_player_tells_what_it_plays() -> None:
    facts = Player(Timeline.build(watched().end())).facts()

    assert (facts["prompts"], facts["sockets"], facts["strict"]) == (1, 1, False)


def test_a_script_that_the_recorded_list_names_is_empty() -> None:
    recording = Recording()
    recording.asked(1, "GET", "/extensions", answer=["/extensions/pack/a.js"])
    rig = rig_of(recording)

    listed, other = (rig.ask("GET", f"/extensions/pack/{name}.js") for name in "ab")

    assert (listed.status, listed.body, mark(listed)) == (200, b"", "extensions")
    assert dict(listed.headers)["Content-Type"].startswith("text/javascript")
    assert other.status == 404


def test_parameters_that_the_server_does_not_read_do_not_matter() -> None:
    recording = Recording()
    recording.asked(1, "GET", "/view?type=output&filename=a.png&rand=0.5", answer=b"picture")
    rig = rig_of(recording)

    again = rig.ask("GET", "/view?clientId=x&filename=a.png&subfolder=&t=7")

    assert (again.status, again.body, mark(again)) == (200, b"picture", None)


def asked_by_a_page(recording: Recording, conn: int, site: str, status: int) -> None:
    """What a browser says of itself with each request, and its user where there is only one."""
    head = (
        f"GET /system_stats HTTP/1.1\r\nHost: 127.0.0.1:8188\r\nSec-Fetch-Site: {site}\r\n"
        "Comfy-User: \r\n\r\n"
    )
    recording.put(HttpPart, conn=conn, side=Side.CLIENT, exchange=0, head=head.encode(), body=b"")
    recording.answer(conn, {"asked from": site}, status, headers=JSON)


def test_what_a_page_asked_is_answered_to_a_client_that_is_no_browser() -> None:
    recording = session()
    asked_by_a_page(recording, 7, "cross-site", 403)
    asked_by_a_page(recording, 8, "same-origin", 200)
    rig = rig_of(run(recording), strict=True)

    plain = rig.ask("GET", "/system_stats")
    foreign = rig.ask("GET", "/system_stats", headers=(("Sec-Fetch-Site", "cross-site"),))

    assert (plain.status, json.loads(plain.body)) == (200, {"asked from": "same-origin"})
    assert foreign.status == 403
