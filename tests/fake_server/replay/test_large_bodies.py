"""Large bodies in a replay: they go from file to socket, and say what they said in memory."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from comfyrec.cassette.files.body_file import BodyFile
from comfyrec.http.large_body import StoredBody
from comfyrec.timeline import Timeline
from fake_server.replay import Player, replay_differences
from fake_server.replay.differences import difference_of_large
from fake_server.replay.recorded.request_key import request_key_of
from fake_server.server.thread import serve
from tests.support.large_bodies import (
    LIVE,
    MADE,
    RECORDED,
    SIZE,
    large_records,
    upload_form,
)


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    return Timeline.build(large_records(), store=BodyFile())


@pytest.fixture(params=[False, True], ids=["lenient", "strict"])
def url(request: pytest.FixtureRequest, timeline: Timeline) -> Iterator[str]:
    player = Player(timeline, takes_stored=True, strict=request.param)
    with serve(player, port=0) as handle:
        yield handle.url


def _get(url: str, path: str) -> tuple[bytes, Any]:
    with urllib.request.urlopen(f"{url}{path}", timeout=30) as answer:
        return answer.read(), answer.headers


def _upload(url: str, image: bytes, name: str) -> Any:
    fields = {"Content-Type": "multipart/form-data; boundary=B"}
    request = urllib.request.Request(f"{url}/upload/image", upload_form(image, name), fields)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_the_timeline_keeps_no_large_body_in_memory(timeline: Timeline) -> None:
    messages = [exchange.request for exchange in timeline.exchanges]
    messages += [exchange.response for exchange in timeline.exchanges if exchange.response]

    assert [len(m.body) for m in messages if m.stored is None] == [0, 58]
    assert [m.stored.size for m in messages if m.stored] == [
        len(upload_form(RECORDED, "recorded.png")),
        SIZE,
    ]


def test_a_recorded_file_is_viewed(url: str) -> None:
    body, fields = _get(url, "/view?filename=made.png")

    assert body == MADE
    assert fields["Content-Length"] == str(SIZE)
    assert fields["Content-Type"] == "image/png"


def test_an_upload_of_other_bytes_comes_back_under_its_name(timeline: Timeline) -> None:
    with serve(Player(timeline, takes_stored=True), port=0) as handle:
        assert _upload(handle.url, LIVE, "live.png")["name"] == "live.png"
        assert _get(handle.url, "/view?filename=live.png&type=input")[0] == LIVE


def test_large_bodies_are_told_apart_where_samples_are_the_same(timeline: Timeline) -> None:
    asked = timeline.exchanges[0].asked
    nearly = bytearray(upload_form(RECORDED, "recorded.png"))
    nearly[SIZE // 2 + 3_000] ^= 0xFF
    keys = []
    for body in (upload_form(RECORDED, "recorded.png"), bytes(nearly)):
        writer = BodyFile().begin()
        writer.write(body)
        keys.append(request_key_of(msgspec.structs.replace(asked, stored=writer.done()), str))

    assert keys[0].body_key == keys[1].body_key
    assert keys[0].has_body_of(request_key_of(asked, str))
    assert not keys[1].has_body_of(keys[0])


def test_large_bodies_replay_themselves(timeline: Timeline) -> None:
    assert replay_differences(timeline) == []


SHORT = (
    (RECORDED, RECORDED, ""),
    (RECORDED, MADE, f"was a body of {SIZE} bytes, in the replay another one"),
    (MADE, MADE[:-1], f"was a body of {SIZE} bytes, in the replay a body of {SIZE - 1} bytes"),
)


@pytest.mark.parametrize("where", ["both in files", "the recorded one", "the other one"])
@pytest.mark.parametrize("recorded, replayed, said", SHORT, ids=["same", "other", "shorter"])
def test_what_is_said_of_large_bodies(
    recorded: bytes, replayed: bytes, said: str, where: str
) -> None:
    one = recorded if where == "the other one" else _stored(recorded)
    other = replayed if where == "the recorded one" else _stored(replayed)

    assert str(difference_of_large(one, other) or "") == said


def _stored(data: bytes) -> StoredBody:
    sink = BodyFile().begin()
    sink.write(data)
    return sink.done()
