"""Appending, and what stays in the page cache."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from comfyrec.cassette.files import (
    Writer,
    append,
    create_cassette,
)
from comfyrec.cassette.records import (
    AnyRecord,
    HttpPart,
    Side,
)
from tests.support.cassette_files import SUFFIXES, create, read
from tests.support.cassette_samples import T


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"a{request.param}"


class Cache:
    """An ``os.pwritev`` that knows the flag, or not, and takes its time."""

    def __init__(self, trouble: OSError | None = None, takes: Callable[[], object] = int) -> None:
        self.trouble, self.takes = trouble, takes
        self.flags: list[int] = []

    def __call__(self, fd: int, parts: list[bytes], offset: int, flags: int) -> int:
        self.flags.append(flags)
        self.takes()
        if self.trouble is not None:
            raise self.trouble
        half = parts[: len(parts) // 2 + 1]
        return os.writev(fd, half)


def bulky(writer: Writer, number: int) -> list[AnyRecord]:
    added: list[AnyRecord] = []
    for _ in range(number):
        seq = writer.next_seq
        record = HttpPart(seq, T + seq, 1, Side.SERVER, 0, body=os.urandom(200_000), last=False)
        writer.write([record])
        added.append(record)
    return added


@pytest.mark.parametrize(
    ("trouble", "tries"),
    [
        pytest.param(None, 3, id="taken"),
        pytest.param(OSError(errno.EOPNOTSUPP, "not here"), 1, id="not taken"),
    ],
)
def test_large_bodies_pass_the_page_cache_by_where_that_is_possible(
    trouble: OSError | None, tries: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(trouble)
    monkeypatch.setattr(os, "pwritev", cache)
    monkeypatch.setattr(append, "_can_write_uncached", lambda: True)
    writer = create(path, encoding="packed")
    added = bulky(writer, 3)
    writer.abandon()
    assert cache.flags == [0x80] * tries
    assert read(path)[0][1:] == added


def test_a_slow_disk_gets_what_comes_through_the_page_cache(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(T, 60_000)
    cache = Cache()
    monkeypatch.setattr(os, "pwritev", cache)
    monkeypatch.setattr(append, "_can_write_uncached", lambda: True)
    writer = create_cassette(path, clock_us=lambda: next(clock), encoding="packed")
    added = bulky(writer, 3)
    writer.abandon()
    assert cache.flags == [0x80]
    assert read(path)[0][1:] == added


def test_a_full_disk_is_said_of_large_bodies_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(append, "_can_write_uncached", lambda: True)
    writer = create(path, encoding="packed")
    before = bulky(writer, 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", Cache(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(OSError, match="No space left"):
            bulky(writer, 1)
    assert writer.lost == 1
    after = bulky(writer, 1)
    writer.abandon()
    assert read(path)[0][1:] == before + after


@pytest.mark.parametrize(
    ("system", "release", "can"),
    [
        ("linux", "6.18.44-fc", True),
        ("linux", "6.17.0", True),
        ("linux", "7.0", True),
        ("linux", "6.15.2-arch1", False),
        ("linux", "5.10.0-30-amd64", False),
        ("linux", "unheard", False),
        ("darwin", "25.1.0", False),
    ],
)
def test_only_kernels_that_do_it_right_are_asked(
    system: str, release: str, can: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(append.sys, "platform", system)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    assert append._can_write_uncached() is can
