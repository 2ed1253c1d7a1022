"""Which request is which operation."""

from __future__ import annotations

import json

import pytest

from fake_server.source import Request
from fake_server.surfaces.cloud.answers import Refused
from fake_server.surfaces.cloud.routes import ROUTES, route_of
from tests.support.cloud_client import CloudRig


@pytest.mark.parametrize("method, path, name", ROUTES, ids=lambda value: str(value))
def test_each_route_is_found_and_answers(method: str, path: str, name: str) -> None:
    target = "/api/" + "/".join("x1" if part[0] == "{" else part for part in path.split("/"))
    answer = CloudRig().ask(target, {} if method in ("POST", "PUT") else None, method=method)

    assert route_of(Request(method, target))[0] == name
    assert answer.status < 600
    if answer.status >= 400 and not path.startswith("userdata"):  # plain text there
        assert set(json.loads(answer.body)) == {"code", "message"}


NOT_THERE = {
    "GET /api/jobs/a/b": 404,
    "GET /api/job/a": 404,
    "GET /api/job//status": 404,
    "PUT /api/jobs/a": 405,
    "DELETE /api/prompt": 405,
    "GET /api/settings": 404,
}


@pytest.mark.parametrize("asked, status", NOT_THERE.items(), ids=NOT_THERE)
def test_what_is_not_a_route_is_refused(asked: str, status: int) -> None:
    method, _, target = asked.partition(" ")

    with pytest.raises(Refused) as refused:
        route_of(Request(method, target))

    assert refused.value.answer.status == status


@pytest.mark.parametrize(
    "asked, allowed",
    {
        "PUT /api/jobs/a": "GET",
        "DELETE /api/queue": "GET, POST",
        "DELETE /api/system_stats": "GET",  # which needs no key
        "POST /api/features": "GET",
    }.items(),
)
def test_a_wrong_method_is_told_which_ones_there_are(asked: str, allowed: str) -> None:
    method, _, target = asked.partition(" ")

    answer = CloudRig().ask(target, method=method)

    assert answer.status == 405
    assert dict(answer.headers)["Allow"] == allowed


def test_a_route_by_name_goes_before_one_with_an_id() -> None:
    assert route_of(Request("POST", "/api/assets/download"))[0] == "createAssetDownload"
    assert route_of(Request("HEAD", "/api/jobs/a")) == ("getJobDetail", "a")
