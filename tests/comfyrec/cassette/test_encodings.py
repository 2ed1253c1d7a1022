from __future__ import annotations

from pathlib import Path

import pytest

from comfyrec.cassette.encodings import InMemory, reading_of
from comfyrec.cassette.files import find_cassette
from comfyrec.errors import NotACassette


@pytest.mark.parametrize(
    "name, encoding", [("all-cached", "jsonl"), ("fresh-run-previews", "packed")]
)
def test_bytes_are_read_as_the_file_is(name: str, encoding: str) -> None:
    path = Path(find_cassette(name))

    found, reading = reading_of(InMemory(path.read_bytes(), str(path)))

    assert found == encoding
    assert len(list(reading.records())) > 50
    assert reading.order.problems == []


@pytest.mark.parametrize(
    "data, words", [(b"", "is empty"), (b"\x7fELF", "is not a cassette"), (b'{"log": {}}', "HAR")]
)
def test_other_bytes_are_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(NotACassette, match=words) as refused:
        reading_of(InMemory(data, "x.crec"))

    assert str(refused.value).startswith("x.crec: ")
