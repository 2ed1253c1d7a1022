"""Scenarios by name as one source: several at once, and over a recording."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.cassette.import_capture import records_of_capture
from comfyrec.check.play import IMAGES
from comfyrec.errors import ScenarioError
from comfyrec.timeline import Timeline
from fake_server.replay import Player
from fake_server.scenario_source import scenario_source, scenarios_over, transport_of
from fake_server.scenarios import Choice, Stage, catalogue, choice_of, choose
from fake_server.scenarios.kit import PLAIN, Directions, Parameters, Scenario
from fake_server.scenarios.kit.dry_run import dry_run
from fake_server.simulated_server import ServerOptions, SimulatedServer
from fake_server.source import Request, Source, UpgradeRequested
from tests.support.paths import ROOT, SHARED
from tests.support.source_client import GRAPH, ask, json_of

RECORDING = SHARED / "recordings" / "v0.27.0" / "image_only.jsonl"
ON_A_RECORDING = [
    "ws-silent", "reconnect-mid-run", "big-frame", "duplicate-status", "success-before-history",
    "server-restart", "stale-burst", "pending-deleted", "view-404", "reject-400", "output-kinds",
]  # fmt: skip


@pytest.mark.skipif(not RECORDING.is_file(), reason="the recordings are not here")
@pytest.mark.parametrize("name", ON_A_RECORDING)
def test_operators_work_alike_on_a_recording(name: str) -> None:
    with RECORDING.open("rb") as file:
        timeline = Timeline.build(records_of_capture(file))
    post = next(one for one in timeline.exchanges if one.method == "POST")
    graph: dict[str, Any] = json.loads(post.request.body)["prompt"]
    stage = scenarios_over([choose(name)], lambda: Player(timeline))
    assert isinstance(stage, Stage)

    lines = list(dry_run(stage, graph))

    assert lines
    assert not [str(one) for one in stage.finish() if one.needed]


CASSETTE = ROOT / "cassettes" / "image-only.jsonl"


@pytest.mark.parametrize("name", ["reconnect-mid-run", "duplicate-status", "shared-client-id"])
def test_a_recording_under_scenarios_reaches_a_client_with_an_id_of_the_servers(name: str) -> None:
    with open_cassette(CASSETTE) as records:
        timeline = Timeline.build(list(records))
    post = next(one for one in timeline.exchanges if one.method == "POST")
    graph: dict[str, Any] = json.loads(post.request.body)["prompt"]

    own, given = (
        frames_of(scenarios_over([choose(name)], lambda: Player(timeline)), graph, own_id=own_id)
        for own_id in (True, False)
    )

    assert own == given
    assert "execution_start" in own


def frames_of(source: Source, workflow: Mapping[str, Any], *, own_id: bool) -> list[str]:
    """The types of the frames that a polite client gets."""
    lines = dry_run(source, workflow, own_id=own_id)
    return [
        line.text.split(" ")[0] for line in lines if line.to_client and not line.text[:1].isdigit()
    ]


def test_scenarios_add_up() -> None:
    both = [choose("duplicate-status"), choose("ws-silent:after=start")]
    source = scenario_source(both)

    texts = [line.text for line in dry_run(source, PLAIN)]

    assert texts.count("status queue_remaining=1") == 6
    assert "executing node=null" not in texts


def test_scenarios_add_up_and_so_do_their_transports() -> None:
    choices = [choose("lifelike"), choose("profile:0.3.10"), choose("base-path:prefix=/comfy/")]

    source = scenario_source(choices)

    assert source.facts()["comfyui_version"] == "0.3.10"
    assert transport_of(choices).prefix == "/comfy/"
    assert transport_of([choose("tls-self-signed")]).tls
    assert ask(source, "GET", "/comfy/features").status == 404


def test_a_plan_follows_each_prompt() -> None:
    source = scenario_source([choice_of("execution-error", {})])
    list(source.handle(UpgradeRequested(7, Request("GET", "/ws?clientId=me")), 0))

    accepted = json_of(ask(source, "POST", "/prompt", {"prompt": GRAPH, "client_id": "me"}))
    history = json_of(ask(source, "GET", f"/history/{accepted['prompt_id']}", now=10_000_000))

    assert history[accepted["prompt_id"]]["status"]["status_str"] == "error"


def test_a_scenario_about_nodes_cannot_be_put_over_a_recording() -> None:
    with pytest.raises(ScenarioError, match="about what nodes do"):
        scenarios_over([choose("lifelike")], SimulatedServer)
    assert scenarios_over([choose("ws-silent")], SimulatedServer).facts()["operators"]


def test_an_unknown_option_of_the_server_is_named() -> None:
    wrong = Scenario(
        name="wrong",
        category="normal",
        summary="",
        correct="",
        direct=lambda settings: Directions(engine={"colour": "red"}),
    )

    with pytest.raises(ScenarioError, match="no such option of the server: colour"):
        scenario_source([Choice(wrong, Parameters())])


def test_a_wrong_plan_is_known_before_a_prompt_comes() -> None:
    with pytest.raises(ScenarioError, match=r"nodes\.3: no plan key 'secnds'"):
        scenario_source([choice_of("success", {"nodes": {"3": {"secnds": 1}}})])


def test_a_planned_node_that_no_prompt_has_had_is_a_fact() -> None:
    source = scenario_source([choice_of("success", {"nodes": {"1": {}, "22": {}}})])

    answer = ask(source, "POST", "/prompt", {"prompt": GRAPH})

    assert ("X-Fake-Plan-Unmet", "22") in answer.headers
    assert source.facts()["plan_not_met"] == ["22"]


def test_a_strict_plan_is_not_for_other_users() -> None:
    strict = choice_of("success", {"nodes": {"1": {}}, "strict": True})
    source = scenario_source([strict, choice_of("queued-behind")])

    answer = ask(source, "POST", "/prompt", {"prompt": GRAPH, "client_id": "me"})
    queue = json_of(ask(source, "GET", "/queue"))

    assert answer.status == 200
    assert len(queue["queue_running"]) + len(queue["queue_pending"]) > 1


def test_complaints_name_the_scenario_once_a_prompt_was_accepted() -> None:
    source = scenario_source([choice_of("cached-no-new-files"), choice_of("upload-413")])
    before = list(source.complaints)

    ask(source, "POST", "/prompt", {"prompt": GRAPH, "client_id": "me"})

    assert before == []
    assert all(
        one.startswith("scenario cached-no-new-files, upload-413: ") for one in source.complaints
    )


def test_a_server_that_was_restarted_goes_on_step_by_frame() -> None:
    made: list[SimulatedServer] = []

    def make() -> SimulatedServer:
        made.append(SimulatedServer())
        return made[-1]

    source = scenarios_over([choice_of("server-restart")], make)
    source.step_by_frame(True)
    list(dry_run(source, PLAIN))

    assert len(made) > 1
    assert all(server.engine.stepwise for server in made)


# --- lifelike beside any other -------------------------------------------------------------------

OTHERS = {scenario.name: scenario for scenario in catalogue() if scenario.category != "normal"}
NOT_ALL_NODES_RUN = {"caching", "executed-output-null", "blocked-error-then-success"}
"""They were run before, or are blocked: those take no time."""


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_lifelike_goes_with_every_other_scenario(name: str) -> None:
    workflow = OTHERS[name].workflow or PLAIN

    alone = ran([name], workflow)
    first = ran(["lifelike", name], workflow)
    second = ran([name, "lifelike"], workflow)

    assert first == second
    assert first.ending == alone.ending
    assert first.complaints == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        n
        for n, s in OTHERS.items()
        if s.truth == ("success",) and not {n, s.category} & NOT_ALL_NODES_RUN
    ],
)
def test_no_node_is_faster_than_in_a_lifelike_run(name: str) -> None:
    workflow = OTHERS[name].workflow or PLAIN

    plain, lifelike = ran(["lifelike"], workflow), ran([name, "lifelike"], workflow)

    assert lifelike.ended_at >= max(plain.ended_at, ran([name], workflow).ended_at)


def test_what_was_run_before_is_not_waited_for() -> None:
    longest_of_a_cached_run_us = 2_000

    assert ran(["lifelike", "all-cached"], PLAIN).ended_at <= longest_of_a_cached_run_us


def test_a_lifelike_run_is_cut_in_the_middle_node() -> None:
    source = scenario_source([choose("lifelike"), choose("reconnect-mid-run")])

    texts = [line.text for line in dry_run(source, PLAIN)]

    assert texts.index("the connection of the socket is cut") == 1 + texts.index(
        'executing node="2"'
    )


class Ran(NamedTuple):
    """What became of the client's prompt, when, and what no operator came to."""

    ending: str | None
    ended_at: int
    complaints: list[str]


def ran(names: list[str], workflow: Mapping[str, Any]) -> Ran:
    """A polite client's run under scenarios."""
    choices = [choose(name) for name in names]
    found = scenario_source(choices, ServerOptions(seed=3))
    stage = found if isinstance(found, Stage) else Stage(lambda: found)
    list(dry_run(stage, workflow, prefix=transport_of(choices).prefix, images=IMAGES))
    mine = stage.observer.mine()
    complaints = [str(one) for one in stage.finish() if one.needed]
    return Ran(mine[-1].ending if mine else None, mine[-1].ended_at if mine else -1, complaints)
