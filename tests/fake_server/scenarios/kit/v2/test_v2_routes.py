"""Routes and errors of v2, as scenarios write them."""

from __future__ import annotations

import json

import pytest

from fake_server.scenarios.kit import EVENTS, JOB, SUBMIT, v2_error, v2_route
from fake_server.source import Request


@pytest.mark.parametrize("prefix", ["", "/deployment/d1"])
def test_a_route_is_found_wherever_it_is_mounted(prefix: str) -> None:
    assert SUBMIT(Request("POST", f"{prefix}/api/v2/jobs"))
    assert JOB(Request("GET", f"{prefix}/api/v2/jobs/7?x=1"))
    assert EVENTS(Request("GET", f"{prefix}/api/v2/jobs/7/events"))
    assert v2_route("GET /jobs")(Request("GET", f"{prefix}/api/v2/jobs?limit=1"))


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/api/v2/jobs"),
        Request("POST", "/api/v2/jobs/7"),
        Request("POST", "/jobs"),
        Request("POST", "/api/v2"),
        Request("POST", "*"),
    ],
)
def test_other_requests_are_not_it(request_: Request) -> None:
    assert not SUBMIT(request_)


def test_an_error_has_its_code_and_when_to_come_again() -> None:
    answer = v2_error(429, "queue_full", "full", retry_after="3")

    assert json.loads(answer.body)["error"] == {"code": "queue_full", "message": "full"}
    assert dict(answer.headers)["Retry-After"] == "3"
    assert "Retry-After" not in dict(v2_error(404, "not_found", "no").headers)
