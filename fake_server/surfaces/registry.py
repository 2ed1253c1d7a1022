"""name -> surface: each is a package in this folder, with a ``SURFACE``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from comfyrec.errors import UsageError
from comfyrec.wording import did_you_mean, joined, kinds_in_words
from fake_server.options import EPOCH_MS, SurfaceChoice
from fake_server.source import Source
from fake_server.surfaces.surface import Door, Front, Surface

__all__ = [
    "NATIVE",
    "SurfaceKind",
    "choose_surface",
    "default_settings",
    "server_options",
    "surface_names",
    "with_surfaces",
]

NATIVE: Final = "native"
"""ComfyUI's own API; it is there unless others are named without it."""

_PACKAGE: Final = "fake_server.surfaces"


def _nothing(_: Any) -> Mapping[str, Any]:
    return {}


class SurfaceKind(msgspec.Struct, frozen=True, kw_only=True):
    """A surface that can be chosen."""

    summary: str
    """One line: what speaks it."""
    settings: type[msgspec.Struct]
    """What ``NAME:KEY=VALUE`` may say; all with defaults, unknown keys forbidden."""
    make: Callable[[Door, Any, int], Surface]
    """Door, settings, seed -> the surface."""
    server: Callable[[Any], Mapping[str, Any]] = _nothing
    """Settings -> options of the simulated server behind it."""


def surface_names() -> list[str]:
    """The names of all surfaces, the native one first."""
    package = importlib.import_module(_PACKAGE)
    found = [module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg]
    return [NATIVE, *sorted(found)]


def _kind(name: str) -> SurfaceKind:
    kind: SurfaceKind = importlib.import_module(f"{_PACKAGE}.{name}").SURFACE
    return kind


def choose_surface(text: str) -> SurfaceChoice:
    """``NAME`` or ``NAME:KEY=VALUE,KEY=VALUE`` -> the surface with its settings.

    Raises:
        UsageError: an unknown surface or key, or a value that cannot be used.
    """
    name, colon, tail = text.partition(":")
    known = surface_names()
    if name not in known:
        hint = did_you_mean(name, known, otherwise=f"there are {', '.join(known)}")
        raise UsageError(f"there is no surface '{name}'; {hint}")
    if name == NATIVE:
        if colon:
            raise UsageError(f"surface {NATIVE} has no settings; give them as options of their own")
        return SurfaceChoice(NATIVE)
    settings = _kind(name).settings
    pairs = dict(_pair(name, part) for part in tail.split(",")) if tail else {}
    for key in pairs:
        if key not in settings.__struct_fields__:
            keys = settings.__struct_fields__
            hint = did_you_mean(key, keys, otherwise=f"it has {', '.join(keys)}")
            raise UsageError(f"surface {name} has no setting '{key}'; {hint}")
    try:
        return SurfaceChoice(name, msgspec.convert(pairs, settings, strict=False))
    except msgspec.ValidationError as misfit:
        what, _, where = str(misfit).partition(" - at `$.")
        key = where.rstrip("`")
        raise UsageError(
            f"surface {name}: {key}={pairs.get(key, '')}: {_wanted(settings, key, what)}"
        ) from None


def _wanted(settings: type[msgspec.Struct], key: str, what: str) -> str:
    """What a value has to be: one of some words, an example, or its kind."""
    about = msgspec.json.schema(settings)["$defs"][settings.__name__]["properties"].get(key, {})
    if "enum" in about:
        return f"give {joined(about['enum'], 'or')}"
    if about.get("examples"):
        return f"give such a one as {about['examples'][0]}"
    what = kinds_in_words(what).partition(", got")[0]
    return f"{what[:1].lower()}{what[1:]}"


def _pair(name: str, part: str) -> tuple[str, str]:
    key, mark, value = part.partition("=")
    if not mark:
        raise UsageError(
            f"surface {name}: '{part}' is not a setting; write {name}:KEY=VALUE,KEY=VALUE"
        )
    return key.strip(), value.strip()


def default_settings(name: str) -> msgspec.Struct:
    """The settings of a surface where nothing is said."""
    return _kind(name).settings()


def server_options(choices: Sequence[SurfaceChoice]) -> dict[str, Any]:
    """What the server behind these surfaces is started with."""
    wanted: dict[str, Any] = {}
    for one in choices:
        if one.name != NATIVE:
            kind = _kind(one.name)
            wanted |= kind.server(one.settings if one.settings is not None else kind.settings())
    return wanted


def with_surfaces(
    source: Source,
    choices: Sequence[SurfaceChoice],
    *,
    seed: int = 0,
    epoch_us: int = EPOCH_MS * 1_000,
) -> Source:
    """A server with these surfaces in front of it; the native one alone, or none: the server."""
    others = [one for one in choices if one.name != NATIVE]
    if not others:
        return source
    native = len(others) < len(choices)
    return Front(source, [*_makers(others, seed)], native=native, epoch_us=epoch_us)


def _makers(choices: Iterable[SurfaceChoice], seed: int) -> Iterable[Callable[[Door], Surface]]:
    for one in choices:
        kind = _kind(one.name)
        settings = one.settings if one.settings is not None else kind.settings()
        yield partial(_made, kind, settings, seed)


def _made(kind: SurfaceKind, settings: Any, seed: int, door: Door) -> Surface:
    return kind.make(door, settings, seed)
