"""Traffic without a secret, through the recorder: not one byte of it may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfyrec.cassette.records import HttpPart, WsFrame
from tests.support.field_samples import FIELD_HARMLESS, FIELD_PLANTS
from tests.support.recorded import everything_in, recorded, streams, unredacted
from tests.support.redaction_samples import HARMLESS, PLANTS, Row
from tests.support.tool_samples import TOOL_HARMLESS, TOOL_PLANTS

ROWS = [*HARMLESS, *FIELD_HARMLESS, *TOOL_HARMLESS]
PLANTED = [*PLANTS, *FIELD_PLANTS, *TOOL_PLANTS]
IDS = [f"{row.place}: {row.sample}" for row in ROWS]


def test_the_table_has_enough_rows_and_none_twice() -> None:
    assert len(ROWS) >= 350
    assert len(set(IDS)) == len(IDS)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".crec", ".jsonl"])
@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_nothing_of_it_changes(row: Row, suffix: str, tmp_path: Path) -> None:
    records = recorded(tmp_path / f"a{suffix}", row.said)

    assert streams(records) == streams(unredacted(row.said))
    assert not any(r.redacted for r in records if isinstance(r, HttpPart | WsFrame))


@pytest.mark.parametrize("row", PLANTED, ids=[f"{row.place}: {row.sample}" for row in PLANTED])
def test_what_is_planted_is_there_as_long_as_nobody_takes_it_out(row: Row) -> None:
    """The other table cannot fail on a row whose traffic does not carry its secret."""
    assert row.secret.encode() in everything_in(unredacted(row.said))
