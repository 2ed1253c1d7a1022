"""What real servers answered, asked of ours: every request of the recordings that needs no run."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from comfyrec.versions import era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.server.http_response import rendered
from fake_server.simulated_server import SimulatedServer
from fake_server.source import Request, RequestReceived, Respond, Response
from tests.support.paths import SHARED

RECORDINGS = SHARED / "recordings"
pytestmark = pytest.mark.skipif(
    not RECORDINGS.exists(), reason="the recordings of real servers are not beside the repository"
)

FILES = (
    "v0.27.0/routes_get_tour", "v0.27.0/routes_get_tour_api_prefix",
    "v0.27.0/routes_unknown_and_methods", "v0.27.0/upload_and_view",
    "v0.27.0/userdata_settings_users", "v0.27.0/origin_host_checks",
    "v0.27.0/cors_compress_limits", "v0.27.0/prompt_bad_bodies", "v0.8.2/routes",
    "v0.3.64/routes", "v0.3.10/routes", "e2024-07/routes",
)  # fmt: skip
# What the recorded machines had and ours has not: packages, custom nodes, models of their own.
NOT_OURS = ("/extensions/gt-nodes/", "/templates/", "/docs/", "/object_info", "/extensions")
# Fields whose value is the machine's or the moment's; that they are there is compared.
VOLATILE = ("Etag", "Last-Modified", "Content-Length")
# What aiohttp adds, and what the fake says beside the real answer.
ADDED = ("Date", "Server", "X-Fake-Hint")
# Bodies that tell of the machine; only their shape is compared.
OF_THE_MACHINE = ("/system_stats", "/folder_paths", "/experiment/models", "/logs", "/logs/raw")
FREE = ("/", "/api/", "/embeddings", "/view_metadata/checkpoints", "/history")


class _Asked:
    """As much of an aiohttp request as rendering looks at."""

    version = (1, 1)

    def __init__(self, method: str) -> None:
        self.method = method


def _body(row: dict[str, Any]) -> bytes:
    return row["text"].encode() if "text" in row else base64.b64decode(row.get("b64", ""))


def _exchanges(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    rows = map(json.loads, (RECORDINGS / f"{name}.jsonl").read_text("utf-8").splitlines())
    asked: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["kind"] == "http.request":
            asked[row["conn"]] = row
        elif row["kind"] == "http.response" and "body_omitted" not in asked[row["conn"]]:
            yield asked[row["conn"]], row


def _world(name: str) -> SimulatedServer:
    header = json.loads((RECORDINGS / f"{name}.jsonl").read_text("utf-8").splitlines()[0])
    flags = [*header["launch_flags"], ""]
    given = dict(itertools.pairwise(flags))
    upload = given.get("--max-upload-size")
    version = name.partition("/")[0].removeprefix("e").removeprefix("v")
    return SimulatedServer(
        ServerOptions(
            catalogue=Catalogue.core().with_models(
                {"checkpoints": ["rnd-sd15-slim.safetensors"], "loras": []}
            ),
            era=era_of(version),
            max_upload_size=float(upload) * 1_048_576
            if upload
            else ServerOptions().max_upload_size,
            cors_origin=given.get("--enable-cors-header"),
            compress_responses="--enable-compress-response-body" in flags,
        )
    )


def _answer(
    world: SimulatedServer, row: dict[str, Any], now: int
) -> tuple[int, list[tuple[str, str]], bytes]:
    target = row["path"] + (f"?{row['query']}" if row.get("query") else "")
    request = Request(row["method"], target, tuple(map(tuple, row["headers"])), _body(row))
    replies = [a for a in world.handle(RequestReceived(1, request), now) if isinstance(a, Respond)]
    answer: Response = replies[0].answer
    raw = b"".join(rendered(answer, _Asked(row["method"]), not answer.close))
    head, _, body = raw.partition(b"\r\n\r\n")
    start, *lines = head.decode().split("\r\n")
    fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    if ("Transfer-Encoding", "chunked") in fields and body == b"0\r\n\r\n":
        body = b""
    return int(start.split()[1]), fields, body


def _steady(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [
        (name, "" if name in VOLATILE else value) for name, value in fields if name not in ADDED
    ]


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__


def _same_body(path: str, ours: bytes, theirs: bytes) -> bool:
    if ours == theirs or path in FREE or path.removeprefix("/api") in FREE:
        return True
    try:
        ours_said, theirs_said = json.loads(ours), json.loads(theirs)
    except ValueError:
        return ours[:4] == theirs[:4] and len(theirs) > 40  # two pictures
    if any(path.endswith(end) or end in path for end in OF_THE_MACHINE):
        return bool(_shape(ours_said) == _shape(theirs_said))
    return _without_times(ours_said) == _without_times(theirs_said)


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if k not in ("modified", "created")}
    if isinstance(value, list):
        # Of files with one time, any may come first.
        return sorted((_without_times(inner) for inner in value), key=str)
    return value


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_the_answers_are_those_of_the_recording(name: str) -> None:
    world = _world(name)

    different = []
    for now, (asked, answered) in enumerate(_exchanges(name)):
        status, fields, body = _answer(world, asked, now * 5_000)
        minted = asked["path"] in ("/prompt", "/users") and asked["method"] == "POST"
        if asked["path"].startswith(NOT_OURS) or (minted and status == 200):
            continue
        got = (status, _steady(fields))
        wanted = (answered["status"], _steady([tuple(pair) for pair in answered["headers"]]))
        compressed = any(field == "Content-Encoding" for field, _ in fields)
        seen = not compressed and "body_omitted" not in answered and "trimmed" not in answered
        same = (
            not seen
            or asked["method"] == "HEAD"
            or _same_body(asked["path"], body, _body(answered))
        )
        if got != wanted or not same:
            different.append(
                (
                    asked["method"],
                    asked["path"],
                    asked.get("query"),
                    got,
                    body,
                    wanted,
                    _body(answered),
                )
            )

    assert not different
