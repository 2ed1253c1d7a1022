"""Files that were cut, flipped, overwritten, mixed up, or made up to do harm."""

from __future__ import annotations

import zlib
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyrec.cassette.files import (
    create_cassette,
    find_cassette,
    list_cassette,
    open_cassette,
    write_cassette,
)
from comfyrec.cassette.packed import container
from comfyrec.cassette.packed.zstandard import CompressionParameter, ZstdCompressor
from comfyrec.cassette.records import AnyRecord, Closed, End, Note, Session, Side, WsFrame
from comfyrec.cassette.repair import mended
from comfyrec.cassette.text import encode_line
from comfyrec.errors import (
    CassetteError,
    CutOff,
    DamagedRecord,
    NewerFormat,
    NotACassette,
    Unavailable,
)
from tests.support.cassette_samples import ONE_OF_EACH, PICTURE, STATUS, T
from tests.support.lanes import examples

pytestmark = pytest.mark.long

EVENTS: list[AnyRecord] = [
    WsFrame(seq, T + seq, 1, Side.SERVER, b"\x81\x4d", STATUS.replace(b"1", b"%d" % seq))
    for seq in range(1, 12)
]
RECORDS = [ONE_OF_EACH[0], *EVENTS, End(12, T, 12)]


def recorded(path: Path, *, at_once: int = 1) -> bytes:
    """A recording that was never closed, without its end: so many records in each write."""
    clock = count(T)
    writer = create_cassette(path, clock_us=lambda: next(clock))
    for at in range(0, len(EVENTS), at_once):
        writer.write(EVENTS[at : at + at_once])
    data = path.read_bytes()
    writer.close()
    return data


def packed(path: Path) -> bytes:
    write_cassette(path, RECORDS)
    return path.read_bytes()


def recorded_in_runs(path: Path) -> bytes:
    return recorded(path, at_once=4)


MAKERS = {
    "while recording": (recorded, ".crec"),
    "while recording in runs": (recorded_in_runs, ".crec"),
    "packed": (packed, ".crec"),
    "text": (packed, ".jsonl"),
}


@pytest.fixture(params=MAKERS, ids=MAKERS)
def good(request: pytest.FixtureRequest, tmp_path: Path) -> bytes:
    make, suffix = MAKERS[request.param]
    return make(tmp_path / f"good{suffix}")


def survivors(path: Path, data: bytes) -> tuple[list[AnyRecord], list[CassetteError]]:
    path.write_bytes(data)
    try:
        with open_cassette(path) as reader:
            return list(reader), reader.problems
    except (NotACassette, CutOff) as refusal:
        return [], [refusal]


def events_of(records: list[AnyRecord]) -> list[int]:
    return [record.seq for record in records if isinstance(record, WsFrame)]


def test_every_cut_gives_a_prefix_and_says_that_the_end_is_missing(
    good: bytes, tmp_path: Path
) -> None:
    whole, _ = survivors(tmp_path / "whole", good)
    seen = 0
    for cut in range(len(good)):
        records, problems = survivors(tmp_path / "cut", good[:cut])

        assert records == whole[: len(records)]
        assert len(records) >= seen
        assert problems or records == whole
        seen = max(seen, len(records))


def test_a_cut_recording_gives_every_record_that_was_whole(tmp_path: Path) -> None:
    data = recorded(tmp_path / "a.crec")
    ends = [at for at in range(len(data)) if data.startswith(container.MARK, at)] + [len(data)]
    ends = ends[1:]

    for number, end in enumerate(ends, 1):
        assert len(survivors(tmp_path / "b", data[:end])[0]) == number
        assert len(survivors(tmp_path / "b", data[: end - 1])[0]) == max(0, number - 1)


def test_a_recording_that_was_cut_anywhere_is_damaged_in_one_place(tmp_path: Path) -> None:
    data = Path(find_cassette("fresh-run-preview-metadata")).read_bytes()
    for share in range(5, 100, 5):
        records, problems = survivors(tmp_path / "cut", data[: len(data) * share // 100])

        cut, end = problems
        assert isinstance(cut, DamagedRecord) and isinstance(end, CutOff)
        assert f"killed after {end.records} record" in str(end)
        assert len(records) <= (end.records or 0)


def test_a_run_that_was_cut_gives_every_record_that_was_whole(tmp_path: Path) -> None:
    data = recorded(tmp_path / "a.crec", at_once=len(EVENTS))
    ends = [data.index(STATUS.replace(b"1", b"%d" % n)) + len(STATUS) for n in range(1, 10)]

    for number, end in enumerate(ends, 1):
        # Behind the payload stand three fields of a byte each.
        assert events_of(survivors(tmp_path / "b", data[: end + 2])[0])[number - 1 :] == []
        assert events_of(survivors(tmp_path / "b", data[: end + 3])[0])[number - 1 :] == [number]


def test_listing_counts_the_records_in_runs(tmp_path: Path) -> None:
    (tmp_path / "b.crec").write_bytes(recorded(tmp_path / "a.crec", at_once=4))

    found = list_cassette(tmp_path / "b.crec")

    assert (found.records, found.t_last) == (len(EVENTS) + 1, EVENTS[-1].t)


def test_a_flipped_length_costs_no_record_of_the_last_run(tmp_path: Path) -> None:
    data = bytearray(recorded(tmp_path / "a.crec", at_once=len(EVENTS)))
    data[data.rindex(container.MARK) + 6] ^= 1

    records, problems = survivors(tmp_path / "b", bytes(data))

    assert events_of(records) == [record.seq for record in EVENTS]
    assert isinstance(problems[0], DamagedRecord)


def test_every_flipped_bit_is_found(good: bytes, tmp_path: Path) -> None:
    whole, before = survivors(tmp_path / "whole", good)
    for at in range(len(good)):
        damaged = bytearray(good)
        damaged[at] ^= 1 << (at % 8)

        records, problems = survivors(tmp_path / "flipped", bytes(damaged))

        assert len(problems) > len(before), f"bit {at % 8} of byte {at}"
        assert [r for r in records if r not in whole] == []


@pytest.mark.parametrize("cut", [1, 12, 40])
def test_a_text_cut_in_its_first_line_is_no_other_file(tmp_path: Path, cut: int) -> None:
    data = packed(tmp_path / "a.jsonl")

    records, problems = survivors(tmp_path / "b.jsonl", data[:cut])

    assert records == []
    assert {type(problem) for problem in problems} <= {CutOff, DamagedRecord}


def test_a_flipped_bit_costs_one_record_of_a_recording(tmp_path: Path) -> None:
    data = recorded(tmp_path / "a.crec")
    worst = 0
    for at in range(container.HEADER_BYTES, len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        records, _ = survivors(tmp_path / "b.crec", bytes(damaged))
        worst = max(worst, len(RECORDS) - 1 - len(records))

    assert worst == 1


def test_a_flipped_bit_costs_one_line_of_text(tmp_path: Path) -> None:
    data = packed(tmp_path / "a.jsonl")
    worst = 0
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        records, _ = survivors(tmp_path / "b.jsonl", bytes(damaged))
        worst = max(worst, len(RECORDS) - len(records))

    assert worst == 1


def test_a_damaged_header_does_not_hide_the_records(tmp_path: Path) -> None:
    data = packed(tmp_path / "a.crec")

    records, problems = survivors(tmp_path / "b.crec", bytes(16) + data[16:])

    assert records == RECORDS
    assert "header" in str(problems[0])


def test_missing_records_are_counted(tmp_path: Path) -> None:
    lines = packed(tmp_path / "a.jsonl").splitlines(keepends=True)

    records, problems = survivors(tmp_path / "b.jsonl", b"".join(lines[:5] + lines[10:]))

    assert len(records) == len(RECORDS) - 5
    assert isinstance(problems[0], DamagedRecord)
    assert problems[0].missing == 5


def test_doubled_records_are_read_once_and_said(good: bytes, tmp_path: Path) -> None:
    whole, before = survivors(tmp_path / "whole", good)

    records, problems = survivors(tmp_path / "double", good + good)

    assert records == whole
    assert len(problems) > len(before)


def test_reading_ends_at_a_hole_of_zeros_and_recover_goes_on(good: bytes, tmp_path: Path) -> None:
    middle = len(good) // 2
    data = good[:middle] + bytes(1024) + good[middle + 1024 :]
    path = tmp_path / "hole"

    records, problems = survivors(path, data)
    with open_cassette(path, beyond_holes=True) as reader:
        more = list(reader)

    assert events_of(records) == list(range(1, len(events_of(records)) + 1))
    assert problems
    assert len(more) >= len(records)


def test_a_body_that_is_a_cassette_is_never_taken_for_records(tmp_path: Path) -> None:
    inner = recorded(tmp_path / "inner.crec")
    outer = [ONE_OF_EACH[0], WsFrame(1, T, 1, Side.SERVER, b"\x82\x7e", PICTURE + inner)]
    clock = count(T + 99)
    writer = create_cassette(tmp_path / "outer.crec", clock_us=lambda: next(clock))
    writer.add(outer[1])
    writer.flush()
    data = bytearray((tmp_path / "outer.crec").read_bytes())
    writer.close()
    at = data.find(container.MARK, container.HEADER_BYTES + 3)
    data[at + 4] ^= 0x10  # the length of the outer record

    records, problems = survivors(tmp_path / "b.crec", bytes(data))

    assert [type(record) for record in records] == [Session]
    assert problems


def test_what_is_left_mends_into_a_whole_cassette(good: bytes, tmp_path: Path) -> None:
    damaged = bytearray(good)
    damaged[len(good) // 2] ^= 4
    left, _ = survivors(tmp_path / "b", bytes(damaged))

    write_cassette(tmp_path / "c.crec", mended(left))

    with open_cassette(tmp_path / "c.crec") as reader:
        records = list(reader)
        assert not reader.problems
    assert sum(r.count for r in records if isinstance(r, Note)) >= 1


def test_a_whole_cassette_is_mended_into_itself() -> None:
    assert list(mended(RECORDS)) == RECORDS


@pytest.mark.parametrize(
    "data, error, words",
    [
        (b"", NotACassette, "is empty"),
        (b"hello world\n" * 9, NotACassette, "is not a cassette"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), NotACassette, "is not a cassette"),
        (b'{"log": {"version": "1.2"}}', NotACassette, "convert"),
        (b'{"kind": "header", "format": "comfy-wire-capture/1"}', NotACassette, "convert"),
        (container.MAGIC[:1], CutOff, "before its first record"),
        (container.MAGIC + b"\x01\x01", CutOff, "before its first record"),
    ],
    ids=["empty", "text", "a picture", "HAR", "capture", "one byte", "ten bytes"],
)
def test_another_file_is_refused_in_one_sentence(
    tmp_path: Path, data: bytes, error: type[CassetteError], words: str
) -> None:
    path = tmp_path / "x.crec"
    path.write_bytes(data)

    with pytest.raises(error, match=words):
        open_cassette(path)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="folder"):
        open_cassette(tmp_path)
    with pytest.raises(Unavailable, match="no such file"):
        open_cassette(tmp_path / "none.crec")


@pytest.mark.parametrize("suffix", [".crec", ".jsonl"])
def test_a_newer_format_is_refused_in_plain_words(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    newer = Session(0, T, 9, 9)
    write_cassette(path, [newer, End(1, T, 1)])

    with pytest.raises(NewerFormat, match=r"format 9.*newer comfyrec"):
        open_cassette(path)


# --- made up to do harm ----------------------------------------------------------------------

SESSION = container.encode(ONE_OF_EACH[0])
SALT = container.salt_of(SESSION)
START = container.header(ONE_OF_EACH[0]) + container.frame(container.RECORD, SESSION, SALT)  # type: ignore[arg-type]  # it is a session


def block(raw: bytes, claimed: int | None = None) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, container.WINDOW_BITS)
    packed = packer.compress(raw) + packer.flush()
    head = container.BLOCK.pack(1, len(raw) if claimed is None else claimed, 1, 1, T, T)
    return container.frame(container.BLOCK_KIND, head + packed, SALT)


def zstd_block(
    raw: bytes, claimed: int | None = None, *, pieces: int = 1, window_log: int = 18
) -> bytes:
    packer = ZstdCompressor(options={CompressionParameter.window_log: window_log})
    packed = [packer.compress(raw, packer.FLUSH_BLOCK) for _ in range(pieces)]
    size = len(raw) * pieces if claimed is None else claimed
    content = [container.frame(container.PIECE, piece, SALT) for piece in packed]
    head = container.BLOCK.pack(container.ZSTD, size, 1, 1, T, T)
    return container.frame(container.BLOCK_KIND, head + b"".join(content), SALT)


HOSTILE = {
    "a length beyond the file": container.HEAD.pack(container.RECORD, 0xFFFFFFFF, 0),
    "a length of nothing": container.HEAD.pack(container.RECORD, 0, 0) * 3,
    "a bomb that says so": block(bytes(200 << 20)),
    "a bomb that lies": block(bytes(64 << 20), claimed=100),
    "a bomb of runs": block(container.frame(container.RUN, b"\x90", SALT) * 100_000),
    "a Zstandard bomb that says so": zstd_block(bytes(200 << 20)),
    "a Zstandard bomb that lies": zstd_block(bytes(64 << 20), claimed=100),
    "a Zstandard bomb in pieces": zstd_block(bytes(1 << 20), claimed=16 << 20, pieces=200),
    "a window of half a gigabyte": zstd_block(b"\x90" * (1 << 20), window_log=29),
    "a stream that goes on behind its end": container.frame(
        container.BLOCK_KIND,
        container.BLOCK.pack(container.ZSTD, 2, 1, 1, T, T)
        + container.frame(container.PIECE, ZstdCompressor().compress(b"\x90", 2), SALT) * 2,
        SALT,
    ),
    "no Zstandard": container.frame(
        container.BLOCK_KIND,
        container.BLOCK.pack(container.ZSTD, 9, 1, 1, T, T)
        + container.frame(container.PIECE, b"what is this?", SALT),
        SALT,
    ),
    "a run beyond the limits": container.frame(
        container.RUN, b"\xdd\x00\x20\x00\x00" + b"\x93\x02\x01\x01" * (1 << 21), SALT
    ),
    "a run of nothing": container.frame(container.RUN, b"", SALT),
    "no deflate": container.frame(
        container.BLOCK_KIND, container.BLOCK.pack(1, 9, 1, 1, T, T), SALT
    ),
    "a torn block head": container.frame(container.BLOCK_KIND, b"\x01", SALT),
    "nesting": container.frame(container.RECORD, b"\x91" * 100_000, SALT),
    "a list without an end": container.frame(container.RECORD, b"\xdd\xff\xff\xff\xff", SALT),
    "a wrong type": container.frame(container.RECORD, b"\x98\x05aaaaaaa", SALT),
    "markers only": container.MARK * 50_000,
    "markers with lengths": container.HEAD.pack(container.RECORD, 60_000, 1) * 8000,
    "an index that lies": container.frame(
        container.INDEX,
        container.encode(container.Index(2**60, 2**60, 0, 0, {}, [])),  # type: ignore[arg-type]  # not a record
        SALT,
    ),
    "a foot to nowhere": container.frame(container.FOOT_KIND, container.FOOT.pack(2**63), SALT),
    "a body of nobody": container.frame(
        container.SHARED,
        container.encode(container.SharedPayload(EVENTS[0], 77, 2**40, b"")),  # type: ignore[arg-type]  # not a record
        SALT,
    ),
    "a body of its own": container.frame(
        container.SHARED,
        container.encode(container.SharedPayload(EVENTS[0], 1, 5, b"")),  # type: ignore[arg-type]  # not a record
        SALT,
    ),
}


@pytest.mark.parametrize("rest", HOSTILE.values(), ids=HOSTILE)
def test_a_file_made_to_do_harm_is_read_as_far_as_it_goes(tmp_path: Path, rest: bytes) -> None:
    records, problems = survivors(tmp_path / "a.crec", START + rest)

    assert records == [ONE_OF_EACH[0]]
    assert problems
    assert all("\n" not in str(problem) for problem in problems)
    assert list_cassette(tmp_path / "a.crec").records >= 1


HOSTILE_LINES = {
    "nesting": b'{"kind":"session","seq":1,"about":' + b"[" * 100_000,
    "a million brackets": b"[" * 1_000_000,
    "many beginnings": b'{"kind":"' * 100_000,
    "many checksums": b',"crc":"00000000"}' * 50_000,
    "a number without an end": b'{"kind":"end","seq":' + b"9" * 100_000,
    "no UTF-8": b"\xff\xfe" * 1000,
    "a lone surrogate": b'{"kind":"note","seq":1,"t":1,"conn":0,"what":"\\ud800"}',
}


@pytest.mark.parametrize("line", HOSTILE_LINES.values(), ids=HOSTILE_LINES)
def test_a_line_made_to_do_harm_is_passed_over(tmp_path: Path, line: bytes) -> None:
    checked = line[:-1] + b',"crc":"%08x"}' % zlib.crc32(line)
    good_lines = [encode_line(record) for record in RECORDS]

    records, problems = survivors(
        tmp_path / "a.jsonl",
        b"".join([good_lines[0], line, b"\n", checked, b"\n", *good_lines[1:]]),
    )

    assert [r for r in records if isinstance(r, WsFrame)] == EVENTS
    assert problems


_mutated = st.builds(
    lambda data, at, piece: data[: at % len(data)] + piece + data[at % len(data) + len(piece) :],
    st.sampled_from([container.encode(record) for record in ONE_OF_EACH]),
    st.integers(0, 200),
    st.binary(max_size=9),
)


@settings(max_examples=examples(100, 2000))
@given(st.sampled_from(sorted(container.KINDS)), _mutated, st.booleans())
def test_frames_with_a_right_checksum_and_any_content_do_no_harm(
    kind: int, payload: bytes, in_a_block: bool
) -> None:
    with TemporaryDirectory() as folder:
        rest = container.frame(kind, payload, SALT)
        if in_a_block:
            rest = block(container.frame(container.RUN, b"\x91" + payload, SALT))

        records, problems = survivors(Path(folder, "a.crec"), START + rest)

        assert records[0] == ONE_OF_EACH[0]
        assert problems or isinstance(records[-1], End)


@settings(max_examples=examples(100, 2000))
@given(st.sampled_from(ONE_OF_EACH), st.integers(0, 300), st.binary(max_size=9))
def test_lines_with_a_right_checksum_and_any_content_do_no_harm(
    record: AnyRecord, at: int, piece: bytes
) -> None:
    line = encode_line(record)[: -len(b',"crc":"01234567"}\n')] + b"}"
    line = line[: at % len(line)] + piece + line[at % len(line) + len(piece) :]
    checked = line[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(line)
    with TemporaryDirectory() as folder:
        data = encode_line(ONE_OF_EACH[0]) + checked

        records, problems = survivors(Path(folder, "a.jsonl"), data)

        assert records[0] == ONE_OF_EACH[0]
        assert problems or isinstance(records[-1], End)


def test_a_record_of_a_kind_to_come_is_left_out_and_said(tmp_path: Path) -> None:
    clock = count(T)
    writer = create_cassette(tmp_path / "a.crec", clock_us=lambda: next(clock))
    strange = msgspec.msgpack.encode([99, 1, T, "whatever"])
    salt = container.salt_of(writer_session(tmp_path / "a.crec"))
    with (tmp_path / "a.crec").open("ab") as file:
        file.write(container.frame(container.RECORD, strange, salt))
    writer.add(EVENTS[1])
    writer.flush()

    records, problems = survivors(tmp_path / "b.crec", (tmp_path / "a.crec").read_bytes())
    writer.close()

    assert events_of(records) == [2]
    assert "kind (99) of a newer comfyrec" in str(problems[0])


def writer_session(path: Path) -> bytes:
    with open_cassette(path) as reader:
        return container.encode(reader.header)


def test_members_that_are_left_out_have_their_default(tmp_path: Path) -> None:
    line = b'{"kind":"closed","seq":1,"t":5,"conn":2,"from":"server"}'
    checked = line[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(line)

    records, _ = survivors(tmp_path / "a.jsonl", encode_line(ONE_OF_EACH[0]) + checked)

    assert records[1] == Closed(1, 5, 2, Side.SERVER, "eof", "")


def test_fields_to_come_are_passed_over(tmp_path: Path) -> None:
    fields = msgspec.msgpack.decode(container.encode(EVENTS[0]))
    longer = msgspec.msgpack.encode([*fields, "a field of 2030", [1]])

    records, _ = survivors(
        tmp_path / "a.crec", START + container.frame(container.RECORD, longer, SALT)
    )

    assert records[1] == EVENTS[0]
