"""Two servers, one of which a client fails on -> the facts of the wire that break it.

First over the releases between the two, then over the single facts in which two neighboring
releases differ. What is found is put right in the bad server; if the client still fails there, the
search goes on. Nothing is run here: a ``Judge`` says how the client does on some servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from comfyrec.versions import FACTS, Era, eras_between

__all__ = ["Culprit", "Found", "Judge", "bisect", "dependencies", "flags_for", "where"]

Judge = Callable[[Sequence[Era]], Sequence[str]]
"""How a client does on each of some servers: empty if it passes, else what it does wrong."""

ROUNDS_MAX: Final = 12
"""Each round names at least one fact; a client that depends on more is told of these first."""
_RELEASED: Final = {fact.name: fact for fact in FACTS}


class Culprit(msgspec.Struct, frozen=True, kw_only=True):
    """One fact that breaks a client, or several that only do so together."""

    facts: tuple[str, ...]
    """Names of ``comfyrec.versions.FACTS``; empty: the node catalogue, which is not a fact."""
    on: bool
    """Whether the client fails on a server that has them; else on one that lacks them."""
    why: str
    """What the client does wrong there."""
    passes: str
    """The last release on which the client is fine."""
    fails: str = ""
    """The first on which it is not; empty if that was not looked for."""

    @property
    def says(self) -> tuple[str, ...]:
        """A line for each fact."""
        return tuple(_RELEASED[name].says for name in self.facts)

    @property
    def origins(self) -> tuple[str, ...]:
        """Of each fact, in which releases it is, and how that is known."""
        return tuple(_RELEASED[name].origin for name in self.facts)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a search."""

    culprits: tuple[Culprit, ...] = ()
    unfit: str = ""
    """Why nothing could be searched for: a sentence without its period."""
    rest: str = ""
    """What the client still does wrong on the bad server with all culprits put right."""


# --- between two servers ---------------------------------------------------------------------


def bisect(good: Era, bad: Era, judge: Judge) -> Found:
    """The facts that make the difference between a server that is fine and one that is not.

    Args:
        good: the client has to pass on this one.
        bad: the client has to fail on this one.
        judge: runs the client.
    """
    on_good, on_bad = judge([good, bad])
    if on_good:
        return Found(unfit=f"the client fails on the good server, {good.version}, too: {on_good}")
    if not on_bad:
        return Found(unfit=f"the client passes on the bad server, {_named(bad, good)}, too")
    culprits: list[Culprit] = []
    mended: dict[str, bool] = {}
    while on_bad and len(culprits) < ROUNDS_MAX:
        way = [_with(era, mended) for era in eras_between(good, bad)]
        passing, failing, why = _step(way, on_bad, judge)
        found = _facts_of(passing, failing, why, judge)
        culprits += found
        names = [name for one in found for name in one.facts]
        if not names:
            return Found(culprits=tuple(culprits), rest=on_bad if len(culprits) > 1 else "")
        mended |= {name: name in good.facts for name in names}
        (on_bad,) = judge([_with(bad, mended)])
    return Found(culprits=tuple(culprits), rest=on_bad)


def _named(bad: Era, good: Era) -> str:
    return "the same as the good one" if bad.facts == good.facts else bad.version


def _with(era: Era, facts: dict[str, bool]) -> Era:
    for name, on in facts.items():
        era = era.switched(name, on=on)
    return era


def _step(way: Sequence[Era], why: str, judge: Judge) -> tuple[Era, Era, str]:
    """The last server that is fine and the first that is not, on a way from good to bad."""
    low, high = 0, len(way) - 1
    while high - low > 1:
        middle = (low + high) // 2
        (found,) = judge([way[middle]])
        if found:
            high, why = middle, found
        else:
            low = middle
    return way[low], way[high], why


def _facts_of(passing: Era, failing: Era, why: str, judge: Judge) -> list[Culprit]:
    """Which of the facts that two servers differ in breaks the client."""
    differ = [fact.name for fact in FACTS if (fact.name in passing.facts ^ failing.facts)]

    def culprit(names: Iterable[str], on: bool, why: str) -> Culprit:
        return Culprit(
            facts=tuple(names), on=on, why=why, passes=passing.version, fails=failing.version
        )

    def as_failing(names: Iterable[str]) -> Era:
        return _with(passing, {name: failing.has(name) for name in names})

    alone = judge([as_failing([name]) for name in differ])
    found = [
        culprit([name], failing.has(name), one)
        for name, one in zip(differ, alone, strict=True)
        if one
    ]
    if found:
        return found
    together = judge([as_failing(differ)])[0] if len(differ) > 1 else ""
    if not together:
        return [culprit([], True, why)]
    needed = _least(differ, lambda names: judge([as_failing(names)])[0] != "")
    return [culprit(needed, failing.has(needed[0]), together)]


def _least(names: Sequence[str], fails: Callable[[Sequence[str]], bool]) -> list[str]:
    """A set of facts of which none can be left out; they are few by now."""
    kept = list(names)
    for name in names:
        fewer = [one for one in kept if one != name]
        if fewer and fails(fewer):
            kept = fewer
    return kept


# --- one server ------------------------------------------------------------------------------


def dependencies(good: Era, judge: Judge) -> Found:
    """All single facts whose opposite breaks the client, whatever release that would be.

    Many facts are switched at once, and where the client fails, fewer, down to one.

    Args:
        good: the client has to pass on this one.
        judge: runs the client.
    """
    (on_good,) = judge([good])
    if on_good:
        return Found(unfit=f"the client fails on the good server, {good.version}, too: {on_good}")
    culprits: list[Culprit] = []
    had = [fact.name for fact in FACTS if good.has(fact.name)]
    lacked = [fact.name for fact in FACTS if not good.has(fact.name)]
    groups = [group for group in (had, lacked) if group]
    while groups:
        switched = [_with(good, {name: not good.has(name) for name in group}) for group in groups]
        failing = [(group, why) for group, why in zip(groups, judge(switched), strict=True) if why]
        groups = []
        for group, why in failing:
            if len(group) == 1:
                culprits.append(_alone(good, group[0], why))
            else:
                half = len(group) // 2
                groups += [group[:half], group[half:]]
    order = [fact.name for fact in FACTS]
    culprits.sort(key=lambda one: order.index(one.facts[0]))
    return Found(culprits=tuple(culprits))


def _alone(good: Era, name: str, why: str) -> Culprit:
    return Culprit(facts=(name,), on=not good.has(name), why=why, passes=good.version)


def where(culprit: Culprit) -> str:
    """Which releases that concerns, a few words."""
    if culprit.passes == culprit.fails:
        return f"on {culprit.fails}"
    if culprit.fails:
        return f"it passes on {culprit.passes} and fails on {culprit.fails}"
    fact = _RELEASED[culprit.facts[0]]
    if culprit.on:
        until = f"to {fact.last_text}" if fact.last_text else "on"
        return f"so it is from {fact.first_text} {until}"
    if not any(fact.first):
        return "every known release has it"
    after = f" and after {fact.last_text}" if fact.last_text else ""
    return f"so it is before {fact.first_text}{after}"


def flags_for(culprit: Culprit) -> str:
    """The flags that make a good server fail the client."""
    state = "on" if culprit.on else "off"
    return " ".join(f"--fact {name}={state}" for name in culprit.facts)
