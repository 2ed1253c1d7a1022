"""A recording played to clients that are not the recorded one: others, more, less, earlier."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from comfyrec.timeline import Timeline
from fake_server.replay import MATCHED, SYNTHESIZED
from fake_server.source import Abort, Close
from tests.support.replay_rig import UPGRADE, LiveSocket, Rig, graph_of
from tests.support.timeline_samples import GRAPH, SERVER, Recording, run, session

OWN_ID = "12345678-1234-4234-8234-123456789abc"
FLAGS = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}


def connected(name: str | Timeline, **options: Any) -> tuple[Rig, LiveSocket]:
    """A player and one client that was greeted."""
    rig = Rig(name, **options)
    socket = rig.connect("mine")
    rig.run()
    return rig, socket


def whole(socket: LiveSocket, prompt_id: str) -> bool:
    """Whether a prompt was played from its start to its end, and the queue is empty behind it."""
    about = socket.about(prompt_id)
    return (about[0], about[-1]) == ("execution_start", "executing") and socket.remaining[-1] == 0


# --- ids -----------------------------------------------------------------------------------------


def test_no_recorded_id_reaches_a_live_client() -> None:
    rig, socket = connected("image-only")
    prompt_id = rig.submit(graph_of(rig.timeline), "mine")
    rig.run()

    heard = json.dumps(socket.texts) + json.dumps(rig.get(f"/history/{prompt_id}"))

    assert not any(prompt.prompt_id in heard for prompt in rig.timeline.prompts)
    assert "client-a" not in heard
    assert socket.texts[0]["data"]["sid"] == "mine"


def test_a_client_without_an_id_gets_one_of_its_own() -> None:
    rig = Rig("image-only")
    first, second = rig.connect(), rig.connect("")

    sids = [socket.texts[0]["data"]["sid"] for socket in (first, second)]

    assert [len(sid) for sid in sids] == [32, 32]
    assert sids[0] != sids[1]


def test_metadata_of_previews_names_the_live_prompt() -> None:
    rig, socket = connected("fresh-run-preview-metadata")
    rig.say(socket, FLAGS)
    prompt_id = rig.submit(graph_of(rig.timeline), "mine")
    rig.run()

    preview = next(m for m in socket.messages if isinstance(m, bytes) and m[:4] == b"\0\0\0\4")
    size = int.from_bytes(preview[4:8], "big")

    assert json.loads(preview[8 : 8 + size])["prompt_id"] == prompt_id
    assert preview[8 + size :].startswith(b"\xff\xd8")


CHOSEN = {
    "a UUID": ("image-only", OWN_ID, 200, OWN_ID),
    "no UUID, when it has to be one": ("image-only", "job-7", 400, None),
    "no UUID, when any text was taken": ("server-0.3.64-clients", "job-7", 200, "job-7"),
}


@pytest.mark.parametrize("name, chosen, status, used", CHOSEN.values(), ids=CHOSEN)
def test_a_prompt_id_of_the_clients_own(
    name: str, chosen: str, status: int, used: str | None
) -> None:
    rig = Rig(name)

    answer = rig.post(graph_of(rig.timeline), "mine", prompt_id=chosen)

    assert (answer.status, json.loads(answer.body).get("prompt_id")) == (status, used)


def test_old_servers_ignore_a_prompt_id_of_the_clients_own() -> None:
    rig = Rig("server-0.3.10-errors")

    assert rig.submit(graph_of(rig.timeline), "mine", prompt_id=OWN_ID) != OWN_ID


def test_ids_follow_from_the_seed() -> None:
    graph = graph_of(Rig("image-only").timeline)

    ids = [Rig("image-only", seed=seed).submit(graph) for seed in (1, 1, 2)]

    assert ids[0] == ids[1] != ids[2]


# --- matching ------------------------------------------------------------------------------------


def changed(graph: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The graph with one input changed wherever it is."""
    graph = deepcopy(graph)
    for node in graph.values():
        if name in node["inputs"]:
            node["inputs"][name] = value
    return graph


MATCHES = {
    "the same graph": ("graph", "color", 16711680, 200, None),
    "another value, when the graph counts": ("graph", "color", 5, 400, None),
    "another name of the file, when the graph counts": ("graph", "filename_prefix", "b", 400, None),
    "another name of the file": ("structure", "filename_prefix", "b", 200, "structure"),
    "another value, when the structure counts": ("structure", "color", 5, 400, None),
    "another value, when any will do": ("any", "color", 5, 200, "shape"),
}


@pytest.mark.parametrize("match, name, value, status, how", MATCHES.values(), ids=MATCHES)
def test_how_prompts_match(match: str, name: str, value: Any, status: int, how: Any) -> None:
    rig = Rig("image-only", match=match, unmatched="refuse")

    answer = rig.post(changed(graph_of(rig.timeline), name, value), "mine")

    assert (answer.status, dict(answer.headers).get(MATCHED)) == (status, how)


def test_what_is_volatile_can_be_chosen() -> None:
    rig = Rig("image-only", match="structure", volatile=("color",), unmatched="refuse")

    assert rig.post(changed(graph_of(rig.timeline), "color", 5)).status == 200
    assert rig.post(changed(graph_of(rig.timeline), "filename_prefix", "b")).status == 400


def test_titles_of_nodes_do_not_count() -> None:
    rig = Rig("image-only", match="graph")
    graph = {key: {**node, "_meta": {"title": key}} for key, node in GRAPHS["image-only"].items()}

    assert rig.post(graph).status == 200


GRAPHS = {"image-only": graph_of(Rig("image-only").timeline)}


def test_a_graph_that_was_refused_is_refused_again() -> None:
    rig = Rig("validation-errors")
    refused = next(e for e in rig.timeline.exchanges if e.status == 400 and e.request_json)

    answers = [rig.ask("POST", "/prompt", refused.request.body) for _ in range(2)]

    assert [answer.status for answer in answers] == [400, 400]
    assert json.loads(answers[0].body) == refused.response_json


NO_PROMPTS = {"nothing": b"", "no JSON": b"{", "a list": b"[]", "no prompt in it": b"{}"}


@pytest.mark.parametrize("body", NO_PROMPTS.values(), ids=NO_PROMPTS)
def test_what_is_no_prompt_is_refused_in_the_servers_words(body: bytes) -> None:
    answer = Rig("image-only").ask("POST", "/prompt", body)

    assert (answer.status, json.loads(answer.body)["error"]["type"]) == (400, "no_prompt")


def test_old_servers_had_a_string_for_it() -> None:
    answer = Rig("server-0.3.10-errors").ask("POST", "/prompt", b"{}")

    assert json.loads(answer.body) == {"error": "no prompt", "node_errors": []}


# --- more and less than was recorded -------------------------------------------------------------


def test_a_prompt_that_is_asked_for_again_is_played_again() -> None:
    rig, socket = connected("image-only")
    ids = []
    for _ in range(4):
        ids.append(rig.submit(graph_of(rig.timeline), "mine"))
        rig.run()

    assert all(whole(socket, prompt_id) for prompt_id in ids)
    assert list(rig.get("/history")) == ids
    assert len(set(ids)) == 4


def test_an_answer_to_a_prompt_that_is_played_again_says_so_and_counts_on() -> None:
    rig, _ = connected("image-only")
    answers = []
    for _ in range(4):
        answers.append(rig.post(graph_of(rig.timeline), "mine"))
        rig.run()

    numbers = [json.loads(answer.body)["number"] for answer in answers]

    assert numbers == sorted(set(numbers))
    assert dict(answers[-1].headers)[SYNTHESIZED] == "played again"


def test_prompts_submitted_at_once_run_one_after_the_other() -> None:
    rig, socket = connected("async-nodes")
    ids = [rig.submit(graph_of(rig.timeline), "mine") for _ in range(3)]
    rig.run()

    order = [m["data"]["prompt_id"] for m in socket.texts if m["type"] == "execution_start"]

    assert order == ids
    assert all(socket.about(prompt_id)[-1] == "executing" for prompt_id in ids)
    assert socket.remaining[-1] == 0


def test_a_client_may_begin_with_a_later_prompt() -> None:
    rig, socket = connected("partly-cached")

    third = rig.submit(graph_of(rig.timeline, 3), "mine")
    rig.run()
    first = rig.submit(graph_of(rig.timeline, 1), "mine")
    rig.run()

    assert whole(socket, third)
    assert whole(socket, first)
    assert socket.remaining == [0, 1, 1, 0, 1, 1, 0]


def test_one_prompt_of_many_that_were_queued_together_ends_too() -> None:
    rig, socket = connected("many-quick-prompts")

    prompt_id = rig.submit(graph_of(rig.timeline), "mine")
    rig.run()

    assert whole(socket, prompt_id)


@pytest.mark.parametrize("first", [0, 1])
def test_one_live_client_of_two_recorded_ones_does_not_hang(first: int) -> None:
    rig, socket = connected("two-clients")

    prompt_id = rig.submit(graph_of(rig.timeline, first), "mine")
    rig.run()

    assert whole(socket, prompt_id)


def test_what_a_missing_client_did_is_still_seen_by_the_one_that_is_there() -> None:
    rig, socket = connected("two-clients")
    rig.submit(graph_of(rig.timeline), "mine")
    rig.run()

    # The second client's prompt: enqueued, taken, done.
    assert socket.remaining == [0, 1, 1, 0, 1, 1, 0]


def test_a_client_that_only_asks_sees_its_prompt_wait_run_and_end() -> None:
    rig = Rig("interrupted-by-id")

    prompt_id = rig.submit(graph_of(rig.timeline, 1))
    before = rig.get(f"/history/{prompt_id}"), rig.get("/queue")["queue_pending"]
    rig.run()
    after = rig.get(f"/history/{prompt_id}"), rig.get("/queue")["queue_pending"]

    assert (before[0], [item[1] for item in before[1]]) == ({}, [prompt_id])
    assert (list(after[0]), after[1]) == ([prompt_id], [])


def test_a_socket_that_comes_behind_the_submission_misses_nothing() -> None:
    rig = Rig("image-only")
    prompt_id = rig.submit(graph_of(rig.timeline), "mine")
    socket = rig.connect("mine")
    rig.run()

    assert whole(socket, prompt_id)


def test_a_socket_that_comes_behind_the_submission_is_greeted_with_the_queue_as_it_is() -> None:
    rig = Rig("image-only")  # whose client opened its socket first: nothing was queued

    rig.submit(graph_of(rig.timeline), "mine")
    socket = rig.connect("mine")
    rig.run()

    assert socket.remaining[0] == 1
    assert socket.remaining[-1] == 0


# --- sockets -------------------------------------------------------------------------------------


def test_a_socket_that_reconnects_though_none_did_goes_on_where_it_is() -> None:
    rig, socket = connected("async-nodes")
    prompt_id = rig.submit(graph_of(rig.timeline), "mine")
    rig.run_to(socket, "executing")
    rig.leave(socket, 1006)
    again = rig.connect("mine")
    rig.run()

    assert again.texts[0]["data"]["sid"] == "mine"
    assert again.texts[0]["data"]["status"]["exec_info"]["queue_remaining"] == 1
    assert again.texts[1] == {"type": "executing", "data": {"node": "1"}}
    assert again.about(prompt_id)[-1] == "executing"


def test_a_client_that_never_lost_its_socket_gets_what_the_second_one_got() -> None:
    rig, socket = connected("reconnect-mid-run")
    prompt_id = rig.submit(graph_of(rig.timeline), "mine")
    rig.run()

    assert whole(socket, prompt_id)
    assert [m for m in socket.texts if "sid" in m["data"]] == socket.texts[:1]


def test_a_reconnect_that_was_recorded_gets_the_second_sockets_frames() -> None:
    rig, socket = connected("reconnect-mid-run")
    prompt_id = rig.submit(graph_of(rig.timeline), "mine")
    recorded = rig.timeline.sockets
    steps = [m for m in recorded[0].received if m.peek.type == "progress"]
    rig.run_to(socket, "progress", len(steps))
    rig.leave(socket, 1006)
    again = rig.connect("mine")
    rig.run()

    assert again.types == [m.peek.type for m in recorded[1].received]
    assert again.about(prompt_id)[-1] == "executing"


def closing(code: bytes | None) -> Timeline:
    recording = session()
    if code is not None:
        recording.frame(1, code, opcode=8)
    recording.closed(1, SERVER)
    return Timeline.build(recording.end())


CLOSINGS = {
    "a code and a reason": (b"\x03\xe9going away", Close(1, 1001, "going away")),
    "no code": (b"", Close(1, None, "")),
    "no close frame": (None, Abort(1)),
}


@pytest.mark.parametrize("code, ended", CLOSINGS.values(), ids=CLOSINGS)
def test_a_socket_ends_as_it_did(code: bytes | None, ended: Any) -> None:
    _, socket = connected(closing(code))

    assert socket.ended == ended


def test_pings_come_as_they_came() -> None:
    recording = session()
    recording.frame(1, b"are you there", opcode=9)
    _, socket = connected(Timeline.build(recording.end()))

    assert socket.pings == [b"are you there"]


def test_what_the_server_did_not_answer_any_more_is_hung_up_on() -> None:
    rig, socket = connected("server-killed-mid-run")
    rig.submit(graph_of(rig.timeline, 0), "mine")
    rig.run()
    rig.submit(graph_of(rig.timeline, 1), "mine")
    rig.run()

    assert isinstance(socket.ended, Abort)
    assert rig.ask_or_hang_up("GET", "/prompt") is None


def test_a_new_client_finds_the_server_alive_again() -> None:
    rig, socket = connected("server-killed-mid-run")
    rig.submit(graph_of(rig.timeline, 0), "mine")
    rig.run()
    rig.submit(graph_of(rig.timeline, 1), "mine")
    rig.run()
    rig.leave(socket, 1006)

    other = rig.connect("other")
    prompt_id = rig.submit(graph_of(rig.timeline, 0), "other")
    rig.run()

    assert whole(other, prompt_id)


def test_upgrades_that_were_refused_are_refused() -> None:
    recording = Recording()
    recording.upgrade(1, status=503)
    rig = Rig(Timeline.build(recording.end()))

    socket = rig.connect("mine")

    answer = rig.answers[socket.number]
    assert (socket.accepted, answer and answer.status) == (False, 503)


def test_a_client_that_was_never_refused_is_let_in_where_others_were() -> None:
    recording = session()
    head = (("Origin", "http://evil.example"), *UPGRADE)
    foreign = "".join(f"{name}: {value}\r\n" for name, value in head)
    recording.put(
        type(recording.records[1]), conn=9, side=0, exchange=0,
        head=f"GET /ws?clientId=evil HTTP/1.1\r\n{foreign}\r\n".encode(),
    )  # fmt: skip
    recording.answer(9, status=403)
    rig = Rig(Timeline.build(recording.end()))

    good, bad = rig.connect("mine"), rig.connect("evil", headers=head)

    assert (good.accepted, bad.accepted) == (True, False)


# --- several clients -----------------------------------------------------------------------------


def test_clients_at_once_each_have_a_play_through_of_their_own() -> None:
    rig = Rig("async-nodes")
    sockets = [rig.connect(f"client {n}") for n in range(5)]
    ids = [rig.submit(graph_of(rig.timeline), f"client {n}") for n in range(5)]
    rig.run()

    recorded = [m.peek.type for m in rig.timeline.sockets[0].received]
    assert [socket.types for socket in sockets] == [recorded] * 5
    assert all(whole(*pair) for pair in zip(sockets, ids, strict=True))
    assert all(list(rig.get(f"/history/{i}")) == [i] for i in ids)


def test_clients_one_after_the_other_begin_at_the_beginning() -> None:
    rig = Rig("image-only")
    seen = []
    for _ in range(3):
        socket = rig.connect("the same id each time")
        prompt_id = rig.submit(graph_of(rig.timeline), "the same id each time")
        rig.run()
        seen.append(socket.types)
        assert whole(socket, prompt_id)
        rig.leave(socket)

    assert seen[0] == seen[1] == seen[2]
    assert rig.player.facts()["play_throughs"] == 3


def test_two_clients_of_one_recording_share_a_play_through() -> None:
    rig = Rig("two-clients")
    one, two = rig.connect("one"), rig.connect("two")
    rig.run()
    prompt_id = rig.submit(graph_of(rig.timeline), "one")
    rig.run()

    assert whole(one, prompt_id)
    assert two.about(prompt_id) == []
    assert two.remaining == [0, 1, 1, 0]


def test_a_question_that_names_nobody_is_about_all_who_are_there() -> None:
    rig = Rig("async-nodes")
    for n in range(3):
        rig.connect(f"client {n}")
        rig.submit(graph_of(rig.timeline), f"client {n}")

    assert rig.get("/prompt") == {"exec_info": {"queue_remaining": 3}}
    assert len(rig.get("/queue")["queue_pending"]) == 3


def test_play_throughs_that_nobody_uses_are_forgotten() -> None:
    rig = Rig("image-only")
    for n in range(300):
        socket = rig.connect(f"client {n}")
        rig.leave(socket)

    assert rig.player.facts()["play_throughs"] == 300
    assert len(rig.player.playthroughs) <= 256


# --- interrupts and deletions --------------------------------------------------------------------


def test_a_prompt_can_be_interrupted_though_nobody_did() -> None:
    rig, socket = connected("async-nodes")
    prompt_id = rig.submit(graph_of(rig.timeline), "mine")
    rig.run_to(socket, "progress", 2)
    rig.ask("POST", "/interrupt", {"prompt_id": prompt_id})
    rig.run()

    told = socket.texts[-3]
    entry = rig.get(f"/history/{prompt_id}")[prompt_id]
    assert socket.types[-3:] == ["execution_interrupted", "status", "executing"]
    assert set(told["data"]) == {"prompt_id", "node_id", "node_type", "executed", "timestamp"}
    assert entry["status"]["status_str"] == "error"
    assert entry["status"]["messages"][-1] == ["execution_interrupted", told["data"]]
    assert rig.get("/api/jobs")["jobs"][0]["status"] == "cancelled"


def test_an_interrupt_comes_to_its_recorded_end_when_it_comes_early() -> None:
    rig, socket = connected("interrupted")
    prompt_id = rig.submit(graph_of(rig.timeline), "mine")
    rig.run_to(socket, "executing")
    asked_at = rig.now
    rig.ask("POST", "/interrupt")
    rig.run()

    assert socket.about(prompt_id)[-2:] == ["execution_interrupted", "executing"]
    assert rig.now - asked_at < 200_000


def test_an_interrupt_that_does_not_come_is_not_waited_for_without_end_and_is_said() -> None:
    said: list[str] = []
    rig, socket = connected("interrupted", notify=said.append)
    for times in (1, 2):
        prompt_id = rig.submit(graph_of(rig.timeline), "mine")
        rig.run(patience=False)
        held = socket.types[-1], rig.waits_for_a_client
        rig.run()

        assert held == ("progress", True)
        assert socket.about(prompt_id)[-2:] == ["execution_interrupted", "executing"]
        assert len(said) == times

    assert "is stopped as it was recorded" in said[0] and "POST /interrupt" in said[0]
    assert said[0] == said[1]


def test_of_an_interrupt_that_comes_nothing_is_said() -> None:
    said: list[str] = []
    rig, socket = connected("interrupted", notify=said.append)
    for _ in range(2):
        rig.submit(graph_of(rig.timeline), "mine")
        rig.run_to(socket, "progress", socket.types.count("progress") + 1)
        rig.ask("POST", "/interrupt")
        rig.run()

    assert said == []


def test_a_pending_prompt_can_be_taken_off_the_queue_though_nobody_did() -> None:
    rig, socket = connected("async-nodes")
    first = rig.submit(graph_of(rig.timeline), "mine")
    second = rig.submit(graph_of(rig.timeline), "mine")
    rig.run_to(socket, "executing")
    rig.ask("POST", "/queue", {"delete": [second]})
    rig.run()

    assert socket.about(second) == []
    assert rig.get(f"/history/{second}") == {}
    assert whole(socket, first)


def test_the_queue_can_be_cleared() -> None:
    rig, socket = connected("async-nodes")
    ids = [rig.submit(graph_of(rig.timeline), "mine") for _ in range(4)]
    rig.run_to(socket, "executing")
    rig.ask("POST", "/queue", {"clear": True})
    rig.run()

    assert [bool(rig.get(f"/history/{i}")) for i in ids] == [True, False, False, False]
    assert socket.remaining[-1] == 0


def test_an_idle_interrupt_does_nothing() -> None:
    rig, socket = connected("image-only")
    rig.ask("POST", "/interrupt")
    prompt_id = rig.submit(graph_of(rig.timeline), "mine")
    rig.run()

    assert whole(socket, prompt_id)


# --- time ----------------------------------------------------------------------------------------


def paced(**options: Any) -> tuple[list[int], int]:
    recording = session()
    recording.wait(3_000_000)
    run(recording)
    recording.wait(60_000_000)
    recording.says(1, "extension.spoke", text="by itself")
    rig, socket = connected(Timeline.build(recording.end()), **options)
    asked_at = rig.now = rig.now + 7_777_777
    rig.submit(GRAPH, "mine")
    rig.run()
    return [t - asked_at for t in socket.times[1:]], len(socket.messages)


def test_frames_keep_their_distance_to_what_caused_them() -> None:
    times, _ = paced()

    assert times[:9] == [1_000 * n for n in range(2, 11)]
    assert times[-1] == 60_000_000 + 11_000


def test_long_pauses_can_be_cut() -> None:
    times, count = paced(idle_time_limit_us=500_000)

    assert times[-1] == 500_000 + 10_000
    assert count == 11


def test_the_time_between_prompts_is_the_clients_own() -> None:
    rig, socket = connected("image-only")
    first = rig.submit(graph_of(rig.timeline, 0), "mine")
    rig.run()
    rig.now += 3_600_000_000
    second = rig.submit(graph_of(rig.timeline, 1), "mine")
    asked_at = rig.now
    rig.run()

    assert whole(socket, first)
    assert whole(socket, second)
    assert rig.now - asked_at < 1_000_000


def test_being_late_once_does_not_make_the_rest_late() -> None:
    rig, socket = connected("interrupted")
    rig.submit(graph_of(rig.timeline), "mine")
    rig.run(until=rig.now + 10_000)
    late = rig.now = rig.now + 50_000
    rig.run(patience=False)

    recorded = [m.t for m in rig.timeline.sockets[0].messages[: len(socket.times)]]
    behind = [live - was for live, was in zip(socket.times, recorded, strict=True)]
    on_time = {delay for t, delay in zip(socket.times, behind, strict=True) if t > late}
    assert len(on_time) == 1


# --- flags and previews --------------------------------------------------------------------------


def previews(rig: Rig, socket: LiveSocket) -> set[str]:
    rig.submit(graph_of(rig.timeline), "mine")
    rig.run()
    return {kind for kind in socket.types if kind.startswith("binary")}


@pytest.mark.parametrize("name", ["fresh-run-previews", "fresh-run-preview-metadata"])
@pytest.mark.parametrize("announces, kind", [(True, "binary 4"), (False, "binary 1")])
def test_a_client_gets_the_kind_of_previews_that_it_announced(
    name: str, announces: bool, kind: str
) -> None:
    rig, socket = connected(name)
    for message in [FLAGS] * announces:
        rig.say(socket, message)

    assert previews(rig, socket) == {kind}


def test_flags_are_answered_though_nobody_sent_any() -> None:
    rig, socket = connected("image-only")
    rig.say(socket, FLAGS)

    assert socket.types == ["status", "feature_flags"]
    assert socket.texts[1]["data"]["supports_preview_metadata"] is True


def test_servers_without_flags_do_not_answer_them() -> None:
    rig, socket = connected("server-0.3.10-errors")
    rig.say(socket, FLAGS)

    assert socket.types == ["status"]


@pytest.mark.parametrize("message", ["{", "[]", b"\0\0\0\1", "hello", '{"type": "x"}'])
def test_whatever_a_client_says_is_taken(message: str | bytes) -> None:
    rig, socket = connected("image-only")
    rig.say(socket, message)
    prompt_id = rig.submit(graph_of(rig.timeline), "mine")
    rig.run()

    assert whole(socket, prompt_id)
