"""The job list and how it is asked for."""

from __future__ import annotations

import json

import pytest

from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from tests.support.source_client import (
    ask,
)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=", "limit must be an integer"),
        ("offset=", "offset must be an integer"),
        ("sort_by=", "sort_by must be 'created_at' or 'execution_duration'"),
        ("sort_order=", "sort_order must be 'asc' or 'desc'"),
        ("status=", None),
        ("status=,", None),
    ],
)
def test_an_empty_word_is_a_word_in_the_job_list(query: str, error: str | None) -> None:
    told = json.loads(ask(SimulatedServer(), "GET", f"/api/jobs?{query}").body)

    assert told.get("error") == error


GRAPH = {
    "1": {"class_type": "EmptyImage",
          "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}  # fmt: skip


def test_blank_entries_of_a_status_list_leave_nothing() -> None:
    server = SimulatedServer()
    ask(server, "POST", "/prompt", {"prompt": GRAPH})

    listed = [json.loads(ask(server, "GET", f"/api/jobs{q}").body) for q in ("?status=,", "")]

    assert [len(one["jobs"]) for one in listed] == [0, 1]


@pytest.mark.parametrize(("body", "status"), [(b"tIQ\xce", 500), (b"tIQ", 400)])
def test_a_list_of_jobs_that_is_no_text_is_no_json_error(body: bytes, status: int) -> None:
    assert ask(SimulatedServer(ServerOptions()), "POST", "/api/jobs/cancel", body).status == status
