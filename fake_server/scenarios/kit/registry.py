"""name -> scenario: ours by file name, others' by registration or entry point."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from comfyrec.errors import ScenarioError
from comfyrec.wording import did_you_mean
from fake_server.scenarios.kit.scenario import (
    Category,
    Parameters,
    Scenario,
    params_from_text,
    settings_from,
)

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "ALIASES",
    "Choice",
    "catalogue",
    "choice_of",
    "choose",
    "find",
    "names",
    "register",
    "scenario_surfaces",
    "select",
    "unregister",
]

ENTRY_POINTS: Final = "comfyrec.scenarios"
"""A downstream package names its ``Scenario`` objects, or functions that give them, here."""

ALIASES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    # everyday name -> scenario, parameters
    "error": ("execution-error", {}),
    "oom": ("execution-error", {"exception_type": "torch.OutOfMemoryError", "tips": True}),
    "hang": ("worker-dead", {}),
    "validation_error": ("reject-400", {}),
    "history_fallback": ("ws-silent", {}),
    "output_missing": ("missing-outputs-after-success", {}),
    "interrupted": ("interrupt", {}),
    "retry": ("slow-start", {}),
}

_PACKAGE: Final = "fake_server.scenarios"
NATIVE: Final = "native"
"""The surface of the scenarios that are in no folder of their own."""
_registered: dict[str, Scenario] = {}


class Choice(msgspec.Struct, frozen=True):
    """A scenario with its settings, ready to be played."""

    scenario: Scenario
    settings: Parameters
    given: str = ""
    """How it is called up where its name is not known to everybody: the file that it is in."""

    @property
    def title(self) -> str:
        """The name, and the parameters that are not the defaults: ``ws-silent:after=start``."""
        plain = self.scenario.settings()
        fields = [field.name for field in msgspec.structs.fields(self.scenario.settings)]
        own = [
            f"{name}={_typed(getattr(self.settings, name))}"
            for name in fields
            if getattr(self.settings, name) != getattr(plain, name)
        ]
        return f"{self.scenario.name}:{','.join(own)}" if own else self.scenario.name


def _typed(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, tuple | list):
        return "|".join(map(_typed, value))
    return msgspec.json.encode(value).decode()


def register(scenario: Scenario) -> Scenario:
    """Make a scenario of your own known under its name; gives it back.

    Raises:
        ValueError: the name is taken by another scenario.
    """
    if _taken(scenario.name) or _registered.get(scenario.name, scenario) != scenario:
        raise ValueError(f"there is a scenario '{scenario.name}' already")
    _registered[scenario.name] = scenario
    return scenario


def unregister(name: str) -> None:
    """Take back what ``register`` made known.

    Raises:
        ValueError: no scenario of that name was registered.
    """
    if name not in _registered:
        raise ValueError(f"no scenario '{name}' was registered")
    del _registered[name]


def names(surface: str = NATIVE) -> list[str]:
    """All scenario names of a surface, ours first, without the everyday names."""
    if surface != NATIVE:
        return [f"{surface}-{name}" for name in _modules_in(surface)]
    return [*_modules_in(""), *sorted({**_registered, **_of_entry_points()})]


def _modules_in(folder: str) -> list[str]:
    package = importlib.import_module(f"{_PACKAGE}.{folder}" if folder else _PACKAGE)
    found = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg]
    return [name.replace("_", "-") for name in found]


@cache
def scenario_surfaces() -> tuple[str, ...]:
    """The surfaces that have scenarios, the native one first: each has a folder of its own."""
    package = importlib.import_module(_PACKAGE)
    found = [module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg]
    return (NATIVE, *(name for name in found if name != "kit"))


def catalogue(surface: str = NATIVE) -> list[Scenario]:
    """All scenarios of a surface by category, and in a category by row."""
    order = get_args(Category)
    return sorted(
        (_known(name) for name in names(surface)),
        key=lambda one: (order.index(one.category), _row_number(one.row), one.name),
    )


def _everywhere() -> list[str]:
    return [name for surface in scenario_surfaces() for name in names(surface)]


def _row_number(row: str) -> int:
    return int(row[1:]) if row[1:].isdigit() else 0


def find(name: str) -> Scenario:
    """The scenario of that name, or of that everyday name.

    Raises:
        ScenarioError: no such scenario; the nearest name is given.
    """
    return _known(ALIASES[name][0] if name in ALIASES else name)


def choice_of(name: str, params: Mapping[str, Any] | None = None) -> Choice:
    """A scenario by name or everyday name, with parameters as JSON has them.

    Raises:
        ScenarioError: an unknown name, an unknown parameter, a wrong type, out of range.
    """
    if not isinstance(name, str):
        raise ScenarioError("the name of a scenario must be a string")
    preset = ALIASES[name][1] if name in ALIASES else {}
    scenario = find(name)
    return Choice(scenario, settings_from(scenario, {**preset, **(params or {})}))


def choose(text: str) -> Choice:
    """``NAME`` or ``NAME:k=v,k=v`` -> the scenario with its settings.

    Raises:
        ScenarioError: as ``choice_of``, or a pair without ``=``.
    """
    name, _, tail = text.partition(":")
    if name == "profile" and tail and "=" not in tail:
        tail = f"version={tail}"
    pairs = [_pair(name, part) for part in tail.split(",")] if tail else []
    return choice_of(name, params_from_text(find(name), pairs))


def select(pattern: str, surface: str = NATIVE) -> list[Choice]:
    """Scenarios whose name, row or category fits one of the globs in ``pattern`` (commas between).

    A part that is a name with parameters is taken as that; globs are for those that a client of
    the surface can be put through: its own, and the native ones that show on it.

    Raises:
        ScenarioError: a part fits nothing.
    """
    found: dict[str, Choice] = {}
    for part in _parts(pattern):
        for choice in _fitting(part, surface):
            found.setdefault(choice.title, choice)
    return list(found.values())


def _parts(pattern: str) -> Iterable[str]:
    """Split at commas, but keep the parameters of a name with it."""
    parts: list[str] = []
    for piece in filter(None, pattern.split(",")):
        name, mark, _ = piece.partition("=")
        if parts and ":" in parts[-1] and mark and ":" not in name:
            parts[-1] += f",{piece}"
        else:
            parts.append(piece)
    return parts


def _fitting(part: str, surface: str) -> list[Choice]:
    if ":" in part or part in ALIASES:
        return [choose(part)]
    if _ours(part) is not None:
        return [choose(part)]  # the name of a scenario may be that of a category too
    fitting = [
        Choice(one, one.settings())
        for one in _shown_on(surface)
        if any(fnmatchcase(word, part) for word in (one.name, one.row, one.category) if word)
    ]
    return fitting or [choose(part)]


def _shown_on(surface: str) -> list[Scenario]:
    if surface == NATIVE:
        return catalogue()
    return [*catalogue(surface), *(one for one in catalogue() if surface in one.shows_on)]


def _pair(name: str, part: str) -> tuple[str, str]:
    key, mark, value = part.partition("=")
    if not mark:
        raise ScenarioError(
            f"scenario '{name}': '{part}' is not a parameter; write {name}:NAME=VALUE,NAME=VALUE"
        )
    return key.strip(), value.strip()


def _known(name: str) -> Scenario:
    found = _ours(name) or _registered.get(name) or _of_entry_points().get(name)
    if found is None:
        hint = did_you_mean(
            name, [*_everywhere(), *ALIASES], otherwise="'comfyrec scenarios' lists them"
        )
        raise ScenarioError(f"there is no scenario '{name}'; {hint}")
    return found


def _ours(name: str) -> Scenario | None:
    module = name.replace("-", "_")
    if module in ("kit", *scenario_surfaces()) or "_" in name or not module.isidentifier():
        return None
    surface, dash, rest = module.partition("_")
    in_folder = dash and surface in scenario_surfaces()[1:]
    path = f"{_PACKAGE}.{f'{surface}.{rest}' if in_folder else module}"
    try:
        found = importlib.import_module(path)
    except ModuleNotFoundError as missing:
        if missing.name == path:
            return None
        raise
    scenario: Scenario = found.SCENARIO
    return scenario


def _of_entry_points() -> dict[str, Scenario]:
    # The search through what is installed is left to those who ask for a name that is not ours.
    from importlib.metadata import entry_points

    found = [_loaded(point) for point in entry_points(group=ENTRY_POINTS)]
    return {scenario.name: scenario for scenario in found}


def _loaded(point: EntryPoint) -> Scenario:
    whose = f"the entry point '{point.name} = {point.value}' ({ENTRY_POINTS})"
    try:
        loaded = point.load()
        scenario = loaded if isinstance(loaded, Scenario) else loaded()
    except Exception as error:  # anything may go wrong in somebody else's module
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ScenarioError(
            f"{whose} cannot be loaded: {why}; mend or uninstall the package that names it"
        ) from error
    if not isinstance(scenario, Scenario):
        raise ScenarioError(f"{whose} gives a {type(scenario).__name__}; it has to be a Scenario")
    if _taken(scenario.name):
        raise ScenarioError(
            f"{whose} gives a scenario '{scenario.name}', which there is already; rename it"
        )
    return scenario


def _taken(name: str) -> bool:
    return name in ALIASES or _ours(name) is not None
