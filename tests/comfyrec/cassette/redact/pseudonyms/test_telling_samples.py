"""Traffic that tells something, through the recorder and through ``redacted_recording``."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyrec.cassette.files import open_cassette, write_cassette
from comfyrec.cassette.records import AnyRecord, End, Session
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.cassette.redact.whole_cassette import redacted_recording
from tests.support.recorded import everything, recording_of, unredacted
from tests.support.telling_samples import TELLING, Telling, forms_of

IDS = [f"{row.redaction}: {row.place}: {row.sample}" for row in TELLING]
SUFFIXES = [".crec", pytest.param(".jsonl", marks=pytest.mark.long)]


def found_in(path: Path, row: Telling) -> list[bytes]:
    text = everything(path)
    return [form for form in forms_of(row.plant) if form in text]


def as_it_was(path: Path, row: Telling) -> None:
    """The traffic as a cassette in which nothing was redacted."""
    said = unredacted(row.said)
    records: list[AnyRecord] = [Session(0, 1), *said, End(len(said) + 1, 9, len(said) + 1)]
    write_cassette(path, records)


def test_the_table_has_enough_rows_and_none_twice() -> None:
    assert len(TELLING) >= 250
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("row", TELLING, ids=IDS)
def test_every_plant_can_be_found_before(row: Telling, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    as_it_was(path, row)

    assert found_in(path, row) or row.place in ("zstd", "deflated message", "packed answer")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("row", TELLING, ids=IDS)
def test_what_is_told_is_not_recorded(row: Telling, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"

    writer, sentences = recording_of(path, row.said, Redactor(classes=(row.redaction,)))
    live = everything(path)
    writer.close()

    assert found_in(path, row) == []
    assert not [form for form in forms_of(row.plant) if form in live]
    assert row.plant not in "\n".join(sentences)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("row", TELLING, ids=IDS)
def test_what_is_told_is_taken_out_later(row: Telling, suffix: str, tmp_path: Path) -> None:
    before, after = tmp_path / "a.jsonl", tmp_path / f"b{suffix}"
    as_it_was(before, row)
    with open_cassette(before) as reader:
        records = list(reader)

    redactor = Redactor(classes=(row.redaction,))
    write_cassette(after, redacted_recording(lambda: iter(records), redactor))

    assert found_in(after, row) == []
