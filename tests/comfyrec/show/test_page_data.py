"""The data of a page: columns and payloads come out as they went in, and stay small."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterable
from typing import Any

import pytest

from comfyrec.cassette.files import bundled, find_cassette, open_cassette
from comfyrec.cassette.records import AnyRecord
from comfyrec.show.page_data import BODY_BYTES_MAX, PageRows, Seen, packed_rows
from comfyrec.timeline import Timeline
from comfyrec.timeline.live import Live
from tests.support.timeline_samples import Recording, run, session

SIZES = {"d": 8, "f": 4, "I": 4, "i": 4, "H": 2, "B": 1}


class Shelf:
    """What a page has, in memory."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.pictures: list[tuple[str, bytes]] = []
        self.columns = b""
        self.left_out = 0

    def block(self, number: int, packed: bytes) -> None:
        assert number == len(self.blocks)
        self.blocks.append(packed)

    def picture(self, number: int, media_type: str, data: bytes) -> None:
        assert number == len(self.pictures)
        self.pictures.append((media_type, data))


def paged(records: Iterable[AnyRecord], **options: Any) -> tuple[PageRows, Shelf]:
    live, shelf = Live(), Shelf()
    rows = PageRows(live, shelf, name="x", redacted=("secret",), **options)
    for record in records:
        rows.add(live.take(record))
    rows.add(live.finish())
    rows.finish()
    shelf.columns = packed_rows(rows, Seen(), whole=True)
    return rows, shelf


def unpacked(packed: bytes) -> tuple[dict[str, Any], dict[str, tuple[Any, ...]]]:
    raw = gzip.decompress(packed)
    (size,) = struct.unpack_from("<I", raw)
    head, at, columns = json.loads(raw[4 : 4 + size]), 4 + size, {}
    for name, code, length in head["columns"]:
        assert at % 8 == 0
        columns[name] = struct.unpack_from(f"<{length}{code}", raw, at)
        at += -(-length * SIZES[code] // 8) * 8
    return head, columns


def payloads(shelf: Shelf) -> list[Any]:
    return [payload for block in shelf.blocks for payload in json.loads(gzip.decompress(block))]


def records_of(name: str) -> list[AnyRecord]:
    with open_cassette(find_cassette(name)) as reader:
        return list(reader)


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled())
def test_columns_tell_what_the_moments_tell(name: str) -> None:
    live, moments = Live(), []
    for record in records_of(name):
        moments += [one.moment for one in live.take(record)]
    moments += [one.moment for one in live.finish()]

    rows, shelf = paged(records_of(name))

    head, columns = unpacked(shelf.columns)
    strings = head["strings"]
    assert head["rows"] == rows.rows == len(moments) == len(payloads(shelf))
    assert list(columns["t"]) == [m.t_us for m in moments]
    assert [strings[n] for n in columns["type"]] == [m.type for m in moments]
    assert [strings[n] for n in columns["words"]] == [m.words for m in moments]
    numbers = {number for number in columns["prompt"] if number >= 0}
    assert numbers == {prompt["number"] for prompt in head["prompts"]}


def test_the_request_of_a_prompt_gets_its_number_when_it_is_answered() -> None:
    _, shelf = paged(run(session()).end())

    head, columns = unpacked(shelf.columns)

    types = [head["strings"][n] for n in columns["type"]]
    assert columns["prompt"][types.index("POST")] == 0


@pytest.mark.parametrize("name", ["execution-error", "two-clients", "fresh-run-previews"])
def test_a_page_that_grows_gets_the_same_as_one_that_is_whole(name: str) -> None:
    live, shelf = Live(), Shelf()
    rows = PageRows(live, shelf, name="x", redacted=())
    seen, strings, prompts, exchanges = Seen(), list[str](), dict[int, Any](), list[Any]()
    columns: dict[str, list[Any]] = {}

    for record in records_of(name):
        rows.add(live.take(record))
        head, news = unpacked(packed_rows(rows, seen, whole=False))
        seen = Seen(*head["seen"])
        strings += head["strings"]
        exchanges += head["exchanges"]
        prompts |= {prompt["number"]: prompt for prompt in head["prompts"]}
        for column, values in news.items():
            columns.setdefault(column, []).extend(values)
        for row, number in head["patches"]:
            columns["prompt"][row] = number

    head, whole = unpacked(packed_rows(rows, Seen(), whole=False))
    assert columns == {column: list(values) for column, values in whole.items()}
    assert (strings, exchanges) == (head["strings"], head["exchanges"])
    assert prompts == {prompt["number"]: prompt for prompt in head["prompts"]}


def test_a_message_is_its_own_payload_and_a_preview_is_a_picture() -> None:
    _, shelf = paged(records_of("fresh-run-previews"))

    _, columns = unpacked(shelf.columns)

    timeline = Timeline.build(records_of("fresh-run-previews"))
    pictured = [row for row, number in enumerate(columns["picture"]) if number >= 0]
    assert len(pictured) == 5
    assert {media_type for media_type, _ in shelf.pictures} == {"image/jpeg", "image/png"}
    assert timeline.sockets[0].messages[0].data in payloads(shelf)
    assert sum(len(block) for block in shelf.blocks) < 20_000


def test_pictures_beyond_the_bound_are_left_out_and_counted() -> None:
    whole = paged(records_of("fresh-run-previews"))[1].pictures
    room = len(whole[0][1])

    rows, shelf = paged(records_of("fresh-run-previews"), pictures_max=room)

    head, _ = unpacked(shelf.columns)
    assert shelf.pictures == whole[:1]
    assert head["left_out"] == rows.pictures_left_out == len(whole) - 1


def test_idle_time_can_be_folded_and_a_running_prompt_cannot() -> None:
    head, _ = unpacked(paged(records_of("fresh-run-previews"))[1].columns)
    later, _ = unpacked(paged(records_of("execution-error"))[1].columns)

    assert head["gaps"] == []
    assert later["gaps"] == [[0, 243_375]]


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\u2028"])
def test_a_large_body_is_cut_and_its_size_is_said(letter: str) -> None:
    body = b"x" + letter.encode() * BODY_BYTES_MAX
    recording = Recording()
    recording.request(1, "GET", "/object_info")
    recording.answer(1, body)

    answer = payloads(paged(recording.end())[1])[1]

    assert BODY_BYTES_MAX - 3 < len(answer[2].encode()) <= BODY_BYTES_MAX
    assert answer[3] == len(body)


@pytest.mark.parametrize("value", [float("1e300"), 2**70, -1], ids=["float", "integer", "negative"])
def test_numbers_that_fit_no_column_are_left_out(value: float) -> None:
    recording = session()
    recording.says(1, "progress", value=value, max=1, prompt_id="p", node="1")

    _, columns = unpacked(paged(recording.end())[1].columns)

    assert columns["value"][-1] in (-1.0, pytest.approx(value))


def test_an_svg_is_not_a_picture_of_the_page() -> None:
    recording = Recording()
    recording.asked(1, "GET", "/view?filename=a.svg", answer=b"<svg onload='x'/>")

    assert paged(recording.end())[1].pictures == []


def test_a_type_that_comes_after_very_many_texts_has_its_place() -> None:
    live, shelf = Live(), Shelf()
    rows = PageRows(live, shelf, name="x", redacted=())
    for text in range(70_000):  # as the steps of long runs: "1 of 70000", "2 of 70000", ...
        rows._strings.number(str(text))

    for record in run(session()).end():
        rows.add(live.take(record))
    rows.add(live.finish())
    rows.finish()

    head, columns = unpacked(packed_rows(rows, Seen(), whole=True))
    assert "executing" in {head["strings"][number] for number in columns["type"]}
