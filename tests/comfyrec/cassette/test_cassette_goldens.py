"""Files of every format version that was ever released still read, and read the same.

``golden/vN.*`` were written by the release that brought format N and are never written again. When
format N+1 comes: write ``v(N+1).*`` with it, and give ``unpack`` and ``text`` the one step from N.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyrec.cassette.files import open_cassette, write_cassette
from comfyrec.cassette.records import FORMAT
from tests.support.cassette_samples import ONE_OF_EACH

pytestmark = pytest.mark.long

GOLDEN = Path(__file__).parent / "golden"
NAMES = [
    "v1.crec",
    "v1-while-recording.crec",
    "v1-zstd.crec",
    "v1-runs.crec",
    "v1.jsonl",
]
"""``v1.crec`` has its block in deflate, ``v1-runs.crec`` is a recording with several records in a
write."""


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_file_reads_as_it_did(name: str) -> None:
    with open_cassette(GOLDEN / name) as reader:
        records = list(reader)

        assert records == list(ONE_OF_EACH)
        assert not reader.problems


def test_today_writes_the_golden_lines_byte_for_byte(tmp_path: Path) -> None:
    write_cassette(tmp_path / "v1.jsonl", ONE_OF_EACH)

    assert (tmp_path / "v1.jsonl").read_bytes() == (GOLDEN / "v1.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["v1.crec", "v1-zstd.crec"])
def test_a_finished_golden_file_cut_anywhere_gives_what_was_recorded_and_says_so(
    tmp_path: Path, name: str
) -> None:
    data = (GOLDEN / name).read_bytes()
    for cut in range(200, len(data)):
        (tmp_path / name).write_bytes(data[:cut])
        with open_cassette(tmp_path / name) as reader:
            records = list(reader)

        assert [record for record in records if record not in ONE_OF_EACH] == []
        assert reader.problems or len(records) == len(ONE_OF_EACH)


def test_every_format_has_its_golden_files() -> None:
    assert {name.split(".")[0].split("-")[0] for name in NAMES} == {
        f"v{number}" for number in range(1, FORMAT + 1)
    }
