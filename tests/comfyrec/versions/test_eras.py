"""Eras: which facts belong to which version, and how versions are written."""

from __future__ import annotations

from itertools import pairwise

import pytest

from comfyrec.errors import UsageError
from comfyrec.versions import (
    ERAS,
    FIRST_RELEASE,
    era_of,
    eras_between,
    generation_of,
    is_beyond_known,
    oldest_with,
)


@pytest.mark.parametrize("version", ERAS)
def test_every_recorded_generation_has_an_era(version: str) -> None:
    era = era_of(version)

    assert era.version == version
    assert era.has("success_event") == (version != "2024-07")


def test_versions_are_read_as_people_write_them() -> None:
    assert era_of("v0.27.0") == era_of("V0.27.0") == era_of("0.27.0")
    assert era_of("v0.27.0").release == (0, 27, 0)
    assert era_of("0.8").facts >= era_of("0.8.2").facts
    assert era_of("0.3.75-dev").release == (0, 3, 75)


@pytest.mark.parametrize("version", ["", "latest", "27", "0.x", "2025-01", "1.2.3.4"])
def test_what_is_not_a_version_is_told_so(version: str) -> None:
    with pytest.raises(UsageError, match="is not a version"):
        era_of(version)


SINCE = [fact for fact, release in FIRST_RELEASE.items() if release > (0, 0, 0)]


@pytest.mark.parametrize("fact", SINCE)
def test_a_fact_begins_with_its_first_release(fact: str) -> None:
    major, minor, patch = FIRST_RELEASE[fact]

    assert era_of(f"{major}.{minor}.{patch}").has(fact)
    assert not era_of("2024-07").has(fact)


@pytest.mark.parametrize(
    "fact, version",
    [("success_event", "0.3.10"), ("progress_state", "0.3.64"), ("jobs", "0.8.2")],
)
def test_a_fact_is_first_seen_in_the_recorded_generation_after_it(fact: str, version: str) -> None:
    assert oldest_with(fact) == version


@pytest.mark.parametrize(
    "version, generation",
    [("0.27.0", "0.27.0"), ("0.26.9", "0.8.2"), ("2024-07", "0.3.10"), ("0.40", "0.27.0")],
)
def test_a_version_belongs_to_the_newest_generation_before_it(
    version: str, generation: str
) -> None:
    assert generation_of(era_of(version), ["0.27.0", "0.3.10", "0.8.2"]) == generation


def test_one_fact_is_switched_without_the_others() -> None:
    era = era_of("0.27.0")

    older = era.switched("job_cancel", on=False)
    newer = era.switched("previewable_count", on=True)

    assert era.facts - older.facts == {"job_cancel"}
    assert newer.facts - era.facts == {"previewable_count"}


def test_a_fact_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'job_cancel'"):
        era_of("0.27.0").switched("job_cancl", on=True)


@pytest.mark.parametrize(
    "version, beyond", [("0.33.0", False), ("0.46", False), ("0.46.3", False), ("0.47.0", True)]
)
def test_a_version_that_nobody_knows_is_told(version: str, beyond: bool) -> None:
    assert is_beyond_known(era_of(version)) is beyond


def test_the_way_between_two_versions_changes_facts_at_every_step() -> None:
    way = eras_between(era_of("0.3.40"), era_of("0.3.57"))

    assert [era.version for era in way] == [
        "0.3.40", "0.3.42", "0.3.45", "0.3.46", "0.3.48", "0.3.49", "0.3.52", "0.3.53", "0.3.57"
    ]  # fmt: skip
    assert all(old.facts < new.facts for old, new in pairwise(way))


def test_the_way_to_an_older_version_goes_back_and_ends_with_what_was_switched() -> None:
    bad = era_of("0.3.48").switched("jobs", on=True)

    way = eras_between(era_of("0.3.52"), bad)

    assert [era.version for era in way] == ["0.3.52", "0.3.49", "0.3.48", "0.3.48"]
    assert way[-1] == bad


def test_the_way_from_a_version_to_itself_is_no_step_at_all() -> None:
    assert eras_between(era_of("0.27.0"), era_of("0.27.0")) == (era_of("0.27.0"),)


def test_what_every_release_has_can_be_switched_off() -> None:
    assert all(era_of(version).has("null_executing") for version in ERAS)
    assert not era_of().switched("sid_in_status", on=False).has("sid_in_status")


def test_a_fact_that_ended_is_no_more_in_the_release_after() -> None:
    assert not era_of("0.3.67").has("cached_needs_client")
    assert era_of("0.3.68").has("cached_needs_client")
    assert era_of("0.27").has("cached_needs_client")
    assert not era_of("0.28.0").has("cached_needs_client")


def test_the_way_between_two_versions_stops_where_a_fact_ends() -> None:
    way = eras_between(era_of("0.27.0"), era_of("0.33.0"))

    assert [era.version for era in way] == ["0.27.0", "0.28.0", "0.30.0", "0.32.0", "0.33.0"]
    assert way[0].facts - way[1].facts == {"cached_needs_client"}


def test_a_fact_is_switched_by_a_text() -> None:
    assert not era_of("0.27.0").with_text("jobs=off").has("jobs")
    for text in ("jobs", "jobs=maybe", "=on"):
        with pytest.raises(UsageError):
            era_of("0.27.0").with_text(text)


@pytest.mark.parametrize(
    "given, reported",
    [
        ("0.33", "0.33.0"),
        ("0.3", "0.3.64"),
        ("v0.8", "0.8.2"),
        ("0.35", "0.35.0"),
        ("0.27.1", "0.27.1"),
    ],
)
def test_a_server_reports_a_version_with_a_patch_number(given: str, reported: str) -> None:
    assert era_of(given).reported == reported
