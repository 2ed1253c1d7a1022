"""Settings of a test: from command line, marker, fixture, ini file or default, in that order.

A marker nearer to the test wins over one on its class or module. ``cassette`` and ``scenario``
exclude each other; the one nearer to the test counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

from comfyrec.errors import ScenarioError, UsageError
from comfyrec.testing.record_mode import RecordMode, no_such_mode
from comfyrec.testing.settings import PluginSettings
from comfyrec.wording import alternatives, did_you_mean, nearest, reason

if TYPE_CHECKING:
    from fake_server.options import SurfaceChoice

__all__ = ["gather", "overridden", "refuse_misspelled", "scenario_names"]

UNKNOWN_NODES: Final = ("refuse", "accept")
_OWN_KEYWORDS: Final = {
    "scenario", "cassette", "record", "upstream", "speed", "version", "object_info", "seed",
    "cassette_dir", "strict", "block_network", "timeout", "idle_limit", "workflow", "models",
    "unknown_nodes", "surface",
}  # fmt: skip


def gather(
    config: pytest.Config, item: pytest.Item, *, fixtures: Mapping[str, Any]
) -> PluginSettings:
    """The settings of one test.

    Raises:
        pytest.fail.Exception: an invalid value; the sentence names the setting.
    """
    said = _said_by_markers(item)

    def look_up(name: str) -> Any:
        option = config.getoption(f"comfyui_{name}", default=None)
        if option is not None:
            return option
        if name in said:
            return said[name]
        if fixtures.get(name) is not None:
            return fixtures[name]
        return config.getini(f"comfyui_{name}") or None

    played = said.get("scenario") or fixtures.get("scenario") or "success"
    refuse_misspelled(said, _OWN_KEYWORDS, scenario=played)
    scenario = said.get("scenario", None if "cassette" in said else fixtures.get("scenario"))
    record = look_up("record") or "none"
    if record not in list(RecordMode):
        _wrong(item, no_such_mode(record))
    return PluginSettings(
        scenario=scenario or "success",
        params={k: v for k, v in said.items() if k not in _OWN_KEYWORDS},
        cassette=_cassette(item, said.get("cassette"), look_up("cassette_dir")),
        record=RecordMode(record),
        upstream=look_up("upstream"),
        speed=_speed(item, look_up("speed")),
        version=_version(item, look_up("version")),
        object_info=_object_info(item, look_up("object_info")),
        workflows=_workflows(item, said.get("workflow") or look_up("workflows")),
        models=_models(item, look_up("models")),
        unknown_nodes=_one_of(item, "unknown_nodes", look_up("unknown_nodes"), UNKNOWN_NODES),
        surfaces=_surfaces(item, said.get("surface")),
        seed=_number(item, "seed", look_up("seed"), int, 0),
        strict=_switch(item, "strict", look_up("strict")),
        block_network=_switch(item, "block_network", look_up("block_network")),
        timeout_s=_number(item, "timeout", look_up("timeout"), float, 5.0),
        idle_limit_s=0
        if _debugging(config)
        else _number(item, "idle_limit", look_up("idle_limit"), float, 10.0),
    )


def _debugging(config: pytest.Config) -> bool:
    """Whether somebody may sit in a debugger for as long as they like."""
    return bool(config.getoption("usepdb", False) or config.getoption("trace", False))


def _said_by_markers(item: pytest.Item) -> dict[str, Any]:
    """The keywords of all comfyui markers; the one nearest to the test wins."""
    said: dict[str, Any] = {}
    replayed: tuple[object, Any] = (None, None)
    for node, marker in reversed(list(item.iter_markers_with_node("comfyui"))):
        if marker.args:
            _wrong(item, "the comfyui marker takes only keywords, such as comfyui(scenario='oom')")
        behaviour = [kind for kind in ("cassette", "scenario") if kind in marker.kwargs]
        if len(behaviour) > 1:
            _wrong(item, "the comfyui marker has a cassette and a scenario; give one of them")
        if "cassette" in behaviour:
            cassette = marker.kwargs["cassette"]
            if replayed[0] is node and replayed[1] != cassette:
                names = f"{cassette!r} and {replayed[1]!r}"
                _wrong(item, f"two comfyui markers name the cassettes {names}; give one of them")
            replayed = node, cassette
        if behaviour:
            said = {k: v for k, v in said.items() if k not in ("cassette", "scenario")}
        said.update(marker.kwargs)
    return said


_OVERRIDDEN: pytest.StashKey[tuple[str, ...]] = pytest.StashKey()


def overridden(item: pytest.Item, names: Sequence[str], ours: str) -> tuple[str, ...]:
    """Those of our setting fixtures that a conftest, module or class has replaced.

    A fixture costs pytest about a tenth of a millisecond a test, and most projects replace none of
    these. What can replace one is the same for all tests with the same parent.
    """
    parent = item.parent or item
    if _OVERRIDDEN not in parent.stash:
        # Not public, but what pytest-asyncio and others look at as well.
        manager = item.session._fixturemanager

        def replaced(name: str) -> bool:
            definitions = manager.getfixturedefs(name, item) or ()
            return any(one.func.__module__ != ours for one in definitions)

        parent.stash[_OVERRIDDEN] = tuple(name for name in names if replaced(name))
    return parent.stash[_OVERRIDDEN]


def _wrong(item: pytest.Item, sentence: str) -> NoReturn:
    pytest.fail(f"{item.nodeid}: {sentence}", pytrace=False)


def _cassette(item: pytest.Item, value: Any, folder: Any) -> Path | str | None:
    """``True`` names the test's own cassette; a relative path is looked up from the test's file."""
    if value is None or value is False:
        return None
    beside = Path(folder) if folder else item.path.parent / "cassettes"
    if not beside.is_absolute():
        beside = item.config.rootpath / beside
    if value is True:
        return beside / item.path.stem / f"{_file_name(item)}.jsonl"
    if not isinstance(value, (str, Path)):
        _wrong(item, f"comfyui cassette: {value!r} is neither a path nor a name nor True")
    path = Path(value)
    for candidate in (item.path.parent / path, beside / path):
        if candidate.exists():
            return candidate
    return beside / path if path.suffix else str(value)


def _file_name(item: pytest.Item) -> str:
    owner = getattr(item, "cls", None)
    words = [owner.__name__] if owner else []
    name = "-".join([*words, item.name])
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name).rstrip("-")


def refuse_misspelled(given: Iterable[str], known: Collection[str], *, scenario: str) -> None:
    """A keyword that is all but one of ours was hardly meant as a parameter of the scenario.

    Raises:
        pytest.fail.Exception: names the keyword that was meant.
    """
    for keyword in given:
        meant = None if keyword in known else nearest(keyword, known)
        if meant is None:
            continue
        # Only now: a scenario is imported when it is looked up.
        own = _parameters_of(scenario)
        if keyword not in own and nearest(keyword, own) is None:
            raise pytest.fail.Exception(
                f"the keyword '{keyword}' is neither a setting nor a parameter of {scenario}; "
                f"did you mean '{meant}'?",
                pytrace=False,
            )


def _parameters_of(scenario: str) -> Sequence[str]:
    """Of a scenario that is not there, none: that is said elsewhere."""
    from fake_server.scenarios import find

    try:
        return find(scenario).settings.__struct_fields__
    except ScenarioError:
        return ()


def _version(item: pytest.Item, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        _wrong(item, f"comfyui version: {value!r} is not a text; write it as '0.27.0'")
    return value


def _speed(item: pytest.Item, value: Any) -> float | None:
    if value is None:
        return None
    return math.inf if value == "max" else float(_number(item, "speed", value, float, 1.0))


def _number(item: pytest.Item, name: str, value: Any, kind: type, default: Any) -> Any:
    if value is None:
        return default
    try:
        number = kind(value)
    except (TypeError, ValueError):
        number = None
    if name == "seed" and number is None:
        _wrong(item, f"comfyui seed: {value!r} is not a whole number; give one such as 7")
    least, beyond = ("from 0", False) if name == "idle_limit" else ("greater than 0", True)
    if number is None or (name != "seed" and not (number > 0 if beyond else number >= 0)):
        or_max = " or 'max'" if name == "speed" else ""
        _wrong(item, f"comfyui {name}: {value!r} is not a number {least}; give such a one{or_max}")
    return number


def _switch(item: pytest.Item, name: str, value: Any) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
        "": False,
    }
    if value is None or isinstance(value, bool):
        return bool(value)
    if str(value).lower() not in words:
        _wrong(item, f"comfyui {name}: {value!r} is neither true nor false; give 1 or 0")
    return words[str(value).lower()]


def _one_of(item: pytest.Item, name: str, value: Any, choices: Sequence[str]) -> str:
    if value is None:
        return choices[0]
    if value not in choices:
        _wrong(item, f"comfyui {name}: {value!r}: {alternatives(str(value), choices)}")
    return str(value)


def _surfaces(item: pytest.Item, value: Any) -> tuple[SurfaceChoice, ...]:
    """One text as ``--surface`` takes it, or a list of them."""
    if value is None:
        return ()
    from fake_server.surfaces.registry import choose_surface

    given = [value] if isinstance(value, str) else value
    try:
        return tuple(map(choose_surface, given))
    except UsageError as error:
        _wrong(item, f"comfyui surface: {error}")


def _workflows(item: pytest.Item, value: Any) -> tuple[str, ...]:
    """Paths and patterns; relative ones count from the test's file, then from the root."""
    if value is None:
        return ()
    given = [value] if isinstance(value, (str, Path)) else value
    if not isinstance(given, (list, tuple)) or not all(
        isinstance(one, (str, Path)) for one in given
    ):
        _wrong(item, f"comfyui workflow: {value!r} is not a path, a pattern or a list of them")
    lines = [line for one in given for line in str(one).splitlines() if line.strip()]
    return tuple(_beside(item, line.strip()) for line in lines)


def _beside(item: pytest.Item, path: str) -> str:
    beside = item.path.parent
    if Path(path).is_absolute():
        return path
    there = (beside / path).exists() or any(beside.glob(path))
    return str((beside if there else item.config.rootpath) / path)


def _models(item: pytest.Item, value: Any) -> dict[str, tuple[str, ...]]:
    """A mapping of folders to files, or lines of FOLDER=NAME,NAME as an ini file has them."""
    if value is None:
        return {}
    if isinstance(value, str):
        rows = [line.partition("=") for line in value.splitlines() if line.strip()]
        if unsplit := [row[0] for row in rows if not row[1]]:
            _wrong(item, f"comfyui models: {unsplit[0]!r} is not FOLDER=NAME,NAME; write it so")
        value = {folder.strip(): names.split(",") for folder, _, names in rows}
    if not isinstance(value, Mapping) or not all(
        isinstance(names, (list, tuple)) for names in value.values()
    ):
        _wrong(
            item,
            f"comfyui models: {value!r} is not a mapping of folders to lists of files, as in "
            "{'loras': ['mine.safetensors']}",
        )
    return {
        str(folder): tuple(str(name).strip() for name in names if str(name).strip())
        for folder, names in value.items()
    }


def _object_info(item: pytest.Item, value: Any) -> Any:
    if value is None or isinstance(value, Mapping):
        return value
    path = Path(value)
    if not path.is_absolute():
        path = item.config.rootpath / path
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        why = f"{path} cannot be read ({reason(error)})"
    except ValueError:
        why = f"{path} is not JSON"
    _wrong(item, f"comfyui object_info: {why}; give what GET /object_info of a server answers")


def scenario_names(patterns: Sequence[str], *, where: str) -> list[str]:
    """Scenarios whose name or category fits one of the patterns; all of them without a pattern.

    Raises:
        pytest.Collector.CollectError: a pattern fits nothing; the sentence names the nearest.
    """
    from fake_server.scenarios import catalogue

    known = {scenario.name: scenario.category for scenario in catalogue()}
    chosen: dict[str, None] = {}
    for pattern in patterns or ("*",):
        fitting = [n for n, c in known.items() if fnmatchcase(n, pattern) or c == pattern]
        if not fitting:
            hint = did_you_mean(
                pattern, [*known, *known.values()], otherwise="'comfyrec scenarios' lists them"
            )
            raise pytest.Collector.CollectError(
                f"{where}: no scenario or category matches {pattern!r}; {hint}"
            )
        chosen.update(dict.fromkeys(fitting))
    return list(chosen)
