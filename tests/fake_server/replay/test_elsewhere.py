"""Redirects to a host that was not recorded lead to stand-ins, as another host to a client."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from comfyrec.timeline import Timeline
from fake_server.replay.rewrite_response import SYNTHESIZED
from fake_server.source import Response
from tests.support.http_session import RECORDER, SECOND, Live, Recording

STORAGE = "https://storage.example/a/9f8a?X-Goog-Signature=0"
VIEW = "/api/view?filename=p_1.jpg&type=output"
CONTENT = "/api/v2/assets/asset-33333333/content"


def recorded(target: str, location: str, status: int = 302) -> Timeline:
    made = Recording()
    output = {"id": "asset-33333333", "name": "x_00001_.png"}
    job = {"id": "job-11111111", "status": "succeeded", "outputs": [output, {"id": [], "name": 1}]}
    made.answers(made.asks(SECOND, "GET /api/v2/jobs/job-11111111"), 2 * SECOND, job)
    conn = made.asks(3 * SECOND, f"GET {target}")
    made.answers(conn, 4 * SECOND, {}, status, Location=location)
    return made.timeline


def header(answer: Response, name: str) -> str:
    return dict(answer.headers).get(name, "")


def followed(live: Live, target: str, **fields: str) -> tuple[str, Response]:
    """Where a redirect leads, and what is there."""
    location = header(live.answers[live.ask("GET", target)], "Location")
    there = urlsplit(location)
    return location, live.answers[live.ask("GET", there.path, **fields)]


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    "target, location, name, kind",
    [
        (VIEW, STORAGE, "p_1.jpg", "image/jpeg"),
        (CONTENT, STORAGE, "x_00001_.png", "image/png"),
        ("/api/files/1", "https://storage.example/a/clip.mp4", "clip.mp4", "video/mp4"),
        ("/api/files/1", "https://storage.example/", "file", "application/octet-stream"),
    ],
)
def test_a_file_elsewhere_has_a_stand_in_of_its_kind(
    target: str, location: str, name: str, kind: str, strict: bool
) -> None:
    said: list[str] = []
    live = Live(
        recorded(target, location), host="127.0.0.1:9000", strict=strict, notify=said.append
    )

    place, answer = followed(live, target)
    followed(live, target)

    assert place == f"http://localhost:9000/comfyrec-stand-in/storage.example/{name}"
    assert (answer.status, header(answer, "Content-Type")) == (200, kind)
    assert bool(answer.body) is kind.startswith("image/")
    assert "storage.example" in header(answer, SYNTHESIZED)
    assert [one for one in said if "which was not recorded" in one] == said
    assert len(said) == 1
    assert live.player.complaints == []


def test_a_part_of_a_stand_in_can_be_asked_for() -> None:
    live = Live(recorded(CONTENT, STORAGE))

    _, answer = followed(live, CONTENT, Range="bytes=1-3")

    assert (answer.status, answer.body) == (206, b"PNG")


@pytest.mark.parametrize(
    "location, status",
    [(f"http://{RECORDER}/a", 302), ("/a", 302), ("http://[bad", 302), (STORAGE, 201)],
)
def test_other_addresses_stay_what_they_are(location: str, status: int) -> None:
    live = Live(recorded(CONTENT, location, status))

    place = header(live.answers[live.ask("GET", CONTENT)], "Location")

    assert "stand-in" not in place


@pytest.mark.parametrize(
    "path", ["/comfyrec-stand-in/", "/comfyrec-stand-in/h", "/comfyrec-stand-in/%/%FF"]
)
def test_no_path_of_stand_ins_is_too_strange(path: str) -> None:
    live: Any = Live(recorded(CONTENT, STORAGE))

    assert live.answers[live.ask("GET", path)].status == 200
