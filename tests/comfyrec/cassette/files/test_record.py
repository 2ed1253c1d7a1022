"""Cassettes that are recorded: what is never overwritten, disks that are full, the clean end."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from comfyrec.cassette.files import (
    Writer,
    open_cassette,
    write_cassette,
)
from comfyrec.cassette.records import (
    End,
    HttpPart,
    Note,
    Session,
    Side,
    WsFrame,
)
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.errors import (
    CassetteExists,
    SecretKept,
)
from tests.support.cassette_files import SUFFIXES, add, create, event, read
from tests.support.cassette_samples import ONE_OF_EACH, PICTURE, T


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"a{request.param}"


def test_an_existing_cassette_is_not_overwritten_unasked(path: Path) -> None:
    create(path).close()
    before = path.read_bytes()

    with pytest.raises(CassetteExists, match=r"--append or --overwrite"):
        create(path)
    with pytest.raises(CassetteExists):
        write_cassette(path, ONE_OF_EACH)

    assert path.read_bytes() == before


def test_an_empty_file_may_be_recorded_into(path: Path) -> None:
    path.touch()

    create(path).close()

    assert len(read(path)[0]) == 2


def test_overwrite_starts_anew(path: Path) -> None:
    writer = create(path)
    add(writer, 9)
    writer.close()

    create(path, overwrite=True).close()

    assert len(read(path)[0]) == 2


def test_append_goes_on_counting_in_the_encoding_of_the_file(tmp_path: Path, path: Path) -> None:
    odd = tmp_path / f"odd{'.jsonl' if path.suffix == '.crec' else '.crec'}"
    writer = create(path)
    add(writer, 3)
    writer.close()
    path.rename(odd)

    writer = create(odd, append=True)
    add(writer, 2)
    writer.close()

    records, problems = read(odd)
    assert [record.seq for record in records] == list(range(9))
    assert [type(record) for record in records][5] is Session
    assert not problems


def test_append_to_a_cut_recording_keeps_what_was_there(path: Path) -> None:
    writer = create(path)
    add(writer, 5)
    whole = path.read_bytes()
    writer.close()
    path.write_bytes(whole[:-7])

    writer = create(path, append=True)
    add(writer, 2)
    why = writer.close()

    records, problems = read(path)
    assert [r.seq for r in records if isinstance(r, WsFrame)] == [1, 2, 3, 4, 6, 7]
    assert problems
    if path.suffix != ".jsonl":
        assert "it was damaged before, and nothing that cannot be read is overwritten" in why
        assert f"'comfyrec recover {path} -o NEW' writes what can be read" in why


def test_an_append_whose_first_part_has_no_end_says_so(path: Path) -> None:
    writer = create(path)
    add(writer, 2)
    killed = path.read_bytes()
    writer.close()
    path.write_bytes(killed)

    writer = create(path, append=True)
    writer.close()

    _, problems = read(path)
    assert ["an earlier recording has no end" in str(problem) for problem in problems] == [True]


def test_what_is_flushed_is_in_the_file_and_what_is_added_is_not(path: Path) -> None:
    writer = create(path)
    writer.add(event(1))
    before = len(read(path)[0])
    writer.flush()

    assert (before, len(read(path)[0])) == (1, 2)
    writer.close()


class Disk:
    """An ``os.write`` that takes so many bytes and no more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._write = os.write

    def __call__(self, fd: int, data: bytes | memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = self._write(fd, data[: self.room])
        self.room -= done
        return done


def test_a_full_disk_costs_what_did_not_fit_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = create(path)
    add(writer, 4)
    disk = Disk(100)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", disk)
        with pytest.raises(OSError, match="No space"):
            add(writer, 3)
    add(writer, 2)
    writer.close()

    records, problems = read(path)
    assert writer.lost == 3
    assert len([r for r in records if isinstance(r, WsFrame)]) == 6
    assert not problems


def test_half_a_record_that_cannot_be_taken_back_does_not_hide_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(fd: int, size: int) -> None:
        raise OSError(errno.EIO, "no")

    writer = create(path)
    add(writer, 4)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", Disk(100))
        patch.setattr(os, "ftruncate", refuses)
        with pytest.raises(OSError, match="No space"):
            add(writer, 3)
    add(writer, 2)
    writer.close()

    records, problems = read(path)
    assert len([r for r in records if isinstance(r, WsFrame)]) == 6
    assert isinstance(records[-1], End)
    assert problems


def test_a_disk_that_stays_full_is_said_at_the_close(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = create(path)
    add(writer, 4)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", Disk(0))
        patch.setattr(os, "writev", Disk(0))
        with pytest.raises(OSError, match="No space"):
            writer.close()

    assert len(read(path)[0]) == 5
    assert list(path.parent.iterdir()) == [path]


def test_a_close_that_cannot_pack_leaves_the_recording_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(old: str, new: str) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    writer = create(tmp_path / "a.crec")
    add(writer, 4)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuses)
        why = writer.close()

    assert "Permission denied" in why
    assert len(read(tmp_path / "a.crec")[0]) == 6
    assert read(tmp_path / "a.crec")[1] == []
    assert len(list(tmp_path.iterdir())) == 1


def test_a_large_recording_is_not_rewritten_at_the_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfyrec.cassette.files.record._COMPACT_BYTES_MAX", 100)
    writer = create(tmp_path / "a.crec")
    add(writer, 4)

    assert "convert" in writer.close()
    assert read(tmp_path / "a.crec")[1] == []


def test_closing_twice_is_closing_once(path: Path) -> None:
    with create(path) as writer:
        add(writer, 1)
        writer.close()

    assert len(read(path)[0]) == 3


SECRET = b"q7Zr0-nobody-knew-1b9x"


def late(writer: Writer, redactor: Redactor) -> None:
    """A secret that stands in a picture before a header tells that it is one."""
    picture = HttpPart(1, T, 1, Side.SERVER, 0, b"", PICTURE[:300] + SECRET + PICTURE)
    told = HttpPart(
        2, T, 1, Side.CLIENT, 0, b"GET / HTTP/1.1\r\nX-API-Key: " + SECRET + b"\r\n\r\n"
    )
    for record in (picture, told):
        writer.add(redactor.record(record))
    writer.flush()


def test_the_last_scan_takes_out_secrets_that_were_met_late(path: Path) -> None:
    redactor = Redactor()
    writer = create(path, redactor=redactor)
    late(writer, redactor)
    early = open_cassette(path)
    assert any(SECRET in r.body for r in early if isinstance(r, HttpPart))
    early.close()

    writer.close()

    records, problems = read(path)
    assert not problems
    assert not any(SECRET in r.body + r.head for r in records if isinstance(r, HttpPart))


def test_a_secret_that_cannot_be_taken_out_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(old: str, new: str) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    redactor = Redactor()
    writer = create(path, redactor=redactor)
    late(writer, redactor)

    monkeypatch.setattr(os, "replace", refuses)
    with pytest.raises(SecretKept, match="1 record still holds a secret"):
        writer.close()


def test_what_was_lost_until_the_end_is_noted_at_the_close(path: Path) -> None:
    writer = create(path)
    add(writer, 2)

    writer.close(lost=4000)

    records, problems = read(path)
    note, end = records[-2:]
    assert isinstance(note, Note) and isinstance(end, End)
    assert (note.what, note.count, end.records) == ("lost", 4000, 4)
    assert not problems


def test_a_new_cassette_is_private_before_and_after_its_close(path: Path) -> None:
    writer = create(path)
    before = path.stat().st_mode & 0o777
    writer.close()

    assert (before, path.stat().st_mode & 0o777) == (0o600, 0o600)


def test_a_cassette_that_was_there_keeps_its_mode(path: Path) -> None:
    path.touch()
    path.chmod(0o644)

    create(path).close()

    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_moved_is_followed(path: Path) -> None:
    writer = create(path)
    add(writer, 2)
    there = path.with_name(f"moved{path.suffix}")
    path.rename(there)

    said = writer.keep_place()
    add(writer, 2)
    writer.close()

    assert "was moved" in said and str(there) in said
    assert writer.path == str(there)
    assert len(read(there)[0]) == 6


def test_a_file_that_is_removed_is_written_anew(path: Path) -> None:
    writer = create(path)
    add(writer, 2)
    path.unlink()

    said = writer.keep_place()
    add(writer, 2)
    writer.close()

    records, problems = read(path)
    assert "was removed" in said
    assert (len(records), problems) == (6, [])
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_replaced_is_left_and_the_recording_stands_beside_it(path: Path) -> None:
    writer = create(path)
    add(writer, 2)
    path.unlink()
    path.write_bytes(b"of somebody else")

    said = writer.keep_place()
    add(writer, 2)
    writer.close()

    assert "was replaced" in said and writer.path in said
    assert path.read_bytes() == b"of somebody else"
    assert len(read(Path(writer.path))[0]) == 6


def test_a_folder_that_is_removed_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "a.crec"
    path.parent.mkdir()
    writer = create(path)
    path.unlink()
    path.parent.rmdir()

    writer.keep_place()
    writer.close()

    assert len(read(path)[0]) == 2
