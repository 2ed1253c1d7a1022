"""records -> exchanges, sockets, messages, prompts; whole, damaged and cut off."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.cassette.records import HttpPart, Note, Raw
from comfyrec.timeline import Message, Peek, Timeline
from comfyrec.timeline.message_summary import peek_at
from comfyrec.versions import DEFAULT_VERSION
from tests.support.timeline_samples import (
    CLIENT,
    GRAPH,
    OUTPUT,
    PROMPT,
    SERVER,
    Recording,
    run,
    session,
)

NESTED = '{"type": "executed", "data": {"node": "1", "prompt_id": "p", "output": %s%s}}'
MESSAGES = {
    "status with a sid": (
        '{"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 3}}, "sid": "a"}}',
        Peek("status", sid="a", queue_remaining=3),
    ),
    "executing": (
        '{"type": "executing", "data": {"node": "4", "prompt_id": "p"}}',
        Peek("executing", "p", "4"),
    ),
    "a node id that is a number": (
        '{"type": "executing", "data": {"node": 4}}',
        Peek("executing", node="4"),
    ),
    "the null executing": (
        '{"type": "executing", "data": {"node": null, "prompt_id": "p"}}',
        Peek("executing", "p", null_node=True),
    ),
    "NaN in a field that is not looked at": (
        '{"type": "executed", "data": {"node": "1", "output": [NaN], "prompt_id": "p"}}',
        Peek("executed", "p", "1"),
    ),
    "data that is not an object": ('{"type": "x", "data": 3}', Peek("x")),
    "no type": ('{"data": {}}', Peek()),
    "not JSON": ("hello", Peek()),
    "brackets without end": ("[" * 100_000, Peek()),
    "deep, as no server nests": (NESTED % ("[" * 97, "]" * 97), Peek("executed", "p", "1")),
    "deeper than that": (NESTED % ("[" * 99, "]" * 99), Peek("executed", "p", "1")),
    "deeper than that, with NaN": (NESTED % ("[" * 99, "NaN" + "]" * 99), Peek()),
}


@pytest.mark.parametrize("text, peek", MESSAGES.values(), ids=MESSAGES)
def test_what_a_message_tells(text: str, peek: Peek) -> None:
    assert peek_at(text) == peek


@given(st.text() | st.binary())
def test_any_message_tells_something_or_nothing(message: str | bytes) -> None:
    assert isinstance(peek_at(message), Peek)


def built(recording: Recording) -> Timeline:
    return Timeline.build(recording.end())


def test_a_run_is_one_prompt_with_its_frames_and_outputs() -> None:
    timeline = built(run(session()))

    (prompt,) = timeline.prompts
    (socket,) = timeline.sockets
    types = [socket.messages[part].peek.type for _, part in prompt.frames]
    assert (prompt.prompt_id, prompt.client_id, prompt.submitted) == (PROMPT, "recorded", 1)
    assert (prompt.graph, prompt.outcome, prompt.cached) == (GRAPH, "success", ("1",))
    assert prompt.outputs == {"2": OUTPUT}
    assert types == [
        "execution_start",
        "execution_cached",
        "executing",
        "executed",
        "execution_success",
        "executing",
    ]


def test_an_exchange_has_its_request_apart_and_its_answer_as_json() -> None:
    recording = Recording()
    recording.asked(1, "GET", "/api/view?filename=a%20b.png&type=", answer={"a": [1]})

    (exchange,) = built(recording).exchanges

    assert (exchange.method, exchange.path, exchange.status) == ("GET", "/view", 200)
    assert exchange.query == (("filename", "a b.png"), ("type", ""))
    assert exchange.response_json == {"a": [1]}
    assert exchange.request.header("host") == "127.0.0.1:8188"


def test_a_body_in_pieces_is_one_body() -> None:
    recording = Recording()
    recording.request(1, "GET", "/view")
    parts = [(b"HTTP/1.1 200 OK\r\n\r\n", b"one ", False), (b"", b"two ", False), (b"", b"3", True)]
    for head, body, last in parts:
        recording.put(HttpPart, conn=1, side=SERVER, exchange=0, head=head, body=body, last=last)

    (exchange,) = built(recording).exchanges

    assert exchange.response_body == b"one two 3"
    assert exchange.response is not None and exchange.response.complete


def test_an_interim_answer_is_not_the_answer() -> None:
    recording = Recording()
    recording.request(1, "POST", "/prompt", {})
    recording.answer(1, status=100)
    recording.answer(1, b"done", status=200)

    (exchange,) = built(recording).exchanges

    assert (exchange.status, exchange.response_body) == (200, b"done")


def test_requests_on_one_connection_are_kept_apart() -> None:
    recording = Recording()
    for number in range(3):
        recording.request(1, "GET", f"/{number}", exchange=number)
        recording.answer(1, str(number).encode(), exchange=number)

    timeline = built(recording)

    assert [(e.path, e.response_body) for e in timeline.exchanges] == [
        ("/0", b"0"),
        ("/1", b"1"),
        ("/2", b"2"),
    ]


def fragments(recording: Recording) -> None:
    recording.frame(1, b"one ", fin=False)
    recording.frame(1, b"ping", opcode=9)
    recording.frame(1, b"two", opcode=0)


def pieces(recording: Recording) -> None:
    recording.frame(1, b"one ", last=False)
    recording.frame(1, b"two", begins=False)


def deflated(recording: Recording) -> None:
    recording.frame(1, b"\x00squeezed", rsv1=True, inflated=b"one two")


@pytest.mark.parametrize("say", [fragments, pieces, deflated])
def test_a_message_is_whole_however_it_was_framed(say: Any) -> None:
    recording = session()
    say(recording)

    (socket,) = built(recording).sockets

    assert socket.messages[-1].data == "one two"


def test_pings_are_no_messages() -> None:
    recording = session()
    fragments(recording)

    (socket,) = built(recording).sockets

    assert [(ping.payload, ping.side, ping.pong) for ping in socket.pings] == [
        (b"ping", SERVER, False)
    ]


def test_a_compressed_message_that_was_not_inflated_is_a_problem_not_a_message() -> None:
    recording = session()
    recording.frame(1, b"\x00squeezed", rsv1=True)

    timeline = built(recording)

    assert len(timeline.sockets[0].messages) == 1
    assert "could not be inflated" in timeline.problems[0]


def closes(recording: Recording) -> None:
    recording.frame(1, b"\x03\xe8bye", side=CLIENT, opcode=8)
    recording.frame(1, b"\x03\xe8bye", opcode=8)
    recording.closed(1, SERVER)


def breaks(recording: Recording) -> None:
    recording.closed(1, SERVER, "reset")
    recording.closed(1, CLIENT)


CLOSINGS = {
    "a close frame, echoed": (closes, (CLIENT, 1000, "bye", True)),
    "no close frame": (breaks, (SERVER, None, "", False)),
}


@pytest.mark.parametrize("end, expected", CLOSINGS.values(), ids=CLOSINGS)
def test_who_closed_first_and_how(end: Any, expected: tuple[Any, ...]) -> None:
    recording = session()
    end(recording)

    closing = built(recording).sockets[0].closing

    assert closing is not None
    assert (closing.by, closing.code, closing.reason, closing.clean) == expected


def test_a_request_that_was_cut_off_says_by_whom() -> None:
    recording = Recording()
    recording.request(1, "GET", "/queue")
    recording.closed(1, SERVER, "reset")

    (exchange,) = built(recording).exchanges

    assert (exchange.response, exchange.cut_by) == (None, SERVER)


def test_an_open_socket_has_no_closing() -> None:
    assert built(session()).sockets[0].closing is None


def test_a_connection_number_that_is_used_again_is_another_socket() -> None:
    recording = session()
    recording.closed(1, CLIENT)
    recording.upgrade(1, "second")
    recording.status(1, 0, sid="second")

    timeline = built(recording)

    assert [socket.name for socket in timeline.sockets] == ["recorded", "second"]
    assert [len(socket.messages) for socket in timeline.sockets] == [1, 1]


def test_frames_without_their_upgrade_are_kept() -> None:
    recording = Recording()
    recording.status(7, 0, sid="x")

    timeline = built(recording)

    assert timeline.sockets[0].name == "x"
    assert "upgrade" in timeline.problems[0]


def test_what_could_not_be_read_or_was_lost_is_said() -> None:
    recording = Recording()
    recording.put(Raw, conn=1, side=CLIENT, data=b"\x16\x03", why="no HTTP")
    recording.put(Note, conn=0, what="lost", count=4)

    timeline = built(recording)

    assert [problem.partition(": ")[2] for problem in timeline.problems] == [
        "2 bytes could not be read",
        "4 records were lost while recording",
    ]


def test_a_body_that_was_left_out_says_how_large_it_was() -> None:
    recording = Recording()
    recording.asked(1, "GET", "/object_info")
    recording.put(Note, conn=1, what="body_omitted", count=1234)

    response = built(recording).exchanges[0].response

    assert response is not None and response.omitted_bytes == 1234


def test_a_prompt_that_only_frames_tell_of_is_a_prompt() -> None:
    recording = session()
    recording.says(1, "executing", node="3", prompt_id="elsewhere")

    (prompt,) = built(recording).prompts

    assert (prompt.prompt_id, prompt.submitted, prompt.graph) == ("elsewhere", None, {})


def test_a_prompt_id_that_is_used_twice_is_two_prompts() -> None:
    recording = run(run(session()), conn=3, number=1)

    first, second = built(recording).prompts

    assert (first.prompt_id, second.prompt_id) == (PROMPT, PROMPT)
    assert len(first.frames) == len(second.frames) == 6


def test_a_blocked_output_is_not_the_end() -> None:
    recording = session()
    recording.says(1, "execution_error", prompt_id="p", exception_type="ExecutionBlocked")
    recording.says(1, "execution_success", prompt_id="p")

    (prompt,) = built(recording).prompts

    assert prompt.outcome == "success"


def test_a_pending_prompt_that_was_taken_off_is_deleted() -> None:
    recording = session()
    recording.asked(2, "POST", "/prompt", {"prompt": GRAPH}, {"prompt_id": "p", "number": 0})
    recording.asked(3, "POST", "/queue", {"delete": ["p"]})

    (prompt,) = built(recording).prompts

    assert prompt.outcome == "deleted"


def test_the_history_tells_of_a_prompt_whose_client_was_not_listening() -> None:
    entry = {
        "prompt": [0, "p", GRAPH, {}, ["2"]],
        "outputs": {"2": OUTPUT},
        "status": {"status_str": "error", "messages": [["execution_interrupted", {}]]},
    }
    recording = Recording()
    recording.asked(2, "POST", "/prompt", {"prompt": {}}, {"prompt_id": "p", "number": 0})
    recording.asked(3, "GET", "/history/p", answer={"p": entry})

    (prompt,) = built(recording).prompts

    assert (prompt.outcome, prompt.outputs) == ("interrupted", {"2": OUTPUT})
    assert prompt.graph == GRAPH


STATS = {"system": {"comfyui_version": "0.8.2"}}


def stats() -> Recording:
    recording = Recording()
    recording.asked(1, "GET", "/system_stats", answer=STATS)
    return recording


def said(kind: str) -> Recording:
    recording = session()
    recording.says(1, kind, prompt_id="p", node="1")
    return recording


def noted(about: str) -> Recording:
    recording = session()
    recording.put(Note, conn=0, what="about", text=about)
    return recording


VERSIONS = {
    "the session says it": (lambda: session(comfyui_version="v0.3.64-7-gabc"), "0.3.64"),
    "the recorder asked": (lambda: noted('{"comfyui_version": "0.3.64"}'), "0.3.64"),
    "a note about it that is not JSON": (lambda: noted("{"), DEFAULT_VERSION),
    "a note about it that is a list": (lambda: noted("[1]"), DEFAULT_VERSION),
    "a note about it that is nested a million deep": (lambda: noted("[" * 10**6), DEFAULT_VERSION),
    "a commit of 2024": (lambda: session(comfyui_version="2024-07-20 (unversioned)"), "2024-07"),
    "/system_stats says it": (stats, "0.8.2"),
    "progress_state is newer than 0.3.45": (lambda: said("progress_state"), "0.3.64"),
    "execution_success is newer than 2024-07": (lambda: said("execution_success"), "0.3.10"),
    "nothing of both": (lambda: said("executing"), "2024-07"),
    "no sign at all": (Recording, DEFAULT_VERSION),
}


@pytest.mark.parametrize("make, version", VERSIONS.values(), ids=VERSIONS)
def test_which_comfyui_it_was(make: Any, version: str) -> None:
    assert built(make()).comfyui_version == version


@pytest.mark.slow
@given(st.data())
def test_any_rest_of_a_recording_has_a_time_line(data: st.DataObject) -> None:
    records = run(run(session()), prompt_id="another", conn=3).end()
    kept = data.draw(st.lists(st.sampled_from(records), max_size=len(records)))

    timeline = Timeline.build(kept)

    assert timeline.records == len(kept)
    assert all(isinstance(m, Message) for s in timeline.sockets for m in s.messages)


def test_no_records_are_an_empty_time_line() -> None:
    assert Timeline.build([]) == Timeline()
