"""Cassettes that are being recorded, for the tests of the files that they stand in."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from comfyrec.cassette.files import Writer, create_cassette, open_cassette
from comfyrec.cassette.records import AnyRecord, Side, WsFrame
from comfyrec.errors import CassetteError
from tests.support.cassette_samples import STATUS, T

__all__ = ["SUFFIXES", "add", "create", "event", "read"]

SUFFIXES = [".crec", ".jsonl"]


def create(path: Path, **options: object) -> Writer:
    clock = count(T)
    return create_cassette(path, clock_us=lambda: next(clock), **options)  # type: ignore[arg-type]  # options vary


def event(seq: int, payload: bytes = STATUS) -> WsFrame:
    return WsFrame(seq, T + seq, 1, Side.SERVER, b"\x81\x4d", payload)


def add(writer: Writer, number: int, payload: bytes = STATUS) -> None:
    for _ in range(number):
        writer.add(event(writer.next_seq, payload))
    writer.flush()


def read(path: Path) -> tuple[list[AnyRecord], list[CassetteError]]:
    with open_cassette(path) as reader:
        return list(reader), reader.problems
