"""Traffic with a secret in it, through the recorder: it must not be found afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.field_samples import FIELD_PLANTS
from tests.support.recorded import everything, recording_of
from tests.support.redaction_samples import PLANTS, Row
from tests.support.tool_samples import TOOL_PLANTS

ROWS = [*PLANTS, *FIELD_PLANTS, *TOOL_PLANTS]
IDS = [f"{row.place}: {row.sample}" for row in ROWS]


def test_the_table_has_enough_rows_and_none_twice() -> None:
    assert len(ROWS) >= 520
    assert len(set(IDS)) == len(IDS)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".crec", pytest.param(".jsonl", marks=pytest.mark.long)])
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_a_secret_is_in_the_cassette_neither_live_nor_closed_nor_killed(
    row: Row, suffix: str, tmp_path: Path
) -> None:
    closed, killed = tmp_path / f"closed{suffix}", tmp_path / f"killed{suffix}"

    writer, sentences = recording_of(closed, row.said)
    live = everything(closed)
    writer.close()
    recording_of(killed, row.said)[0].abandon()

    secret = row.secret.encode()
    assert secret not in live
    assert secret not in everything(closed)
    assert secret not in everything(killed)
    assert row.secret not in "\n".join(sentences)
