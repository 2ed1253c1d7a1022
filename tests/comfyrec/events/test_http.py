"""HTTP bodies: each kind from real shapes of several ages, and what does not fit."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from comfyrec.errors import DecodeError
from comfyrec.events import (
    ExecutionStart,
    Features,
    FileEntry,
    History,
    Job,
    Jobs,
    PromptInfo,
    PromptResponse,
    PromptTime,
    Queue,
    Refusal,
    SystemStats,
    UploadAnswer,
    comfy_json,
    decode_http,
)
from tests.support.recorded_frames import CAPTURES

ITEM = [3, "p", {"1": {"class_type": "A", "inputs": {}}}, {"client_id": "c"}, ["1"]]
ENTRY = {
    "prompt": ITEM,
    "outputs": {"1": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}},
    "status": {
        "status_str": "success",
        "completed": True,
        "messages": [["execution_start", {"prompt_id": "p", "timestamp": 5}]],
    },
    "meta": {"1": {"node_id": "1"}},
}


def body(value: Any) -> str:
    return json.dumps(value)


def test_a_queued_prompt_has_its_number_whatever_its_kind() -> None:
    for number in (0, -83, 12.5):
        answer = decode_http(
            PromptResponse, body({"prompt_id": "p", "number": number, "node_errors": {}})
        )
        assert (answer.prompt_id, answer.number, answer.node_errors) == ("p", number, {})


def test_a_refusal_of_today_says_why_by_node() -> None:
    problem = {"type": "value_smaller_than_min", "message": "m", "details": "width"}
    refusal = decode_http(
        Refusal,
        body({
            "error": {"type": "t", "message": "Prompt outputs failed validation", "extra_info": {}},
            "node_errors": {"3": {"errors": [problem], "dependent_outputs": ["4"]}},
        }),
    )  # fmt: skip

    assert refusal.reason.message == "Prompt outputs failed validation"
    assert refusal.by_node["3"].errors[0].details == "width"


def test_a_refusal_of_old_is_a_text_and_a_list() -> None:
    refusal = decode_http(Refusal, '{"error": "no prompt", "node_errors": []}')

    assert (refusal.reason.message, refusal.by_node) == ("no prompt", {})


def test_queue_items_may_have_five_places_or_more() -> None:
    queue = decode_http(Queue, body({"queue_running": [ITEM], "queue_pending": [[*ITEM, {}]]}))

    assert queue.queue_running == queue.queue_pending
    assert queue.queue_running[0].client_id == "c"


def test_a_history_entry_gives_files_and_events() -> None:
    entry = decode_http(History, body({"p": ENTRY}))["p"]

    assert entry.status is not None
    assert entry.files == {"1": [FileEntry("a.png", "", "output")]}
    assert list(entry.all_files()) == [FileEntry("a.png", "", "output")]
    assert entry.status.events == [ExecutionStart(PromptTime("p", 5))]


def test_a_history_entry_may_lack_status_and_meta() -> None:
    entry = decode_http(History, body({"p": {"prompt": ITEM, "outputs": {}}}))["p"]

    assert (entry.status, entry.meta, entry.files) == (None, {}, {})


def test_a_body_may_hold_nan() -> None:
    entry = {**ENTRY, "outputs": {"1": {"values": [math.nan, math.inf]}}}
    history = decode_http(History, body({"p": entry}))

    assert repr(history["p"].outputs["1"]) == "{'values': [nan, inf]}"


def test_jobs_come_with_their_page_and_without_what_is_unknown() -> None:
    page = decode_http(
        Jobs,
        body({
            "jobs": [{"id": "p", "status": "pending", "priority": 3, "outputs_count": 0}],
            "pagination": {"offset": 0, "limit": None, "total": 1, "has_more": False},
        }),
    )  # fmt: skip

    assert (page.jobs[0].id, page.jobs[0].workflow_id) == ("p", None)
    assert page.pagination.total == 1


def test_an_upload_answer_is_a_file_like_any_other() -> None:
    answer = decode_http(UploadAnswer, '{"name": "u (1).png", "subfolder": "s", "type": "input"}')

    assert answer.file == FileEntry("u (1).png", "s", "input")


def test_bodies_are_written_again_in_the_same_shape() -> None:
    queue = {"queue_running": [ITEM], "queue_pending": []}

    assert comfy_json(decode_http(Queue, body(queue))) == body(queue)
    assert comfy_json(decode_http(History, body({"p": ENTRY}))["p"]) == body(ENTRY)


@pytest.mark.parametrize(
    "kind, text, why",
    [
        (Queue, "<html>", "not JSON"),
        (Queue, "", "not JSON"),
        (Queue, '{"queue_running": []}', "no Queue: .*queue_pending"),
        (Queue, '{"queue_running": [[1]], "queue_pending": []}', "no Queue: "),
        (PromptResponse, '{"prompt_id": 1, "number": 1}', r"no PromptResponse: .*prompt_id"),
        (History, "[]", "no dict: "),
    ],
)
def test_what_does_not_fit_raises_and_says_why(kind: Any, text: str, why: str) -> None:
    with pytest.raises(DecodeError, match=why) as raised:
        decode_http(kind, text)

    assert raised.value.message == text


KINDS = {
    ("POST", "/prompt", 200): PromptResponse,
    ("POST", "/prompt", 400): Refusal,
    ("GET", "/prompt", 200): PromptInfo,
    ("GET", "/queue", 200): Queue,
    ("GET", "/history", 200): History,
    ("GET", "/history/ID", 200): History,
    ("GET", "/jobs", 200): Jobs,
    ("GET", "/jobs", 400): Refusal,
    ("GET", "/jobs/ID", 200): Job,
    ("GET", "/jobs/ID", 404): Refusal,
    ("GET", "/system_stats", 200): SystemStats,
    ("GET", "/features", 200): Features,
    ("POST", "/upload/image", 200): UploadAnswer,
}


def answers_in(capture: Path) -> list[tuple[Any, str]]:
    """The bodies of a capture that have a kind of ours."""
    asked: dict[str, tuple[str, str]] = {}
    found = []
    for record in map(json.loads, capture.read_text(encoding="utf-8").splitlines()):
        if record["kind"] == "http.request":
            path = re.sub(r"(?<=/)[0-9a-f-]{36}$", "ID", record["path"].removeprefix("/api"))
            asked[record["conn"]] = (record["method"], path)
        elif record["kind"] == "http.response" and record["conn"] in asked and "text" in record:
            kind = KINDS.get((*asked[record["conn"]], record["status"]))
            found += [(kind, record["text"])] if kind is not None else []
    return found


@pytest.mark.skipif(not CAPTURES, reason="needs ../shared/recordings")
def test_every_recorded_body_is_its_kind() -> None:
    answers = [answer for capture in CAPTURES for answer in answers_in(capture)]

    for kind, text in answers:
        decode_http(kind, text)

    assert len(answers) > 500
