"""Comfy API v2 as structs: jobs, assets, events, errors; what is new, missing or wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyrec.errors import DecodeError
from comfyrec.events import v2

JOB = {
    "id": "7f3d2c1b-9a8e-4d6f-b012-3c4d5e6f7a8b",
    "status": "running",
    "created_at": "2026-01-01T00:00:00Z",
    "started_at": "2026-01-01T00:00:01Z",
    "completed_at": None,
    "expires_at": "2026-01-02T00:00:00Z",
    "queue_position": None,
    "progress": {"value": 0.42, "nodes_done": 11, "nodes_total": 31, "current_node": "12"},
    "outputs": [],
    "error": None,
    "urls": {"self": "/api/v2/jobs/7", "events": "/e", "cancel": "/c"},
    "a_newer_field": {"x": 1},
}


def test_a_job_is_read_with_its_progress_and_its_links():
    job = v2.decode_http(v2.Job, json.dumps(JOB))

    assert job.progress is not None
    assert (job.progress.value, job.progress.step) == (0.42, None)
    assert job.urls.events == "/e"
    assert not job.is_terminal
    assert v2.decode_http(v2.Job, json.dumps({**JOB, "status": "failed"})).is_terminal


def test_what_a_job_must_have_is_asked_for():
    with pytest.raises(DecodeError, match="urls"):
        v2.decode_http(v2.Job, json.dumps({k: v for k, v in JOB.items() if k != "urls"}))


@pytest.mark.parametrize(
    ("event", "data", "kind"),
    [
        ("status", {"status": "queued", "queue_position": 3}, v2.StatusChange),
        ("progress", {"value": 1, "nodes_done": 2, "nodes_total": 2}, v2.Progress),
        (
            "preview",
            {"node_id": "3", "content_type": "image/jpeg", "data_base64": "/9g="},
            v2.Preview,
        ),
        ("log", {"level": "info", "message": "x"}, v2.Log),
        ("status", {"status": 7}, v2.Misfit),
        ("progress", [], v2.Misfit),
        ("output", {"node_id": "9"}, v2.Output),
        ("output", {"node_id": 9}, v2.Misfit),
        ("something-new", {"a": 1}, v2.Unknown),
        ("status", {"status": "a-new-state", "more": 1}, v2.StatusChange),
    ],
)
def test_an_event_is_typed_by_its_name_and_never_refused(event: str, data: Any, kind: type):
    assert type(v2.decode_event(event, json.dumps(data))) is kind


def test_data_that_is_not_json_is_no_event():
    with pytest.raises(DecodeError):
        v2.decode_event("status", "queued")


def test_a_preview_has_its_picture_and_a_broken_one_none():
    good = v2.Preview(node_id="3", content_type="image/jpeg", data_base64="/9g=")

    assert good.image == b"\xff\xd8"
    assert v2.Preview(node_id="3", content_type="image/jpeg", data_base64="?").image == b""


def test_an_error_has_its_code():
    body = json.dumps({"error": {"code": "queue_full", "message": "wait"}})

    assert v2.decode_http(v2.ErrorEnvelope, body).error.code == "queue_full"
    assert v2.StatusChange(status="canceling").is_terminal is False
    assert v2.StatusChange(status="expired").is_terminal
