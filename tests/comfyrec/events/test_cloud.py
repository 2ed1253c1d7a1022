"""Comfy Cloud's bodies: its own, and those that are ComfyUI's in another shape."""

from __future__ import annotations

import json

import pytest

from comfyrec.errors import DecodeError
from comfyrec.events import (
    CloudError,
    CloudHistory,
    CloudUser,
    HistoryList,
    Job,
    JobStatus,
    decode_http,
)

ID = "0e2f8f3c-6c1c-4f43-9f7b-5f7a3a1f2f10"
OUTPUTS = {"9": {"images": [{"filename": "ab12.png", "subfolder": "", "type": "output"}]}}
PROMPT = {"priority": 3, "prompt_id": ID, "extra_data": {"client_id": "c"}}
STATUS = {"status_str": "success", "completed": True, "messages": []}

ENDS = {
    "success": "success",
    "completed": "success",
    "error": "error",
    "failed": "error",
    "non_retryable_error": "error",
    "lost": "lost",
    "cancelled": "cancelled",
    "queued_waiting": None,
    "cancel_requested": None,
    "waiting_to_dispatch": None,
    "a word of next year": None,
}


@pytest.mark.parametrize("word, end", ENDS.items(), ids=str)
def test_a_status_word_says_how_the_job_ended_or_that_it_goes_on(word: str, end: str) -> None:
    status = decode_http(JobStatus, json.dumps({"id": ID, "status": word, "error_message": None}))

    assert (status.id, status.status, status.end) == (ID, word, end)


def test_the_detailed_history_has_an_object_where_a_local_one_has_an_array() -> None:
    full = {**PROMPT, "prompt": {"9": {"class_type": "SaveImage"}}, "outputs_to_execute": ["9"]}
    entry = {"prompt": full, "outputs": OUTPUTS, "status": STATUS, "meta": {}}
    history = decode_http(CloudHistory, json.dumps({ID: entry}))[ID]

    assert history.prompt is not None
    assert (history.prompt.number, history.prompt.prompt_id) == (3, ID)
    assert history.prompt.client_id == "c"
    assert history.prompt.outputs_to_execute == ["9"]
    assert [file.filename for file in history.all_files()] == ["ab12.png"]


def test_the_listed_history_names_its_prompts_and_leaves_their_nodes_out() -> None:
    entries = [{"prompt_id": ID, "create_time": 5, "prompt": PROMPT}, {"prompt_id": "b"}]
    listed = decode_http(HistoryList, json.dumps({"history": entries})).history

    assert [(entry.prompt_id, entry.create_time) for entry in listed] == [(ID, 5), ("b", None)]
    assert listed[0].prompt is not None
    assert listed[0].prompt.prompt == {}
    assert listed[1].prompt is None


def test_a_job_has_the_times_and_the_meta_that_only_comfy_cloud_sends() -> None:
    body = {"id": ID, "status": "completed", "create_time": 7, "update_time": 9}
    job = decode_http(Job, json.dumps({**body, "outputs": OUTPUTS, "execution_meta": {"9": {}}}))

    assert (job.create_time, job.update_time, job.execution_meta) == (7, 9, {"9": {}})


def test_small_bodies() -> None:
    error = decode_http(CloudError, '{"code": "NOT_FOUND", "message": "no such job"}')

    assert error == CloudError("NOT_FOUND", "no such job")
    assert decode_http(CloudUser, '{"status": "active"}').status == "active"
    with pytest.raises(DecodeError, match="status"):
        decode_http(JobStatus, "{}")
