"""Which generation a server speaks, and which of its facts depart from it."""

from __future__ import annotations

import pytest

from comfyrec.conform.probes import PROBES
from comfyrec.conform.server import LiveServer
from comfyrec.conform.verdict import Seen, Verdict, changes, judge, known_as, look_at
from comfyrec.versions import DEFAULT_VERSION, ERAS, era_of
from fake_server.options import ServerOptions
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer
from tests.comfyrec.conform.test_departures import STEPS_TAKE_TIME

DEPARTURES = {
    "0.27.0": [
        "success_event", "display_node", "long_mismatch", "origin_guard", "options_everywhere",
        "internal_routes", "error_objects", "i18n", "workflow_templates", "v2_userdata",
        "client_prompt_id",
        "targeted_interrupt", "global_subgraphs", "cached_needs_client", "create_time",
        "manager_flag", "job_cancelled", "missing_node_type", "node_replacement", "no_store",
        "fetch_site_guard", "reprs_in_lists", "uuid_prompt_ids", "usage_source", "job_cancel",
        "model_type_tags", "replacements_flag", "assets_flag", "view_nosniff",
        "previewable_count", "datasets_folder",
        "workflow_metadata", "asset_export", "assets_on",
    ],
}  # fmt: skip


def seen_of(version: str, **switched: bool) -> Seen:
    """What a fake server of that version shows of itself, with some facts more or less."""
    era = era_of(version)
    for fact, on in switched.items():
        era = era.switched(fact, on=on)
    source = SimulatedServer(ServerOptions(era=era), plan_for=STEPS_TAKE_TIME)
    with serve(source, speed=1) as handle:
        return look_at(LiveServer(handle.url), version)


@pytest.mark.long
@pytest.mark.parametrize("version", ERAS)
def test_the_fake_has_full_marks_in_every_generation(version: str) -> None:
    seen = seen_of(version)
    verdict = judge(seen)

    assert known_as(seen) == era_of(version)
    assert verdict.departures == []
    assert verdict.agreed == verdict.looked_at > 25
    assert verdict.broken == []
    # A server that chooses all ids itself does not look at those that it is sent; one that takes no
    # time has nobody wait; the oldest have no jobs.
    assert set(verdict.unseen) <= {"uuid_prompt_ids", "queue_order", "jobs_page", "job"}
    assert verdict.rules >= 25


@pytest.mark.long
@pytest.mark.parametrize(
    "version, fact", [(version, fact) for version, facts in DEPARTURES.items() for fact in facts]
)
def test_one_fact_that_departs_is_named(version: str, fact: str) -> None:
    has = era_of(version).has(fact)

    verdict = judge(seen_of(version, **{fact: not has}))

    assert verdict.generation == version
    assert [one.fact for one in verdict.departures] == [fact]


@pytest.mark.slow
@pytest.mark.parametrize("version", ["0.9.2", "0.16.4"])
def test_lists_of_assets_alone_are_not_what_0_17_has(version: str) -> None:
    with serve(SimulatedServer(ServerOptions(era=era_of(version)))) as handle:
        server = LiveServer(handle.url)
        seen = look_at(server, "here")

        assert server.ask("GET", "/api/assets").status == 200
    assert (seen.facts["asset_lists"], seen.facts["assets_events"]) == (True, False)
    assert seen.facts["assets_always"]
    assert (judge(seen).generation, judge(seen).departures) == (version, [])


@pytest.mark.slow
@pytest.mark.parametrize("assets", [False, True])
def test_assets_are_seen_on_servers_with_users_too(assets: bool) -> None:
    options = ServerOptions(era=era_of("0.33.0").switched("assets_on", on=assets), multi_user=True)
    with serve(SimulatedServer(options)) as handle:
        assert look_at(LiveServer(handle.url), "here").facts["assets_on"] == assets


@pytest.mark.slow
def test_two_versions_differ_in_the_facts_between_them() -> None:
    before, after = seen_of("0.27.0"), seen_of("0.33.0")

    assert [one.fact for one in changes(before, after)] == [
        "cached_needs_client",
        "previewable_count",
        "datasets_folder",
    ]
    assert changes(before, seen_of("0.27.0")) == []


def made_up(claims: str | None, version: str, **other: bool) -> Verdict:
    """The verdict on a server that answers as a version, but for some facts."""
    facts = {probe.fact: probe.expects(era_of(version)) for probe in PROBES}
    return judge(Seen("here", claims, {**facts, **other}, []))


def test_the_version_that_a_server_names_is_believed_while_it_fits() -> None:
    assert made_up("0.30.5", "0.33.0", previewable_count=False).generation == "0.30.5"


def test_a_server_that_names_a_version_it_is_not_is_known_by_its_answers() -> None:
    verdict = made_up("0.41.0", "0.3.64")

    assert (verdict.generation, verdict.claims, verdict.departures) == ("0.3.64", "0.41.0", [])


@pytest.mark.parametrize("claims", [None, "unknown", "master"])
def test_a_server_that_names_no_version_is_known_by_its_answers(claims: str | None) -> None:
    assert made_up(claims, "0.33.0").generation == "0.33.0"


def test_a_departure_says_what_was_expected() -> None:
    (one,) = made_up(DEFAULT_VERSION, DEFAULT_VERSION, jobs=False).departures

    assert (one.fact, one.expected, one.seen, one.says) == ("jobs", True, False, "/api/jobs")
