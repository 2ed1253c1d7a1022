from __future__ import annotations

import re

import pytest

from comfyrec.tables.schema import PARTITIONS, TABLES, TABLES_VERSION
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", TABLES)
def test_every_table_can_be_partitioned(table: str) -> None:
    names = [column.name for column in TABLES[table]]

    assert set(PARTITIONS) < set(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("table", TABLES)
def test_the_page_lists_every_column_with_its_type(table: str) -> None:
    section = PAGE.partition(f"### {table}\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+) \|$", section, re.MULTILINE)

    own = TABLES[table][4:]
    assert rows == [(column.name, column.type, column.meaning) for column in own]


def test_the_page_says_which_version_it_describes() -> None:
    assert f"version {TABLES_VERSION}" in PAGE
