"""``/__fake__/ui/``: the page of a fake server, live, for this machine only."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.client.shells.blocking import Client
from comfyrec.control import controlled
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.settings import PluginSettings
from comfyrec.timeline import Timeline
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


def test_it_has_the_column_of_controls(server: ComfyUI) -> None:
    page = ask(server, "/ui/")[2]

    assert b'id="panel-data"' in page
    assert b"class Panel" in page


def test_what_happened_is_kept_as_a_cassette_that_replays(server: ComfyUI, tmp_path: Path) -> None:
    with Client(server.url, headers={"Authorization": "Bearer sk-abcdefghijklmnop"}) as client:
        client.run(PROMPT)
    status, fields, data = ask(server, "/ui/cassette.jsonl")
    path = tmp_path / "kept.jsonl"
    path.write_bytes(data)

    assert (status, fields["content-disposition"]) == (200, 'attachment; filename="cassette.jsonl"')
    assert b"sk-abcdefghijklmnop" not in data
    with open_cassette(path) as reader:
        timeline = Timeline.build(reader)
        assert reader.problems == []
    assert [prompt.outcome for prompt in timeline.prompts] == ["success"]
    assert timeline.t > 1_600_000_000_000_000
    server.cassette(path)
    with Client(server.url) as client:
        assert client.run(PROMPT).outcome == "success"


@pytest.mark.parametrize(
    "play, told",
    [
        (lambda server: server.scenario("execution-error", message="no"),
         ["@pytest.mark.comfyui(scenario='execution-error', message='no')"]),
        (lambda server: server.scenarios("ws-silent:after=start", "queued-behind"),
         ["comfyui.scenarios('ws-silent:after=start', 'queued-behind')"]),
        (lambda server: server.cassette("all-cached"),
         ["@pytest.mark.comfyui(cassette='all-cached')"]),
        (lambda server: server.cassette("all-cached", "queued-behind"),
         ["comfyui.cassette('all-cached', 'queued-behind')"]),
    ],
    ids=["a scenario", "several", "a cassette", "a cassette under a scenario"],
)  # fmt: skip
def test_what_is_played_is_kept_as_a_test(
    server: ComfyUI, play: Callable[[ComfyUI], object], told: list[str]
) -> None:
    play(server)

    text = ask(server, "/ui/test_comfyui.py")[2].decode()

    compile(text, "test_comfyui.py", "exec")
    assert [one for one in told if one not in text] == []
    assert "WORKFLOW = {" in text
