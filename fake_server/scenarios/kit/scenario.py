"""What a scenario is: a name, its settings, and how it directs the stage.

class DuplicateStatusParameters(Parameters, frozen=True, kw_only=True):
    n: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3

def direct(settings: DuplicateStatusParameters) -> Directions:
    return Directions(operators=(duplicate(event("status"), "status", n=settings.n),))

SCENARIO = Scenario(name="duplicate-status", settings=DuplicateStatusParameters, direct=direct, ...)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from comfyrec.errors import ScenarioError
from comfyrec.wording import did_you_mean, kinds_in_words
from fake_server.scenarios.kit.graphs import GraphPlan
from fake_server.scenarios.kit.observer import Ending
from fake_server.scenarios.kit.operator import Operator
from fake_server.source import Source

__all__ = [
    "EARLIER_USER",
    "OTHER_USER",
    "Category",
    "Directions",
    "Parameters",
    "Scenario",
    "Transport",
    "one_of",
    "params_from_text",
    "settings_from",
    "threads",
]

Category = Literal[
    "normal",
    "completion",
    "caching",
    "silence",
    "ordering",
    "reconnects",
    "cross-talk",
    "binary",
    "errors",
    "interrupt",
    "history",
    "outputs",
    "proxies",
    "drift",
    "v2",
    "cloud",
]
"""The sections of the catalogue, in its order."""

OTHER_USER: Final = "somebody-else"
"""The client id of prompts that a scenario's other users submit."""
EARLIER_USER: Final = "somebody-before"
"""The client id of prompts that were run before the client came: they take no time."""


class Transport(msgspec.Struct, frozen=True, kw_only=True):
    """What a scenario needs of the shell around the stage, because it is not a matter of frames."""

    tls: bool = False
    """Speak TLS with a throw-away certificate that nobody signed."""
    prefix: str = ""
    """The address given to the client ends in this path."""


class Directions(msgspec.Struct, frozen=True, kw_only=True):
    """How one run is played. Build a fresh one for each run."""

    operators: tuple[Operator, ...] = ()
    plan: GraphPlan | None = None
    """For each prompt of the client; None leaves the engine's plan alone."""
    other_users_s: float = 0.0
    """How long a prompt of the scenario's other users takes."""
    engine: Mapping[str, Any] = {}
    """Settings of the engine: ``comfyui_version`` and the like; ``facts``, each
    ``NAME=on|off``, are switched in that version or in the one that the server is anyway."""
    split: bool = False
    """Sockets reach one server and requests another."""
    surface: Mapping[str, Any] = {}
    """Settings of the scenario's surface: ``prefix`` and the like."""
    transport: Transport = Transport()
    recording: Callable[[], Source] | None = None
    """Plays a recording afresh, in the place of the simulated server."""

    @property
    def is_about_frames(self) -> bool:
        """Something of it shows in the frames of a run, or in when they come.

        Without operators it is about the run of its workflow.
        """
        on_frames = any(operator.on_frames for operator in self.operators)
        return on_frames or not self.operators or self.plan is not None or bool(self.engine)


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A scenario's parameters, all with defaults; this one has none."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One named departure from normal, with what a truthful client says of it."""

    name: str
    row: str = ""
    """Its number in the catalogue, ``A01`` to ``A107``; empty for normal runs and others' own."""
    category: Category
    summary: str
    """One line: what goes wrong."""
    correct: str
    """One line: what a correct client does."""
    keeps: tuple[str, ...] = ()
    """The invariants K1 to K9 that it tries; K1 to K3 are judged always."""
    evidence: tuple[str, ...] = ()
    """Public threads (``Comfy-Org/ComfyUI#11540``) or words on how it was seen."""
    truth: tuple[Ending, ...] = ("success",)
    """What a client may truthfully report."""
    reason: tuple[str, ...] = ()
    """Words of the server of which a report of failure repeats at least one (K9)."""
    settings: type[Parameters] = Parameters
    direct: Callable[[Any], Directions]
    workflow: Mapping[str, Any] | None = None
    """The prompt that shows it best; None: the catalogue's usual one."""
    in_real_time: bool = False
    """It is about waiting: as fast as the wire it would say nothing."""
    surface: str = "native"
    """The API that it is about: its operators stand between that and the client."""
    shows_on: tuple[str, ...] = ()
    """Other surfaces on which a client meets it, too."""


_REPOSITORIES = {
    "CU": "Comfy-Org/ComfyUI",
    "FE": "Comfy-Org/ComfyUI_frontend",
    "CLI": "Comfy-Org/comfy-cli",
    "MCP": "artokun/comfyui-mcp",
    "PNL": "artokun/comfyui-mcp-panel",
    "KR": "Acly/krita-ai-diffusion",
    "OW": "open-webui/open-webui",
}


def threads(*shorts: str) -> tuple[str, ...]:
    """Evidence written out: ``CU#1`` -> ``Comfy-Org/ComfyUI#1``; words stay as they are."""
    return tuple(_thread(short) for short in shorts)


def _thread(short: str) -> str:
    repository, mark, number = short.partition("#")
    return f"{_REPOSITORIES.get(repository, repository)}{mark}{number}"


def one_of(values: Iterable[str]) -> msgspec.Meta:
    """For a text parameter that takes these values only: ``Annotated[str, one_of(MESSAGES)]``."""
    known = [*values]
    pattern = "^(" + "|".join(map(re.escape, known)) + ")$"
    return msgspec.Meta(pattern=pattern, extra_json_schema={"enum": known})


# --- parameters ----------------------------------------------------------------------------------


def settings_from(scenario: Scenario, params: Mapping[str, Any]) -> Parameters:
    """Parameters as JSON values -> the scenario's settings.

    Raises:
        ScenarioError: an unknown parameter (the nearest is named), a wrong type, out of range.
    """
    known = scenario.settings.__struct_fields__
    for name in params:
        if name not in known:
            raise ScenarioError(_unknown(scenario.name, name, known))
    try:
        return msgspec.convert(dict(params), scenario.settings)
    except msgspec.ValidationError as misfit:
        raise ScenarioError(_misfit(scenario, params, str(misfit))) from None


def params_from_text(scenario: Scenario, params: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Parameters as they are typed (``n=3``, ``kinds=1|3``) -> as JSON has them.

    A list is written with ``|`` between its items.
    """
    return {name: _value(scenario, name, text) for name, text in params}


def _value(scenario: Scenario, name: str, text: str) -> Any:
    fields = {field.name: field for field in msgspec.structs.fields(scenario.settings)}
    kind = fields[name].type if name in fields else Any
    item = _item_of(kind)
    if item is not None:
        return [_read(part, item) for part in text.split("|")] if text else []
    return _read(text, kind)


def _read(text: str, kind: Any) -> Any:
    value = _scalar(text)
    # A text may look like a number, or like null.
    return text if not _fits(value, kind) and _fits(text, kind) else value


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _item_of(kind: Any) -> Any:
    """What a list's items are; None for what is not a list."""
    return get_args(kind)[0] if get_origin(kind) in (list, tuple) else None


def _scalar(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _unknown(scenario: str, name: str, known: Sequence[str]) -> str:
    if not known:
        return f"scenario '{scenario}' has no parameters, so '{name}' cannot be set"
    hint = did_you_mean(name, known, otherwise=f"it has {', '.join(known)}")
    return f"scenario '{scenario}' has no parameter '{name}'; {hint}"


def _misfit(scenario: Scenario, params: Mapping[str, Any], why: str) -> str:
    what, _, where = why.partition(" - at `$.")
    name = where.rstrip("`").partition("[")[0]
    given = f" is {params[name]!r}" if name in params else ""
    values = _values(scenario.settings, name)
    if values and what.startswith(("Invalid enum value", "Expected `str` matching")):
        what = f"expected one of {', '.join(map(repr, values))}{_or_number(scenario, name)}"
    what = kinds_in_words(what)
    return f"scenario '{scenario.name}': parameter '{name}'{given}: {what[:1].lower()}{what[1:]}"


def _or_number(scenario: Scenario, name: str) -> str:
    """Said where a choice may be a number as well."""
    about = _about(scenario.settings, name).get("anyOf", ())
    return " or a number" if any(one.get("type") in ("integer", "number") for one in about) else ""


def _about(settings: type[Parameters], name: str) -> dict[str, Any]:
    """The schema of a parameter, or of the items of a list."""
    schema = msgspec.json.schema(settings)["$defs"][settings.__name__]["properties"].get(name, {})
    found: dict[str, Any] = schema.get("items", schema)
    return found


def _values(settings: type[Parameters], name: str) -> Sequence[Any]:
    """What a choice may be, one at a time or several; empty where it is not a choice."""
    schema = _about(settings, name)
    found: Sequence[Any] = schema.get("enum", ())
    for one in schema.get("anyOf", ()):
        found = [*found, *one.get("enum", ())]
    return found
