"""A recording on which a client fails -> the least of it on which it fails the same way.

Delta debugging: prompts, connections and exchanges first, then messages, then the fields of those
that are left, then delays. Nothing is run here: ``fails`` says which of some cuts still fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from comfyrec.check.causes.parts import Cut, Part, Parts
from comfyrec.events import DecodeError, Misfit, comfy_json, decode
from comfyrec.events.order import missing_fields
from comfyrec.http.request import loads_or_none
from comfyrec.timeline import Side

__all__ = ["Spent", "Test", "least", "shrunk"]

T = TypeVar("T")
Test = Callable[[Sequence[Cut]], int | None]
"""The number of the first cut on which the client still fails the same way; None: on none."""

BINARY_HEADS: Final = (4, 8)
"""How much of a binary message is tried: its type; its type and format."""


class Spent(Exception):
    """There were as many runs as there may be."""


def least(
    items: Sequence[T], fails: Callable[[Sequence[Sequence[T]]], int | None], *, width: int = 2
) -> Sequence[T]:
    """A part of some items that still fails and of which none can be left out (Zeller's ddmin).

    Args:
        items: all of them together fail.
        fails: the number of the first selection that fails, None if all are fine.
        width: how many selections are tried at the same time.
    """
    if not items or fails([()]) is not None:
        return ()
    parts = max(width, 2)
    while len(items) > 1:
        parts = min(parts, len(items))
        pieces = _pieces(items, parts)
        hit = fails(pieces)
        if hit is not None:
            items, parts = pieces[hit], max(width, 2)
            continue
        without = [_without(items, piece) for piece in pieces] if parts > 2 else []
        hit = fails(without) if without else None
        if hit is not None:
            items, parts = without[hit], max(parts - 1, 2)
        elif parts == len(items):
            break
        else:
            parts *= 2
    return items


def _pieces(items: Sequence[T], count: int) -> list[Sequence[T]]:
    bounds = [len(items) * number // count for number in range(count + 1)]
    return [items[bounds[n] : bounds[n + 1]] for n in range(count)]


def _without(items: Sequence[T], piece: Sequence[T]) -> list[T]:
    gone = {id(one) for one in piece}
    return [one for one in items if id(one) not in gone]


def shrunk(
    parts: Parts, fails: Test, *, ends_stay: bool = False, width: int = 2, best: Cut | None = None
) -> tuple[Cut, bool]:
    """The least that still fails, and whether the search came to its end.

    Args:
        parts: the recording; the client fails on all of it.
        fails: runs the client; may raise ``Spent``.
        ends_stay: the messages that end the prompt stay. Without them a client hangs that waits
            for them, whatever made it hang before.
        width: how many cuts ``fails`` tries at the same time.
        best: where to begin, if not with the whole.
    """
    search = _Search(parts, fails, width, best or Cut())
    try:
        search.leave_out(parts.prompts())
        search.leave_out([*parts.connections(), *parts.exchanges(), *parts.closings()])
        search.leave_out(parts.messages(and_ends=not ends_stay))
        search.shorten(parts.messages(and_ends=not ends_stay))
        search.hurry()
    except Spent:
        return search.best, False
    return search.best, True


class _Search:
    """What is left so far."""

    def __init__(self, parts: Parts, fails: Test, width: int, best: Cut) -> None:
        self._parts, self._fails, self._width = parts, fails, width
        self.best = best

    def _first(self, cuts: Sequence[Cut]) -> int | None:
        hit = self._fails(cuts)
        if hit is not None:
            self.best = cuts[hit]
        return hit

    def leave_out(self, parts: Sequence[Part]) -> None:
        """Find the least of these parts."""
        base = self.best
        there = [part for part in parts if not part.places <= base.without]

        def fails(kept: Sequence[Sequence[Part]]) -> int | None:
            return self._first([base.less(_without(there, some)) for some in kept])

        least(there, fails, width=self._width)

    def hurry(self) -> None:
        """See whether it needs its delays."""
        self._first([msgspec.structs.replace(self.best, at_once=True)])

    # --- fields --------------------------------------------------------------------------------

    def shorten(self, parts: Sequence[Part]) -> None:
        """Take fields out of the messages that are left; if none is, out of the answers."""
        left = [
            part
            for part in parts
            if not part.places <= self.best.without
            and self._parts.message(part.at).side is Side.SERVER
        ]
        for part in left:
            self._shorten_message(part.at)
        for number, body in self._parts.answers() if not left else ():
            self._shorten_value(body, (), partial(self._answering, number))

    def _shorten_message(self, at: int) -> None:
        data = self._parts.message(at).data
        if isinstance(data, bytes):
            sizes = [size for size in BINARY_HEADS if size < len(data)]
            self._first([self._saying(at, data[:size]) for size in sizes])
            return
        value = loads_or_none(data)
        if not isinstance(value, dict) or not isinstance(value.get("data"), dict | list):
            return
        misfit, ours = _misfit(data), value["data"]

        def cut(new: Any) -> Cut | None:
            text = comfy_json(new)
            fits = _misfit(text) == misfit and _whose(new["data"]) == _whose(ours)
            return self._saying(at, text) if fits else None

        self._shorten_value(value, ("data",), cut)

    def _saying(self, at: int, message: str | bytes) -> Cut:
        said = {**dict(self.best.said), at: message}
        return msgspec.structs.replace(self.best, said=tuple(said.items()))

    def _answering(self, number: int, value: Any) -> Cut:
        answered = {**dict(self.best.answered), number: comfy_json(value)}
        return msgspec.structs.replace(self.best, answered=tuple(answered.items()))

    def _shorten_value(
        self, whole: Any, path: tuple[str | int, ...], cut: Callable[[Any], Cut | None]
    ) -> Any:
        """Take members out of the value at a path, then out of what is left of them."""
        inner = _at(whole, path)
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))

        def fails(kept: Sequence[Sequence[str | int]]) -> int | None:
            made = [cut(_put(whole, path, _only(inner, some))) for some in kept]
            fit = [(number, one) for number, one in enumerate(made) if one is not None]
            hit = self._first([one for _, one in fit])
            return None if hit is None else fit[hit][0]

        kept = least(keys, fails, width=self._width)
        whole = _put(whole, path, _only(inner, kept))
        inner = _at(whole, path)
        for key in list(inner) if isinstance(inner, dict) else range(len(inner)):
            if isinstance(inner[key], dict | list) and inner[key]:
                whole = self._shorten_value(whole, (*path, key), cut)
        return whole


def _misfit(message: str) -> str:
    """What does not fit in a message, or is missing. One that fits has to fit afterwards, too: a
    client may rely on what every server says."""
    try:
        event = decode(message)
    except DecodeError as error:
        return error.why
    if isinstance(event, Misfit):
        return event.why
    misfits = getattr(getattr(event, "data", None), "misfits", "")
    return f"{misfits} without {missing_fields(event)}"


def _whose(data: Any) -> Any:
    """The prompt that a message names; that it names none may mean something else."""
    return data.get("prompt_id") if isinstance(data, dict) else None


def _at(value: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        value = value[key]
    return value


def _put(value: Any, path: Sequence[str | int], new: Any) -> Any:
    """A copy with something else at a path."""
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    _at(copy, path[:-1])[path[-1]] = new
    return copy


def _only(value: Any, keys: Sequence[str | int]) -> Any:
    if isinstance(value, dict):
        return {key: value[key] for key in value if key in keys}
    return [value[key] for key in keys if isinstance(key, int)]
