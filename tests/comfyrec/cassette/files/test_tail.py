"""A cassette that grows is read on: each record once, half written ones when they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from comfyrec.cassette.files import Tail, create_cassette, open_cassette, write_cassette
from comfyrec.cassette.records import AnyRecord
from tests.support.timeline_samples import Recording, run, session

NAMES = ["x.crec", "x.jsonl"]


def recorded(path: Path, records: list[AnyRecord]) -> Any:
    """A writer of these records, which begin behind a session of its own."""
    writer = create_cassette(path, clock_us=lambda: records[0].t)
    for record in records[1:]:
        writer.add(record)
        writer.flush()
    return writer


@pytest.mark.parametrize("name", NAMES)
def test_each_record_comes_once_as_it_is_written(tmp_path: Path, name: str) -> None:
    records = run(session()).records
    writer = create_cassette(tmp_path / name, clock_us=lambda: records[0].t)
    tail = Tail(str(tmp_path / name))
    seen = [record.seq for record in tail.more()]

    for record in records[1:]:
        writer.add(record)
        writer.flush()
        seen += [one.seq for one in tail.more()]

    assert seen == list(range(len(records)))
    assert not tail.ended
    writer.close()
    assert [type(record).__name__ for record in tail.more()] == ["End"]
    assert tail.ended and tail.problems == []
    tail.close()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_half_written_waits(tmp_path: Path, name: str) -> None:
    whole = tmp_path / f"whole-{name}"
    recorded(whole, run(session()).records).abandon()
    data, path = whole.read_bytes(), tmp_path / name
    with open_cassette(whole) as reader:
        expected = [record.seq for record in reader]
    path.write_bytes(data[: len(data) // 3])
    tail = Tail(str(path))
    seen: list[int] = []

    for size in range(len(data) // 3, len(data) + 1, 7):
        path.write_bytes(data[:size])
        seen += [record.seq for record in tail.more()]
    path.write_bytes(data)
    seen += [record.seq for record in tail.more()]

    assert seen == expected
    assert tail.problems == []
    tail.close()


def test_a_finished_cassette_that_is_appended_to_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.crec"
    write_cassette(path, run(session()).end())
    tail = Tail(str(path))
    first = list(tail.more())
    assert tail.ended

    writer = create_cassette(path, clock_us=lambda: 9_000_000, append=True)

    assert [record.seq for record in tail.more()] == [len(first)]
    assert not tail.ended
    writer.abandon()
    tail.close()


@pytest.mark.parametrize("name", NAMES)
def test_large_records_come_whole(tmp_path: Path, name: str) -> None:
    recording = Recording()
    recording.asked(1, "GET", "/view?filename=a", answer=b"\x00\xff" * 300_000)
    path = tmp_path / name
    writer = recorded(path, recording.records)
    tail = Tail(str(path))

    bodies = [len(getattr(record, "body", b"")) for record in tail.more()]

    assert bodies == [0, 0, 600_000]
    writer.abandon()
    tail.close()
