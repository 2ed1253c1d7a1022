"""A journal as a story, and the one line that says why a test has most likely failed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyrec.testing.failure_report import diagnosis, story_lines, story_of_journal

ID = "c0ffee00-0000-4000-8000-000000000001"
GRAPH = {"1": {"class_type": "EmptyImage", "inputs": {}}}
Entry = dict[str, Any]


def posted(number: int = 1, **body: Any) -> list[Entry]:
    text = json.dumps({"prompt": GRAPH, **body})
    asked = {"method": "POST", "target": "/prompt", "headers": [], "text": text}
    answer = json.dumps({"prompt_id": ID, "number": 0, "node_errors": {}})
    return [
        {"t": 0, "what": "request", "number": number, **asked},
        {"t": 0, "what": "answer", "number": number, "status": 200, "text": answer},
    ]


def opened(number: int = 2) -> Entry:
    target = "/ws?clientId=a"
    return {
        "t": 0, "what": "upgrade", "number": number, "method": "GET", "target": target,
        "headers": [],
    }  # fmt: skip


def said(kind: str, **data: Any) -> Entry:
    return {
        "t": 5,
        "what": "sent",
        "sockets": [2],
        "text": json.dumps({"type": kind, "data": data}),
    }


FAILED = said(
    "execution_error", prompt_id=ID, node_id="1", node_type="EmptyImage",
    exception_type="ValueError", exception_message="no\n",
)  # fmt: skip
CASES: dict[str, tuple[list[Entry], str]] = {
    "posted before its socket was open": (
        [*posted(client_id="a"), opened()],
        "prompt c0ffee00 was posted before its socket was open; 12 frames went to nobody",
    ),
    "never listened": (
        posted(client_id="a"),
        "prompt c0ffee00 named client a, which had no socket; 12 frames went to nobody",
    ),
    "its socket had closed": (
        [opened(), {"t": 0, "what": "left", "number": 2, "code": 1000}, *posted(client_id="a")],
        "prompt c0ffee00 was posted after its socket had closed; 12 frames went to nobody",
    ),
    "no client id": (
        [opened(), *posted()],
        "prompt c0ffee00 was posted without a client_id: no socket hears how it ends",
    ),
    "failed": (
        [opened(), *posted(client_id="a"), FAILED],
        "prompt c0ffee00 failed: EmptyImage 1: ValueError: no",
    ),
}


@pytest.mark.parametrize("entries, why", CASES.values(), ids=CASES)
def test_the_diagnosis_is_one_line(entries: list[Entry], why: str) -> None:
    assert diagnosis(story_of_journal(entries), to_nobody=12) == why


def test_a_refused_prompt_is_told_in_the_words_of_the_server() -> None:
    entries = posted(client_id="a")
    entries[1] |= {"status": 400, "text": '{"error": {"message": "Prompt has no outputs"}}'}

    assert diagnosis(story_of_journal(entries)) == "POST /prompt was refused: Prompt has no outputs"


def test_nothing_is_said_where_nothing_stands_out() -> None:
    assert diagnosis(story_of_journal([])) == ""


def test_the_story_shows_outcomes_nodes_and_what_is_out_of_order() -> None:
    entries = [
        opened(),
        *posted(client_id="a"),
        said("executing", node="1", prompt_id=ID),
        FAILED,
        {"t": 9, "what": "cut", "number": 2},
    ]

    lines = list(story_lines(story_of_journal(entries)))

    assert lines[0] == "1 prompt: 1 failed"
    assert any("EmptyImage 1" in text for text in lines)
    assert lines[-1] == "!! socket 0 (a) was cut by the server, unclosed"


def test_binary_frames_and_notes_of_a_test_do_no_harm() -> None:
    entries = [
        opened(),
        {
            "t": 1,
            "what": "sent",
            "sockets": [2],
            "size_bytes": 9000,
            "head_hex": "0000000100000001",
        },
        {"t": 2, "what": "held", "number": -1, "text": "held at executing"},
        {"t": 3, "what": "fault", "number": -1, "text": "the server stops"},
        {"t": 4, "what": "left", "number": 2, "code": 1006},
    ]

    (socket,) = story_of_journal(entries).sockets

    assert (socket.previews, socket.closed_by, socket.clean) == (1, "server", False)
