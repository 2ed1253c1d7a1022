"""Files of every format version that was ever released still read, and read the same.

``golden/vN.*`` were written by the release that brought format N and are never written again. When
format N+1 comes: write ``v(N+1).*`` with it, and give ``unpack`` and ``text`` the one step from N.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cassette_samples import ONE_OF_EACH

from comfyrec.cassette.files import open_cassette, write_cassette
from comfyrec.cassette.records import FORMAT

GOLDEN = Path(__file__).parent / "golden"
NAMES = ["v1.crec", "v1-while-recording.crec", "v1.jsonl"]


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_reads_as_it_did(name: str) -> None:
    with open_cassette(GOLDEN / name) as reader:
        records = list(reader)

        assert records == list(ONE_OF_EACH)
        assert not reader.problems


@pytest.mark.parametrize("name", ["v1.crec", "v1.jsonl"])
def test_today_writes_the_golden_file_byte_for_byte(tmp_path: Path, name: str) -> None:
    write_cassette(tmp_path / name, ONE_OF_EACH)

    assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes()


def test_every_format_has_its_golden_files() -> None:
    assert {name.split(".")[0].split("-")[0] for name in NAMES} == {
        f"v{number}" for number in range(1, FORMAT + 1)
    }
