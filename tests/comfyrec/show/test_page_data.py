"""The data of a page: columns and payloads come out as they went in, and stay small."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from typing import Any

import pytest

from comfyrec.cassette.files import bundled, find_cassette, open_cassette
from comfyrec.show.page_data import BODY_BYTES_MAX, PageData, page_data
from comfyrec.timeline import Timeline
from comfyrec.timeline.moments import moments_of
from comfyrec.timeline.story import tell
from tests.support.timeline_samples import Recording, session

SIZES = {"d": 8, "f": 4, "I": 4, "i": 4, "H": 2, "B": 1}


def packed(timeline: Timeline) -> PageData:
    return page_data(timeline, tell(timeline), name="x", redacted=("secret",))


def unpacked(data: PageData) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    raw = gzip.decompress(base64.b64decode(data.columns))
    (size,) = struct.unpack_from("<I", raw)
    head, at, columns = json.loads(raw[4 : 4 + size]), 4 + size, {}
    for name, code, length in head["columns"]:
        assert at % 8 == 0
        columns[name] = struct.unpack_from(f"<{length}{code}", raw, at)
        at += -(-length * SIZES[code] // 8) * 8
    return head, columns


def payloads(data: PageData) -> list[Any]:
    blocks = [json.loads(gzip.decompress(base64.b64decode(block))) for block in data.blocks]
    return [payload for block in blocks for payload in block]


def timeline_of(name: str) -> Timeline:
    with open_cassette(find_cassette(name)) as reader:
        return Timeline.build(reader)


@pytest.mark.parametrize("name", bundled())
def test_columns_tell_what_the_moments_tell(name: str) -> None:
    timeline = timeline_of(name)
    moments = moments_of(timeline)

    head, columns = unpacked(packed(timeline))

    strings = head["strings"]
    assert head["rows"] == len(moments) == len(payloads(packed(timeline)))
    assert list(columns["t"]) == [m.t_us for m in moments]
    assert [strings[n] for n in columns["type"]] == [m.type for m in moments]
    assert [strings[n] for n in columns["words"]] == [m.words for m in moments]
    prompts = [m.prompt for m in moments if m.prompt is not None]
    assert [n for n in columns["prompt"] if n >= 0] == prompts


def test_a_message_is_its_own_payload_and_a_preview_is_a_picture() -> None:
    timeline = timeline_of("fresh-run-previews")
    data = packed(timeline)

    _, columns = unpacked(data)

    pictured = [row for row, number in enumerate(columns["picture"]) if number >= 0]
    assert len(pictured) == 5
    assert {media_type for media_type, _ in data.pictures} == {"image/jpeg", "image/png"}
    assert timeline.sockets[0].messages[0].data in payloads(data)
    assert sum(len(block) for block in data.blocks) < 20_000


def test_idle_time_can_be_folded_and_a_running_prompt_cannot() -> None:
    head, _ = unpacked(packed(timeline_of("fresh-run-previews")))
    later, _ = unpacked(packed(timeline_of("execution-error")))

    assert head["gaps"] == []
    assert later["gaps"] == [[0, 243_375]]


def test_a_large_body_is_cut_and_its_size_is_said() -> None:
    recording = Recording()
    recording.request(1, "GET", "/object_info")
    recording.answer(1, b"x" * (BODY_BYTES_MAX + 5))

    answer = payloads(packed(Timeline.build(recording.end())))[1]

    assert len(answer[2]) == BODY_BYTES_MAX
    assert answer[3] == BODY_BYTES_MAX + 5


@pytest.mark.parametrize("value", [float("1e300"), 2**70, -1], ids=["float", "integer", "negative"])
def test_numbers_that_fit_no_column_are_left_out(value: float) -> None:
    recording = session()
    recording.says(1, "progress", value=value, max=1, prompt_id="p", node="1")

    _, columns = unpacked(packed(Timeline.build(recording.end())))

    assert columns["value"][-1] in (-1.0, pytest.approx(value))


def test_an_svg_is_no_picture_of_the_page() -> None:
    recording = Recording()
    recording.asked(1, "GET", "/view?filename=a.svg", answer=b"<svg onload='x'/>")

    assert packed(Timeline.build(recording.end())).pictures == ()
