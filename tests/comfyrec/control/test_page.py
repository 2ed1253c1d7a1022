"""``/__fake__/ui/``: the page of a fake server, live, for this machine only."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from comfyrec.client.shells.blocking import Client
from comfyrec.control import controlled
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.settings import PluginSettings
from tests.comfyrec.control.test_plane import PROMPT
from tests.support.scripted_source import Plain


@pytest.fixture
def server() -> Iterator[ComfyUI]:
    with closing(controlled(PluginSettings())) as server:
        yield server


def ask(server: ComfyUI, path: str, *, method: str = "GET", **headers: str) -> Any:
    fields = {"Host": f"127.0.0.1:{server.port}", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    with Plain(server.port) as client:
        return client.ask(f"{method} /__fake__{path} HTTP/1.1\r\n{lines}\r\n", b"")


def head_of(body: bytes) -> dict[str, Any]:
    raw = gzip.decompress(body)
    (size,) = struct.unpack_from("<I", raw)
    head: dict[str, Any] = json.loads(raw[4 : 4 + size])
    return head


def test_it_shows_what_the_server_did(server: ComfyUI) -> None:
    with Client(server.url) as client:
        client.run(PROMPT)

    status, _, page = ask(server, "/ui/")
    head = head_of(ask(server, "/ui/rows")[2])

    assert status == 200 and b'id="live"' in page
    assert [prompt["outcome"] for prompt in head["prompts"]] == ["success"]
    assert [node[1] for node in head["prompts"][0]["nodes"]] == ["EmptyImage 1", "SaveImage 2"]
    assert head["story"]["version_stated"] is True


def test_it_goes_on_when_the_server_begins_anew(server: ComfyUI) -> None:
    with Client(server.url) as client:
        client.run(PROMPT)
    before = head_of(ask(server, "/ui/rows")[2])
    server.scenario("execution-error")
    with Client(server.url) as client:
        result = client.run(PROMPT)

    after = head_of(ask(server, "/ui/rows")[2])

    assert result.outcome == "error"
    assert after["rows"] > before["rows"]
    assert [prompt["outcome"] for prompt in after["prompts"]] == ["success", "error"]


def test_a_page_without_a_slash_is_led_to_its_folder(server: ComfyUI) -> None:
    status, fields, _ = ask(server, "/ui")

    assert (status, fields["location"]) == (308, "/__fake__/ui/")


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}],
    ids=["another host", "another origin", "another site"],
)
def test_pages_of_others_get_nothing(server: ComfyUI, headers: dict[str, str]) -> None:
    assert ask(server, "/ui/", **headers)[0] == 403
    assert ask(server, "/ui/rows", **headers)[0] == 403


def test_it_is_read_and_not_written(server: ComfyUI) -> None:
    assert ask(server, "/ui/rows", method="DELETE")[0] == 405
    assert ask(server, "/ui/nothing")[0] == 404
