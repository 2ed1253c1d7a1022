"""The classes that come with ComfyUI, generation by generation: ``core_nodes.jsonl.gz``.

The first line of the file says which line holds each class of each version, in the order in which
that version's ``/object_info`` has them. Every further line is one class as one or several versions
have it, so that a class that did not change stands there once. A line is parsed when its class is
first asked for.

``.ci/pack_core_nodes.py`` writes the file anew from what ``GET /object_info`` of real servers
answered. Names, types, defaults, bounds and choices are kept; descriptions, prices and other texts
are not.
"""

from __future__ import annotations

import json
import pkgutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec

__all__ = ["VERSIONS", "core_classes", "pack", "read_pack"]

FILE: Final = "core_nodes.jsonl.gz"
VERSIONS: Final = ("2024-07", "0.3.10", "0.3.64", "0.8.2", "0.27.0", "0.33.0")
"""The versions that the file has, the oldest first."""
TEXT_DEFAULT_MAX: Final = 40
"""Letters of a text that is a default; longer ones are prompts that somebody wrote."""
_GZIP: Final = 31
"""What zlib calls gzip with a window of 32 KiB; the module gzip loads longer than it reads."""
_TEXTS: Final = ("description", "tooltip")
_LEFT_OUT: Final = ("price_badge",)


class _Classes(Mapping[str, dict[str, Any]]):
    """Class -> its entry in object_info, parsed when it is asked for."""

    def __init__(self, lines: Sequence[bytes], numbers: Mapping[str, int]) -> None:
        self._lines, self._numbers = lines, numbers
        self._parsed: dict[str, dict[str, Any]] = {}

    def __getitem__(self, name: str) -> dict[str, Any]:
        found = self._parsed.get(name)
        if found is None:
            found = self._parsed[name] = msgspec.json.decode(self._lines[self._numbers[name]])
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


class _Core(Mapping[str, dict[str, Any]]):
    """The classes of one version; the file is read when one is first asked for."""

    def __init__(self, version: str) -> None:
        self._version = version

    def __getitem__(self, name: str) -> dict[str, Any]:
        return _pack()[self._version][name]

    def __contains__(self, name: object) -> bool:
        return name in _pack()[self._version]

    def __iter__(self) -> Iterator[str]:
        return iter(_pack()[self._version])

    def __len__(self) -> int:
        return len(_pack()[self._version])


def core_classes(version: str) -> Mapping[str, dict[str, Any]]:
    """The classes of one of the ``VERSIONS``, by name."""
    assert version in VERSIONS, f"no classes are known of {version}"
    return _Core(version)


@cache
def _pack() -> dict[str, _Classes]:
    data = pkgutil.get_data("fake_server.nodes", FILE)
    assert data is not None, f"{FILE} belongs to the package"
    return read_pack(data)


def read_pack(data: bytes) -> dict[str, _Classes]:
    """The content of a pack: version -> its classes."""
    head, *lines = zlib.decompress(data, _GZIP).split(b"\n")
    by_version = msgspec.json.decode(head, type=dict[str, dict[str, int]])
    return {version: _Classes(lines, numbers) for version, numbers in by_version.items()}


def pack(generations: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> bytes:
    """Version -> its object_info, as the file that ``read_pack`` reads."""
    numbers: dict[str, int] = {}
    by_version = {
        version: {
            name: numbers.setdefault(json.dumps(without_texts(entry)), len(numbers))
            for name, entry in info.items()
        }
        for version, info in generations.items()
    }
    text = "\n".join([json.dumps(by_version), *numbers])
    packer = zlib.compressobj(9, wbits=_GZIP)
    return packer.compress(text.encode()) + packer.flush()


def without_texts(value: Any) -> Any:
    """An entry of object_info without what people wrote for people."""
    if isinstance(value, Mapping):
        return {key: _without(key, one) for key, one in value.items() if key not in _LEFT_OUT}
    if isinstance(value, (list, tuple)):
        return [without_texts(one) for one in value]
    return value


def _without(key: str, value: Any) -> Any:
    # An input may have any of these names; then its value is a list of type and options.
    if key in _TEXTS and isinstance(value, str):
        return ""
    if key == "output_tooltips" and isinstance(value, list):
        return [None if one is None else "" for one in value]
    if key == "search_aliases":
        return []
    if key == "default" and isinstance(value, str) and len(value) > TEXT_DEFAULT_MAX:
        return ""
    return without_texts(value)
