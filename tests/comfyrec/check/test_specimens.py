"""Every specimen in every scenario: the wrong ones fail where they should, the right one not."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from comfyrec.check import ScenarioResult
from tests.comfyrec.check.specimens.matrix import SPECIMENS, TABLE, run_all, table_of


@pytest.fixture(scope="module")
def results() -> list[tuple[str, ScenarioResult]]:
    return run_all()


@pytest.fixture(scope="module")
def found(results: list[tuple[str, ScenarioResult]]) -> Mapping[str, Mapping[str, str]]:
    return table_of(results)


@pytest.mark.parametrize("name", SPECIMENS)
def test_a_specimen_fails_just_where_the_table_says(
    name: str, found: Mapping[str, Mapping[str, str]]
) -> None:
    expected = json.loads(TABLE.read_text(encoding="utf-8"))

    assert found[name] == expected[name]


def test_the_right_client_keeps_everything(results: list[tuple[str, ScenarioResult]]) -> None:
    right = [result for name, result in results if name == "right"]

    assert [(result.name, result.tail) for result in right if not result.fine] == []


def test_every_wrong_client_fails_somewhere_and_passes_elsewhere(
    found: Mapping[str, Mapping[str, str]], results: list[tuple[str, ScenarioResult]]
) -> None:
    scenarios = {result.name for _, result in results}

    assert all(found[name] and set(found[name]) < scenarios for name in SPECIMENS[1:])
