"""Operations on what a server does: scenarios, cassette, plan, catalogue, reset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from comfyrec.control.controlled import Controlled
from comfyrec.control.operation import Empty, Operation
from comfyrec.control.shapes import (
    CassetteBody,
    CatalogueBody,
    Learned,
    NamedScenario,
    PlanBody,
    Played,
    PlayedScenario,
    ResetBody,
    ScenarioAbout,
    ScenarioList,
    SeveralScenarios,
    WasReset,
)
from comfyrec.errors import UsageError
from comfyrec.testing.make_source import choices_of
from fake_server.scenarios import Choice, Scenario, catalogue, choice_of, choose, scenario_surfaces
from fake_server.source import PARTS

__all__ = ["SERVING", "chosen", "played", "played_by"]


def chosen(given: Sequence[str | NamedScenario]) -> tuple[Choice, ...]:
    """Scenarios as texts or objects -> what is played.

    Raises:
        ScenarioError: an unknown name or parameter.
    """
    return tuple(
        choose(one) if isinstance(one, str) else choice_of(one.name, one.params) for one in given
    )


def played(choices: Sequence[Choice], cassette: Any) -> Played:
    """What is played, in plain values."""
    listed = [
        PlayedScenario(
            name=choice.scenario.name,
            params=msgspec.to_builtins(choice.settings),
            title=choice.title,
        )
        for choice in choices
    ]
    first = listed[0] if listed else None
    return Played(
        scenario=first, scenarios=listed, cassette=None if cassette is None else str(cassette)
    )


def played_by(controlled: Controlled) -> Played:
    """What a server plays now."""
    settings = controlled.server.settings
    return played(choices_of(settings), settings.cassette)


def _put_scenario(controlled: Controlled, body: NamedScenario) -> Played:
    controlled.server.scenario(body.name, **body.params)
    return played_by(controlled)


def _put_scenarios(controlled: Controlled, body: SeveralScenarios) -> Played:
    if not body.scenarios:
        raise UsageError('"scenarios" is empty; name one, such as {"scenarios": ["success"]}')
    controlled.server.scenarios(*chosen(body.scenarios))
    return played_by(controlled)


def _put_cassette(controlled: Controlled, body: CassetteBody) -> Played:
    controlled.server.cassette(body.file, *chosen(body.scenarios), strict=body.strict)
    return played_by(controlled)


def _put_plan(controlled: Controlled, body: PlanBody) -> Played:
    controlled.server.plan(body.nodes, strict=body.strict, **body.params)
    return played_by(controlled)


def _list_scenarios(controlled: Controlled, _: Empty) -> ScenarioList:
    every = [one for surface in scenario_surfaces() for one in catalogue(surface)]
    return ScenarioList(scenarios=[_about(one) for one in every])


def _about(scenario: Scenario) -> ScenarioAbout:
    schema = msgspec.json.schema(scenario.settings)
    own = schema["$defs"][scenario.settings.__name__].get("properties", {})
    return ScenarioAbout(
        name=scenario.name,
        row=scenario.row,
        category=scenario.category,
        summary=scenario.summary,
        correct=scenario.correct,
        truth=list(scenario.truth),
        parameters={name: dict(about) for name, about in own.items()},
    )


def _learn(controlled: Controlled, body: CatalogueBody) -> Learned:
    if (body.workflow is None) == (body.workflows is None):
        raise UsageError('give {"workflow": a workflow} or {"workflows": [several]}')
    workflows = body.workflows if body.workflow is None else [body.workflow]
    return Learned(learned=controlled.server.learn(*(workflows or [])))


def _reset(controlled: Controlled, body: ResetBody) -> WasReset:
    server = controlled.server
    if "scenario" in body.what:
        speed = server.settings.speed
        server.start_over(replace(controlled.first, speed=speed))
        controlled.holdings.clear()
    else:
        server.reset([name for name in body.what if name in PARTS])
    if "journal" in body.what:
        server.forget_seen()
    return WasReset(reset=list(body.what))


SERVING: Final = (
    Operation(
        "listScenarios", "GET", "/scenarios", "All scenarios with their parameters.",
        _list_scenarios, ScenarioList,
    ),
    Operation(
        "putScenario", "PUT", "/scenario",
        "Play another scenario from now on, as if started anew on the same port.",
        _put_scenario, Played, NamedScenario, example={"name": "ws-silent", "params": {}},
    ),
    Operation(
        "putScenarios", "PUT", "/scenarios", "Play several scenarios at once from now on.",
        _put_scenarios, Played, SeveralScenarios,
        example={"scenarios": ["ws-silent:after=start", "queued-behind"]},
    ),
    Operation(
        "putCassette", "PUT", "/cassette", "Replay a cassette from now on.",
        _put_cassette, Played, CassetteBody, example={"file": "all-cached"},
    ),
    Operation(
        "putPlan", "PUT", "/plan", "Say what nodes do from now on.",
        _put_plan, Played, PlanBody, example={"nodes": {"3": {"seconds": 2, "steps": 20}}},
    ),
    Operation(
        "learn", "POST", "/catalogue", "Have the server run these workflows from now on.",
        _learn, Learned, CatalogueBody,
        example={"workflow": {"1": {"class_type": "ShowMe", "inputs": {}}}},
    ),
    Operation(
        "reset", "POST", "/reset", "Forget what happened, and play what was played at the start.",
        _reset, WasReset, ResetBody, example={"what": ["history", "journal"]},
    ),
)  # fmt: skip
