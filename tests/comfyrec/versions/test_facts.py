"""The table of facts: that each row says where it comes from, and that the lists show the table."""

from __future__ import annotations

import json
import re

import pytest

from comfyrec.cli import main
from comfyrec.versions import ERAS, FACTS, FIRST_RELEASE, RECORDED, Fact, era_of
from comfyrec.versions.facts import LATEST, as_text, next_release
from tests.support.paths import ROOT

every_fact = pytest.mark.parametrize("fact", FACTS, ids=[fact.name for fact in FACTS])


def test_the_table_stands_in_the_order_of_first_releases() -> None:
    releases = [fact.first for fact in FACTS]

    assert releases == sorted(releases)
    assert len(FIRST_RELEASE) == len(FACTS)


@every_fact
def test_a_fact_has_a_source_and_does_not_end_before_it_begins(fact: Fact) -> None:
    assert re.search(r"upstream|captured from|golden", fact.source)
    assert "/work" not in fact.source and ".." not in fact.source
    assert fact.last is None or fact.first <= fact.last


@every_fact
def test_what_was_seen_names_the_generation_that_shows_it(fact: Fact) -> None:
    shown = re.findall(r"(?:captured from|golden) ([\d.-]+)", fact.source)

    assert bool(shown) is fact.seen
    for version in shown:
        assert version in (*RECORDED, *SEEN_ELSEWHERE)
        assert era_of(version).has(fact.name)


SEEN_ELSEWHERE = ("0.9.2", "0.28.2")
"""Releases that were run to look at single facts, and of which nothing is bundled."""


@pytest.mark.parametrize("version", ERAS)
def test_a_version_is_the_set_of_facts_that_hold_in_it(version: str) -> None:
    era = era_of(version)

    assert era.facts == {fact.name for fact in FACTS if fact.holds_in(era.release)}


def test_the_list_prints_the_rows_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["serve", "--comfyui-version", "list"])
    out = capsys.readouterr().out
    text = " ".join(out.split())

    for fact in FACTS:
        row = f"{fact.first_text} {fact.name}: {fact.says} ({fact.origin})"
        assert " ".join(row.split()) in text
        assert fact.source in fact.origin and fact.last_text in fact.origin
    assert text.count("; upstream") + text.count("only read: ") + text.count("; captured") >= len(
        FACTS
    )
    assert max(map(len, out.splitlines())) <= 80


def test_the_page_has_a_row_for_each_fact() -> None:
    page = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")

    names = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)

    assert names == [fact.name for fact in FACTS]


@pytest.mark.slow
def test_drift_says_where_a_fact_was_learned(capsys: pytest.CaptureFixture[str]) -> None:
    main(["drift", "0.27.0", "0.28.0", "--json"])
    (change,) = json.loads(capsys.readouterr().out)["changes"]

    assert change["fact"] == "cached_needs_client"
    assert change["origin"].startswith("since 0.3.68 and up to 0.27; upstream #10454")


def test_the_latest_patch_of_a_minor_release_is_before_the_next() -> None:
    assert (as_text((0, 27, LATEST)), next_release((0, 27, LATEST))) == ("0.27", (0, 28, 0))
    assert (as_text((0, 3, 60)), next_release((0, 3, 60))) == ("0.3.60", (0, 3, 61))
