"""Scenarios by name -> one source: the simulated server, under the operators of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import compress
from typing import Any, Final

import msgspec

from comfyrec.errors import ScenarioError, UsageError
from comfyrec.versions import era_of
from fake_server.options import EPOCH_MS, ServerOptions, SurfaceChoice
from fake_server.scenarios import Choice, Directions, Stage
from fake_server.scenarios.kit.scenario import EARLIER_USER, OTHER_USER, Transport
from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.node_plan import NodePlans, PlanFor
from fake_server.source import Source
from fake_server.surfaces.registry import NATIVE, default_settings, server_options, with_surfaces

__all__ = ["scenario_source", "scenarios_over", "transport_of"]


def scenario_source(
    choices: Sequence[Choice], options: ServerOptions | None = None, *, observed: bool = False
) -> Source:
    """The simulated server with these scenarios at once, the first one nearest to the client.

    Scenarios of a surface stand before it, and bring it along if the options do not name it;
    native ones stand between it and the server.

    Args:
        choices: none at all is ``success``.
        options: how the server is started; a scenario may ask for another version of ComfyUI.
        observed: have a ``Stage`` around all of it, and one behind the surfaces, if there are any.

    Raises:
        ScenarioError: options that do not exist, or plans that no node can follow.
    """
    options = options or ServerOptions()
    directions = [choice.scenario.direct(choice.settings) for choice in choices]
    recordings = [each.recording for each in directions if each.recording is not None]
    if recordings:
        return scenarios_over(choices, recordings[0], seed=options.seed)
    wanted = _merged(directions)
    behind = server_options(_surfaces(choices, directions, options.surfaces))
    if any(each.other_users_s for each in directions):
        # A client is to wait for others, as where a service has no machine left for it.
        behind["workers_per_client"] = None
    options = _with_options(options, {**behind, **wanted})
    plan_for = _plan_for(directions, wanted)

    def make() -> SimulatedServer:
        return SimulatedServer(options, plan_for=plan_for)

    lifelike = bool(wanted.get("lifelike"))
    return _stacked(make, choices, directions, options, lifelike=lifelike, observed=observed)


def _stacked(
    make: Callable[[], Source],
    choices: Sequence[Choice],
    directions: Sequence[Directions],
    options: ServerOptions,
    *,
    lifelike: bool = False,
    observed: bool = False,
) -> Source:
    """What is made, native operators, surfaces, their operators: from the inside out."""
    surfaces = _surfaces(choices, directions, options.surfaces)
    staged = partial(_staged, seed=options.seed, lifelike=lifelike, always=observed)
    natively = [choice.scenario.surface == NATIVE for choice in choices]
    native = staged(make, *_only(choices, directions, natively))
    if all(one.name == NATIVE for one in surfaces):
        return native()
    above = [not each for each in natively]
    front = partial(_in_front, native, surfaces, options)
    return staged(front, *_only(choices, directions, above))()


def _in_front(
    make: Callable[[], Source], surfaces: Sequence[SurfaceChoice], options: ServerOptions
) -> Source:
    return with_surfaces(make(), surfaces, seed=options.seed, epoch_us=options.epoch_us)


def _only(
    choices: Sequence[Choice], directions: Sequence[Directions], wanted: Sequence[bool]
) -> tuple[list[Choice], list[Directions]]:
    """Those choices, with their directions, that are wanted."""
    return [*compress(choices, wanted)], [*compress(directions, wanted)]


def _staged(
    make: Callable[[], Source],
    choices: Sequence[Choice],
    directions: Sequence[Directions],
    *,
    seed: int,
    lifelike: bool,
    always: bool,
) -> Callable[[], Source]:
    """Makes a source under the operators of scenarios; itself, where there is nothing to do.

    Operators keep state, so each is used for one run: what is made is made once.
    """
    operators = [operator for each in directions for operator in each.operators]
    split = any(each.split for each in directions)
    waits = any(map(_waits_for_socket, choices, directions))
    if not operators and not split and not waits and not always:
        return make
    return partial(
        Stage,
        make,
        operators,
        seed=seed,
        split=split,
        waits_for_socket=waits,
        lifelike=lifelike,
        name=_names(choices),
    )


def _surfaces(
    choices: Sequence[Choice], directions: Sequence[Directions], given: Sequence[SurfaceChoice]
) -> list[SurfaceChoice]:
    """The surfaces that were given and those that scenarios are about, set as these want it."""
    surfaces = {one.name: one for one in given}
    for choice, each in zip(choices, directions, strict=True):
        name = choice.scenario.surface
        if name == NATIVE:
            continue
        settings = surfaces.get(name, SurfaceChoice(name)).settings or default_settings(name)
        surfaces[name] = SurfaceChoice(name, msgspec.structs.replace(settings, **each.surface))
    return [*surfaces.values()]


def _waits_for_socket(choice: Choice, directions: Directions) -> bool:
    """Whether a client without a socket would miss what the scenario is about.

    A normal run does not wait: that a client misses its frames is what it shows.
    """
    of_frames = choice.scenario.surface == NATIVE and choice.scenario.category != "normal"
    return of_frames and directions.is_about_frames


def transport_of(choices: Sequence[Choice]) -> Transport:
    """What the scenarios need of the server around the source."""
    transports = [choice.scenario.direct(choice.settings).transport for choice in choices]
    prefix = next((each.prefix for each in transports if each.prefix), "")
    return Transport(tls=any(each.tls for each in transports), prefix=prefix)


_OF_THE_PLAN: Final = ("classes", "strict", "lifelike")


def _merged(directions: Iterable[Directions]) -> dict[str, Any]:
    """The options and plans that the scenarios ask for; those of ``classes`` add up."""
    merged: dict[str, Any] = {}
    for each in directions:
        for name, value in each.engine.items():
            if name == "classes":
                value = {**merged.get(name, {}), **value}
            elif name == "facts":
                value = (*merged.get(name, ()), *value)
            elif name in _OF_THE_PLAN:
                value = merged.get(name, False) or value
            merged[name] = value
    return merged


def _with_options(options: ServerOptions, wanted: Mapping[str, Any]) -> ServerOptions:
    own = {name: value for name, value in wanted.items() if name not in _OF_THE_PLAN}
    if "comfyui_version" in own:
        own["era"] = era_of(str(own.pop("comfyui_version")))
    for text in own.pop("facts", ()):
        try:
            own["era"] = own.get("era", options.era).with_text(text)
        except UsageError as error:
            raise ScenarioError(f"fact {text!r}: {error}") from None
    try:
        return msgspec.structs.replace(options, **own)
    except TypeError:
        raise ScenarioError(f"no such option of the server: {', '.join(own)}") from None


def _plan_for(directions: Sequence[Directions], wanted: Mapping[str, Any]) -> PlanFor:
    """What the nodes of each prompt do, as the scenarios direct it.

    Prompts of other users, whom scenarios bring along, only take the time that they are given.
    """
    common = {name: wanted[name] for name in _OF_THE_PLAN if name in wanted}
    unplanned = NodePlans(**common)
    plans = [each.plan for each in directions if each.plan is not None]
    others_s = max((each.other_users_s for each in directions), default=0.0)
    # Thousands of prompts may wait, mostly with one plan.
    latest: tuple[Mapping[str, Any], NodePlans] = {}, NodePlans(**common)

    def plan_for(graph: Mapping[str, Any], client_id: Any) -> NodePlans:
        nonlocal latest
        if client_id == EARLIER_USER:
            return NodePlans()
        if client_id == OTHER_USER:
            nodes = {first: {"seconds": others_s} for first in [*graph][:1] if others_s}
            return NodePlans(nodes, lifelike=unplanned.lifelike)
        if not plans:
            return unplanned
        planned: dict[str, Any] = {}
        for plan in plans:
            for node_id, does in plan(graph).items():
                planned[node_id] = _both(planned.get(node_id, {}), does)
        if planned != latest[0]:
            latest = planned, NodePlans(planned, **common)
        return latest[1]

    return plan_for


def _both(first: Mapping[str, Any], second: Mapping[str, Any]) -> Mapping[str, Any]:
    """What two scenarios want of a node: what either says, and the longer of two times."""
    longer = max(first, second, key=lambda does: float(does.get("seconds") or 0))
    time = {key: longer[key] for key in ("seconds", "steps") if key in longer}
    return {**first, **second, **time}


def scenarios_over(
    choices: Sequence[Choice],
    make: Callable[[], Source],
    *,
    seed: int = 0,
    surfaces: tuple[SurfaceChoice, ...] = (),
    epoch_ms: int = EPOCH_MS,
) -> Source:
    """A recording under the operators of scenarios, and with surfaces in front of it.

    Raises:
        ScenarioError: a scenario wants nodes to do something, which a recording cannot follow.
    """
    directions = [choice.scenario.direct(choice.settings) for choice in choices]
    for choice, each in zip(choices, directions, strict=True):
        if not each.operators and not each.split and each.recording is None:
            raise ScenarioError(
                f"scenario '{choice.scenario.name}' is about what nodes do, and a recording has "
                f"done it already; leave out the file or the scenario"
            )
    options = ServerOptions(seed=seed, surfaces=surfaces, epoch_ms=epoch_ms)
    return _stacked(make, choices, directions, options)


def _names(choices: Iterable[Choice]) -> str:
    return ", ".join(choice.scenario.name for choice in choices)
