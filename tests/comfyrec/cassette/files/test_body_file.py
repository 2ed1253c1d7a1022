"""Large bodies in a file: what is written comes back, whole and in parts."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.cassette.files import body_file
from comfyrec.cassette.files.body_file import BodyFile


@pytest.mark.slow
@given(
    bodies=st.lists(st.lists(st.binary(max_size=12), max_size=6), min_size=1, max_size=3),
    start=st.integers(0, 80),
    size=st.integers(0, 80),
    together=st.sampled_from([1, 7, 100]),
)
def test_bodies_that_are_written_by_turns_come_back(
    bodies: list[list[bytes]], start: int, size: int, together: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body_file, "_TOGETHER", together)
        file = BodyFile()
        writers = [file.begin() for _ in bodies]
        for turn in range(6):
            for writer, pieces in zip(writers, bodies, strict=True):
                if turn < len(pieces):
                    writer.write(pieces[turn])
        stored = [writer.done() for writer in writers]

    for pieces, body in zip(bodies, stored, strict=True):
        whole = b"".join(pieces)
        assert body.size == len(whole)
        assert body.read(0, body.size) == whole
        assert body.read(start, size) == whole[start : start + size]
        assert body.part(start, size).read(1, 5) == whole[start : start + size][1:6]


def test_pieces_that_stand_together_are_one_stretch() -> None:
    writer = BodyFile().begin()
    for _ in range(8):
        writer.write(bytes(body_file._TOGETHER))

    assert len(writer.done().extents) == 1


@pytest.mark.slow
def test_the_file_is_closed_with_the_last_who_can_read_it() -> None:
    writer = BodyFile().begin()
    writer.write(b"abc")
    body = writer.done()
    fd = body.file.fd
    del writer
    gc.collect()
    assert body.read(0, 3) == b"abc"

    del body
    gc.collect()

    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
