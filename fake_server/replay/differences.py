"""Two JSON values, or two large bodies -> the first place where they differ, with what is there."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import zip_longest
from operator import eq
from typing import Any, Final

import msgspec

from comfyrec.http.large_body import PIECE, StoredBody, pieces_of
from comfyrec.wording import shortened

__all__ = [
    "Difference",
    "difference_of_large",
    "difference_of_whole",
    "first_difference",
    "first_difference_of_shape",
    "uncompressed",
]

_SHOWN: Final = 80
_BEGINNING: Final = 160
_ABSENT: Final = object()


class Difference(msgspec.Struct, frozen=True):
    """One place where a replay is not its recording."""

    path: str
    """Such as ``data.output.images[0].filename``; empty for the whole value."""
    recorded: str
    replayed: str

    def __str__(self) -> str:
        place = f"{self.path} " if self.path else ""
        return f"{place}was {self.recorded}, in the replay {self.replayed}"


def difference_of_large(
    recorded: StoredBody | bytes, replayed: StoredBody | bytes
) -> Difference | None:
    """Whether two bodies differ of which at least one stands in a file; read in pieces."""
    size, other = _size(recorded), _size(replayed)
    if size != other:
        return Difference("", f"a body of {size} bytes", f"a body of {other} bytes")
    if recorded is replayed or all(map(eq, _pieces(recorded), _pieces(replayed))):
        return None
    return Difference("", f"a body of {size} bytes", "another one")


def difference_of_whole(recorded: str | bytes, replayed: str | bytes) -> Difference:
    """What is said of two values that have no parts to compare: the beginning of each."""
    return Difference("", _beginning(recorded), _beginning(replayed))


def _beginning(data: str | bytes) -> str:
    text = data if isinstance(data, str) else repr(data[:_BEGINNING])
    return shortened(text, _BEGINNING)


def _size(body: StoredBody | bytes) -> int:
    return len(body) if isinstance(body, bytes) else body.size


def _pieces(body: StoredBody | bytes) -> Iterator[bytes]:
    if not isinstance(body, bytes):
        return pieces_of(body)
    return (body[start : start + PIECE] for start in range(0, len(body), PIECE))


Same = Callable[[Any, Any], bool]


def first_difference(recorded: Any, replayed: Any, same: Same) -> Difference | None:
    """The first place, in the order of the recording, where two values differ.

    Args:
        recorded: a JSON value.
        replayed: another one.
        same: whether two values that are neither objects nor lists count as equal; it is asked for
            the keys of objects as well.
    """
    return next(_differences(recorded, replayed, same, ""), None)


def first_difference_of_shape(recorded: Any, replayed: Any) -> Difference | None:
    """The same for values that cannot repeat: only keys and kinds count, and of lists nothing but
    that they are lists."""
    return next(_differences(_shape(recorded), _shape(replayed), lambda a, b: a == b, ""), None)


def _differences(one: Any, other: Any, same: Same, path: str) -> Iterator[Difference]:
    if isinstance(one, dict) and isinstance(other, dict):
        yield from _of_objects(one, other, same, path)
    elif isinstance(one, list) and isinstance(other, list):
        for place, (a, b) in enumerate(zip_longest(one, other, fillvalue=_ABSENT)):
            yield from _differences(a, b, same, f"{path}[{place}]")
    elif isinstance(one, (dict, list)) or isinstance(other, (dict, list)) or not same(one, other):
        yield Difference(path, _shown(one), _shown(other))


def _of_objects(
    one: dict[str, Any], other: dict[str, Any], same: Same, path: str
) -> Iterator[Difference]:
    for (key, value), pair in zip_longest(one.items(), other.items(), fillvalue=(_ABSENT, _ABSENT)):
        own_key, own_value = pair
        if key is _ABSENT or own_key is _ABSENT or not same(key, own_key):
            missing = Difference(path, _keys(one), _keys(other))
            yield missing
            return
        yield from _differences(value, own_value, same, f"{path}.{key}" if path else str(key))


def _keys(value: dict[str, Any]) -> str:
    return shortened(f"an object with {', '.join(value) or 'no keys'}", _SHOWN)


def _shown(value: Any) -> str:
    return "nothing" if value is _ABSENT else shortened(repr(value), _SHOWN)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return "a list"
    return "a number" if isinstance(value, (int, float)) else type(value).__name__


def uncompressed(body: bytes) -> bytes:
    """A body without its gzip or zlib coding, its first 64 MiB; any other body as it is."""
    for wbits in (31, 15):
        if body[:1] in (b"\x1f", b"\x78"):
            try:
                return zlib.decompressobj(wbits).decompress(body, 1 << 26)
            except zlib.error:
                continue
    return body
