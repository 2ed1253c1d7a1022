"""Operations that make servers on demand, each with a port of its own, and end them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from comfyrec.control.controlled import Controlled
from comfyrec.control.operation import Empty, Operation
from comfyrec.control.serving import chosen
from comfyrec.control.shapes import Ended, NamedScenario, ServerAnswer, ServerBody, ServerList
from comfyrec.errors import UsageError
from comfyrec.testing.settings import PluginSettings
from fake_server.server.clock import MAX
from fake_server.surfaces.registry import choose_surface

__all__ = ["SERVERS", "settings_for"]


def settings_for(base: PluginSettings, body: ServerBody) -> PluginSettings:
    """What a server is made from: ``base``, changed by what the body says.

    Raises:
        ScenarioError: an unknown scenario or parameter.
        UsageError: two things that exclude each other, or an unknown surface.
    """
    said: dict[str, Any] = {
        "strict": body.strict,
        "speed": MAX if body.speed == "max" else body.speed,
    }
    for name in ("seed", "version", "object_info", "timeout_s"):
        if getattr(body, name) is not None:
            said[name] = getattr(body, name)
    if body.surface is not None:
        said["surfaces"] = tuple(map(choose_surface, body.surface))
    if _says_what_it_does(body):
        said |= _behavior(body)
    return replace(base, **said)


def _says_what_it_does(body: ServerBody) -> bool:
    plain = ServerBody()
    names = ("scenario", "scenarios", "params", "plan", "cassette")
    return any(getattr(body, name) != getattr(plain, name) for name in names)


def _behavior(body: ServerBody) -> dict[str, Any]:
    if body.plan is not None:
        if body.scenario is not None or body.cassette is not None or body.scenarios:
            raise UsageError('"plan" goes with the scenario success; leave out the others')
        return _plain("success", {"nodes": body.plan, **body.params}, None)
    if body.scenario is not None and body.scenarios:
        raise UsageError('give either "scenario" or "scenarios"')
    if body.params and not isinstance(body.scenario, str):
        raise UsageError('"params" are those of "scenario", which is a name then')
    if body.scenario is not None and body.params:
        assert isinstance(body.scenario, str)  # just looked at
        return _several([NamedScenario(name=body.scenario, params=body.params)], body)
    return _several([body.scenario] if body.scenario is not None else body.scenarios, body)


def _several(given: Sequence[str | NamedScenario], body: ServerBody) -> dict[str, Any]:
    return {**_plain("success", {}, body.cassette), "scenarios": chosen(given)}


def _plain(scenario: str, params: dict[str, Any], cassette: str | None) -> dict[str, Any]:
    return {"scenario": scenario, "params": params, "scenarios": (), "cassette": cassette}


def _make(controlled: Controlled, body: ServerBody) -> ServerAnswer:
    settings = settings_for(controlled.first, body)
    number = controlled.next_number()
    url = f"{controlled.control_url}/servers/{number}"
    child = Controlled(controlled.make(settings), controlled.make, url, controlled.attach)
    controlled.children[number] = child
    controlled.attach(child)
    return _shown(controlled, number)


def _shown(controlled: Controlled, number: int) -> ServerAnswer:
    server = controlled.child(number).server
    return ServerAnswer(
        id=number,
        url=server.url,
        ws_url=server.ws_url,
        control_url=controlled.child(number).control_url,
    )


def _list(controlled: Controlled, _: Empty) -> ServerList:
    return ServerList(servers=[_shown(controlled, number) for number in controlled.children])


async def _end(controlled: Controlled, _: Empty, number: int) -> Ended:
    child = controlled.child(number)
    del controlled.children[number]
    return Ended(ended=[number], complaints=await child.end())


async def _end_all(controlled: Controlled, _: Empty) -> Ended:
    numbers = list(controlled.children)
    return Ended(ended=numbers, complaints=await controlled.end_children())


SERVERS: Final = (
    Operation(
        "makeServer", "POST", "/servers",
        "Make a fresh server with a port of its own; it ends with the one that made it.",
        _make, ServerAnswer, ServerBody, example={"scenario": "ws-silent:after=start", "seed": 7},
    ),
    Operation("servers", "GET", "/servers", "The servers that were made.", _list, ServerList),
    Operation("endServers", "DELETE", "/servers", "End all of them.", _end_all, Ended),
    Operation(
        "endServer", "DELETE", "/servers/{id}",
        "End one of them. All operations work below this path, too.", _end, Ended,
    ),
)  # fmt: skip
