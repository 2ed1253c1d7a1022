"""What a page asks its server for: itself, what is new, payloads and pictures."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from comfyrec.cassette.files import find_cassette, open_cassette
from comfyrec.cassette.files.temporary_blocks import TemporaryBlocks
from comfyrec.show.live_page import LivePage, PageAnswer
from comfyrec.show.page_data import BLOCK_ROWS, Seen
from comfyrec.show.page_file import page_files
from tests.support.timeline_samples import run, session


@pytest.fixture
def page() -> Iterator[LivePage]:
    spool = TemporaryBlocks()
    yield LivePage(spool, page_files(), name="x", instance="one")
    spool.close()


def head_of(answer: PageAnswer | None) -> dict[str, Any]:
    assert answer is not None and answer.status == 200
    raw = gzip.decompress(answer.body)
    (size,) = struct.unpack_from("<I", raw)
    head: dict[str, Any] = json.loads(raw[4 : 4 + size])
    return head


def query_of(head: dict[str, Any]) -> dict[str, str]:
    seen = Seen(*head["seen"])._asdict()
    return {**{name: str(count) for name, count in seen.items()}, "instance": head["instance"]}


def test_a_page_gets_what_it_has_not_seen(page: LivePage) -> None:
    recording = run(session())
    page.take(recording.records[:5])
    first = head_of(page.answer("/rows", {}))
    known = query_of(first)
    assert not page.has_news(known)

    page.take(recording.records[5:])

    assert page.has_news(known)
    later = head_of(page.answer("/rows", known))
    assert (first["rows"], later["from"]) == (later["from"], first["rows"])
    assert later["rows"] == page.rows.rows
    assert not set(first["strings"]) & set(later["strings"])
    assert urlencode(known)


def test_a_page_of_another_time_gets_all_anew(page: LivePage) -> None:
    page.take(run(session()).records)

    head = head_of(page.answer("/rows", {"rows": "3", "instance": "another"}))

    assert (head["from"], head["instance"]) == (0, "one")
    assert page.has_news({"instance": "another"})


@pytest.mark.parametrize("value", ["-1", "x", "9" * 30, "1e3", "\u0663"])
def test_numbers_that_are_none_are_taken_for_nothing_seen(page: LivePage, value: str) -> None:
    page.take(session().records)

    assert head_of(page.answer("/rows", {"rows": value}))["from"] == 0
    assert page.answer("/block", {"n": value}) is None
    assert page.answer("/picture", {"n": value}) is None


def test_payloads_come_by_blocks_and_the_last_one_grows(page: LivePage) -> None:
    recording = session()
    for number in range(60):
        run(recording, prompt_id=f"p{number}", conn=10 + number, number=number)
    page.take(recording.records)

    blocks = []
    for number in range(page.rows.blocks + 1):
        answer = page.answer("/block", {"n": str(number)})
        assert answer is not None
        blocks.append(json.loads(gzip.decompress(answer.body)))

    assert [len(block) for block in blocks[:-1]] == [BLOCK_ROWS] * page.rows.blocks
    assert sum(map(len, blocks)) == page.rows.rows
    assert page.answer("/block", {"n": "99"}) is None


def test_pictures_come_as_pictures_and_nothing_else(page: LivePage) -> None:
    with open_cassette(find_cassette("fresh-run-previews")) as reader:
        page.take(reader)

    answer = page.answer("/picture", {"n": "0"})

    assert answer is not None
    headers = dict(answer.headers)
    assert headers["Content-Type"] == "image/jpeg"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert answer.body.startswith(b"\xff\xd8")


def test_the_page_itself_loads_only_from_its_server(page: LivePage) -> None:
    answer = page.answer("/", {})

    assert answer is not None
    policy = dict(answer.headers)["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert b'id="live"' in answer.body
    assert page.answer("/x", {}) is None


def test_a_recording_that_has_ended_says_so(page: LivePage) -> None:
    page.take(run(session()).end())
    known = query_of(head_of(page.answer("/rows", {})))

    page.finish(whole=True)

    assert page.has_news(known)
    assert head_of(page.answer("/rows", known))["over"] is True
