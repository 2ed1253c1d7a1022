"""Scenarios by name -> one source: the simulated server, under the operators of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.errors import ScenarioError
from comfyrec.versions import era_of
from fake_server.scenarios import Choice, Directions, Stage, choice_of
from fake_server.scenarios.kit.scenario import GraphPlan, Transport
from fake_server.simulated_server import ServerOptions, SimulatedServer
from fake_server.simulator.engine import Engine
from fake_server.simulator.node_plan import NodePlan, Plan
from fake_server.source import Source

__all__ = ["chosen", "over", "scenario_source", "shell_of"]

_SOMEBODY: Final = "somebody-else"
"""The client id of the people that a scenario brings along."""
_PLANS_KEPT_MAX: Final = 256


def chosen(name: str, params: Mapping[str, Any] | None = None) -> Choice:
    """A scenario by name, with parameters as JSON has them.

    Raises:
        ScenarioError: an unknown name or parameter, a wrong type, out of range.
    """
    if not isinstance(name, str):
        raise ScenarioError("the name of a scenario is a text")
    return choice_of(name, params or {})


def scenario_source(choices: Sequence[Choice], facts: ServerOptions | None = None) -> Source:
    """The simulated server with these scenarios at once, the first one nearest to the client.

    Args:
        choices: none at all is ``success``.
        facts: how the server is started; a scenario may ask for another version of ComfyUI.

    Raises:
        ScenarioError: settings that do not go together or that no node can follow.
    """
    facts = facts or ServerOptions()
    for choice in choices:
        # What a plan says of nodes by id is read now, so that a wrong entry is known at once.
        Plan(getattr(choice.settings, "nodes", None))
    directions = [choice.scenario.direct(choice.settings) for choice in choices]
    wanted = _merged(directions)
    if "comfyui_version" in wanted:
        facts = msgspec.structs.replace(facts, era=era_of(str(wanted.pop("comfyui_version"))))
    facts = _with_settings(facts, wanted)
    plans = [each.plan for each in directions if each.plan is not None]
    people_s = max((each.people_s for each in directions), default=0.0)

    def make() -> SimulatedServer:
        plan = _Directed(plans, wanted, people_s)
        world = SimulatedServer(facts, plan=plan)
        plan.engine = world.engine
        return world

    operators = [operator for each in directions for operator in each.operators]
    split = any(each.split for each in directions)
    if not operators and not split:
        return make()
    return Stage(make, operators, seed=facts.seed, split=split)


def shell_of(choices: Sequence[Choice]) -> Transport:
    """What the scenarios need of the shell around the source."""
    shells = [choice.scenario.direct(choice.settings).shell for choice in choices]
    prefix = next((shell.prefix for shell in shells if shell.prefix), "")
    return Transport(tls=any(shell.tls for shell in shells), prefix=prefix)


_OF_THE_PLAN: Final = ("classes", "strict", "lifelike")


def _merged(directions: Iterable[Directions]) -> dict[str, Any]:
    """The settings of the engine that the scenarios ask for; those of ``classes`` add up."""
    merged: dict[str, Any] = {}
    for each in directions:
        for name, value in each.engine.items():
            if name == "classes":
                value = {**merged.get(name, {}), **value}
            elif name in _OF_THE_PLAN:
                value = merged.get(name, False) or value
            merged[name] = value
    return merged


def _with_settings(facts: ServerOptions, wanted: Mapping[str, Any]) -> ServerOptions:
    own = {name: value for name, value in wanted.items() if name not in _OF_THE_PLAN}
    try:
        settings = msgspec.structs.replace(facts.settings, **own)
    except TypeError:
        raise ScenarioError(f"no such setting of the engine: {', '.join(own)}") from None
    return msgspec.structs.replace(facts, settings=settings)


class _Directed(Plan):
    """A plan that follows from each prompt's own graph, as scenarios direct it."""

    def __init__(
        self, plans: Sequence[GraphPlan], wanted: Mapping[str, Any], people_s: float
    ) -> None:
        self._base = {name: wanted[name] for name in _OF_THE_PLAN if name in wanted}
        super().__init__({}, **self._base)
        self._plans, self._people_s = plans, people_s
        self._of_prompt: dict[str, Plan] = {}
        self._same: dict[int, tuple[Mapping[str, Any], Plan]] = {}
        self.engine: Engine | None = None

    def of(self, node_id: str, class_type: str) -> NodePlan:
        """What a node of the running prompt does."""
        if not self._plans and not self._people_s:
            return super().of(node_id, class_type)
        job = self.engine.running if self.engine is not None else None
        if job is None:
            return super().of(node_id, class_type)
        found = self._of_prompt.get(job.prompt_id)
        if found is None:
            if len(self._of_prompt) > _PLANS_KEPT_MAX:
                self._of_prompt.clear()
            somebody = job.extra_data.get("client_id") == _SOMEBODY
            found = self._people(job.prompt) if somebody else self._for(job.prompt)
            self._of_prompt[job.prompt_id] = found
        return found.of(node_id, class_type)

    def check(self, node_ids: Iterable[str]) -> list[str]:
        """See whether the plan fits a prompt that has just come."""
        if self._plans and isinstance(node_ids, Mapping):
            return self._for(node_ids).check(node_ids)
        return []

    def _for(self, graph: Mapping[str, Any]) -> Plan:
        nodes: Mapping[str, Any] = {}
        for plan in self._plans:
            planned = plan(graph)
            nodes = planned if not nodes else {**nodes, **planned}
        return self._made(nodes)

    def _made(self, nodes: Mapping[str, Any]) -> Plan:
        """The plan of these nodes; the same object for the same table, which it remembers."""
        known = self._same.get(id(nodes))
        if known is not None and known[0] is nodes:
            return known[1]
        if len(self._same) > _PLANS_KEPT_MAX:
            self._same.clear()
        made = Plan(nodes, **self._base)
        self._same[id(nodes)] = (nodes, made)
        return made

    def _people(self, graph: Mapping[str, Any]) -> Plan:
        first = next(iter(graph), None)
        seconds = {"seconds": self._people_s}
        return Plan({first: seconds} if first is not None and self._people_s else {})


def over(choices: Sequence[Choice], make: Callable[[], Source], *, seed: int = 0) -> Source:
    """A recording under the operators of scenarios.

    Raises:
        ScenarioError: a scenario wants nodes to do something, which a recording cannot follow.
    """
    directions = [choice.scenario.direct(choice.settings) for choice in choices]
    operators = [operator for each in directions for operator in each.operators]
    for choice, each in zip(choices, directions, strict=True):
        if not each.operators and not each.split:
            raise ScenarioError(
                f"scenario '{choice.scenario.name}' is about what nodes do, and a recording has "
                f"done it already; leave out the file or the scenario"
            )
    return Stage(make, operators, seed=seed, split=any(each.split for each in directions))
