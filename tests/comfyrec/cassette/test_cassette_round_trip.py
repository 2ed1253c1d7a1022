"""What was written is what is read, in both encodings and through both."""

from __future__ import annotations

import gzip
import json
import zlib
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.cassette import text
from comfyrec.cassette.files import (
    create_cassette,
    list_cassette,
    open_cassette,
    write_cassette,
)
from comfyrec.cassette.packed import container
from comfyrec.cassette.records import AnyRecord, HttpPart, Side, WsFrame
from tests.support.cassette_samples import ONE_OF_EACH, PICTURE, STATUS, T, cassettes

SUFFIXES = [".crec", ".jsonl"]


def read(path: Path) -> list[AnyRecord]:
    with open_cassette(path) as reader:
        records = list(reader)
        assert not reader.problems
        return records


@pytest.mark.slow
@given(cassettes)
def test_any_cassette_comes_back_from_both_encodings_and_through_both(
    records: list[AnyRecord],
) -> None:
    with TemporaryDirectory() as folder:
        packed, text, again = (Path(folder, name) for name in ("a.crec", "b.jsonl", "c.crec"))

        write_cassette(packed, records)
        write_cassette(text, read(packed))
        write_cassette(again, read(text))

        assert read(packed) == read(text) == records
        assert packed.read_bytes() == again.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
@given(cassettes)
def test_what_is_recorded_reads_the_same_before_and_after_the_close(
    suffix: str, records: list[AnyRecord]
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "a" + suffix)
        writer = create_cassette(path, clock_us=lambda: T)
        for record in records[1:-1]:
            writer.add(record)
        writer.flush()
        with open_cassette(path) as reader:
            before = list(reader)
        why = writer.close()

        assert why == ""
        assert before[1:] == records[1:-1]
        assert read(path) == [*before, read(path)[-1]]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cassette_is_told_by_content_not_by_name(tmp_path: Path, suffix: str) -> None:
    write_cassette(tmp_path / f"a{suffix}", ONE_OF_EACH)
    nameless = (tmp_path / f"a{suffix}").rename(tmp_path / "recording")

    assert read(nameless) == list(ONE_OF_EACH)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_listing_counts_and_times_without_the_payloads(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    write_cassette(path, ONE_OF_EACH)

    found = list_cassette(path)

    assert (found.records, found.t_first, found.t_last) == (15, T, T + 13)
    assert found.counts is not None
    assert found.counts["WsFrame"] == 5


def test_a_recording_without_an_index_is_listed_by_its_heads(tmp_path: Path) -> None:
    clock = count(T)
    writer = create_cassette(tmp_path / "a.crec", clock_us=lambda: next(clock))
    for seq in range(1, 20):
        writer.add(WsFrame(seq, T + seq, 1, Side.SERVER, b"\x81\x4d", STATUS))
    writer.flush()

    found = list_cassette(tmp_path / "a.crec")
    writer.close()

    assert (found.records, found.t_first, found.t_last) == (20, T, T + 19)


def frames(payload: bytes, number: int) -> list[AnyRecord]:
    between = [
        WsFrame(seq, T, 1, Side.SERVER, b"\x82\x7e\x0c\x08", payload) for seq in range(1, number)
    ]
    return [ONE_OF_EACH[0], *between]


def test_text_shrinks_to_six_hundredths(tmp_path: Path) -> None:
    path = tmp_path / "a.crec"
    events = [
        WsFrame(seq, T + seq, 1, Side.SERVER, b"\x81\x4d", STATUS.replace(b"1", b"%d" % seq))
        for seq in range(1, 5000)
    ]
    size = sum(len(event.payload) for event in events)

    write_cassette(path, [ONE_OF_EACH[0], *events])

    assert path.stat().st_size < 0.16 * size  # short events: half of it is times and numbers


def test_equal_pictures_are_stored_once(tmp_path: Path) -> None:
    path = tmp_path / "a.crec"

    write_cassette(path, frames(PICTURE, 500))

    assert path.stat().st_size < 15 * len(PICTURE)
    with open_cassette(path) as reader:
        assert [r.payload for r in reader if isinstance(r, WsFrame)] == [PICTURE] * 499


def test_equal_bodies_far_apart_are_stored_once(tmp_path: Path) -> None:
    path = tmp_path / "a.crec"
    unlike = [PICTURE + number.to_bytes(4, "big") * 30_000 for number in range(40)]
    bodies = [unlike[0], *unlike, unlike[0], unlike[7]]
    records = [HttpPart(n, T, 1, Side.SERVER, n, b"", body) for n, body in enumerate(bodies, 1)]

    write_cassette(path, [ONE_OF_EACH[0], *records])

    assert path.stat().st_size < 40.5 * len(unlike[0])
    with open_cassette(path) as reader:
        assert list(reader)[1:] == records


def test_bodies_that_only_look_equal_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.crec"
    one, other = bytearray(PICTURE), bytearray(PICTURE)
    one[200], other[200] = 1, 2
    records = [
        HttpPart(n, T, 1, Side.SERVER, n, b"", bytes(body))
        for n, body in enumerate([one, other], 1)
    ]

    write_cassette(path, [ONE_OF_EACH[0], *records])

    with open_cassette(path) as reader:
        assert list(reader)[1:] == records


def test_records_larger_than_any_window_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.crec"
    body = bytes(range(256)) * 12_000
    records = [HttpPart(n, T, 1, Side.SERVER, n, b"", body[n:]) for n in range(1, 4)]

    write_cassette(path, [ONE_OF_EACH[0], *records])

    with open_cassette(path) as reader:
        assert list(reader)[1:] == records


class StrictSource:
    """A file that refuses to be read as a whole."""

    path = "strict.crec"

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.most = 0

    def size(self) -> int:
        return len(self._data)

    def read_at(self, offset: int, size: int) -> bytes:
        assert 0 <= size <= 1 << 21, "an unbounded read"
        self.most = max(self.most, size)
        return self._data[offset : offset + size]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_large_file_is_read_a_window_at_a_time(tmp_path: Path, suffix: str) -> None:
    from comfyrec.cassette.packed.unpack import PackedReader
    from comfyrec.cassette.text import TextReader

    path = tmp_path / f"a{suffix}"
    records = [
        WsFrame(seq, T, 1, Side.SERVER, b"\x82\x7e\x0c\x08", PICTURE + b"%d" % seq)
        for seq in range(1, 2500)
    ]
    write_cassette(path, [ONE_OF_EACH[0], *records])
    source = StrictSource(path.read_bytes())

    reader = {".crec": PackedReader, ".jsonl": TextReader}[suffix](source)

    assert source.size() > 3 << 20
    assert sum(1 for _ in reader.records()) == 2500


_bulk = st.sampled_from([65_535, 65_536, 70_000, 300_000]).map(bytes)


@given(
    record=st.builds(
        HttpPart,
        st.integers(0, 2**63),
        st.integers(-(2**62), 2**62),
        st.integers(0, 2**40),
        st.sampled_from(Side),
        st.integers(0, 2**20),
        st.binary(max_size=300),
        _bulk,
        st.binary(max_size=40),
        st.booleans(),
        st.integers(0, 500),
        st.lists(st.integers(0, 2**31), max_size=20).map(tuple),
    )
    | st.builds(
        WsFrame,
        st.integers(0, 2**63),
        st.integers(0, 2**62),
        st.integers(0, 2**40),
        st.sampled_from(Side),
        st.binary(max_size=14),
        _bulk,
        st.booleans(),
        st.none() | st.binary(max_size=300),
        st.integers(0, 500),
    ),
    salt=st.integers(0, 2**32 - 1),
)
def test_a_large_payload_is_framed_in_place_as_if_it_was_copied(
    record: HttpPart | WsFrame, salt: int
) -> None:
    framed = b"".join(container.frame_encoder(salt)([record]))
    assert framed == container.frame(container.RECORD, container.encode(record), salt)


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
def test_a_packed_text_can_be_read_in_a_line_and_is_read_back_as_it_was(coding: bytes) -> None:
    pack = gzip.compress if coding == b"gzip" else zlib.compress
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + coding + b"\r\n\r\n"
    record = HttpPart(1, 1, 1, Side.SERVER, 0, head, pack(b'{"queue_running": []}'))

    line = text.encode_line(record)

    assert json.loads(line)["decoded"] == '{"queue_running": []}'
    assert text._record(text._checked(line[:-1]) or b"") == record
