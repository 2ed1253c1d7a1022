"""Answers to the probes -> the generation that they fit, and what departs from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from comfyrec.conform.forms import Forms, forms_of
from comfyrec.conform.probes import PROBES, Server
from comfyrec.conform.rules import RULES
from comfyrec.errors import UsageError
from comfyrec.versions import ERAS, FACTS, RECORDED, Era, era_of

__all__ = [
    "Broken",
    "Change",
    "Departure",
    "Seen",
    "Verdict",
    "changes",
    "judge",
    "known_as",
    "look_at",
]

KNOWN = {fact.name: fact for fact in FACTS}


class Broken(msgspec.Struct, frozen=True):
    """One rule of all versions that a server does not keep."""

    rule: str
    says: str
    saw: str


class Seen(msgspec.Struct, frozen=True):
    """What a server showed of itself."""

    name: str
    """Its address, or the version that was played."""
    claims: str | None
    """The version that it names in /system_stats."""
    facts: Mapping[str, bool]
    """Fact -> what its probe showed; probes that showed nothing are left out."""
    unseen: list[str]
    """Facts whose probes showed nothing."""
    broken: list[Broken] = []
    kept: list[str] = []
    """The rules that it keeps."""
    rules_unseen: list[str] = []
    """Those that could not be looked at."""
    forms: Forms = {}
    """What its answers and frames are made of."""


class Departure(msgspec.Struct, frozen=True):
    """One fact in which a server is not what its generation is."""

    fact: str
    expected: bool
    seen: bool
    says: str


class Verdict(msgspec.Struct, frozen=True):
    """Which generation a server speaks, and where it departs from it."""

    server: str
    claims: str | None
    generation: str
    agreed: int
    looked_at: int
    departures: list[Departure]
    unseen: list[str]
    """Facts and rules that could not be looked at."""
    broken: list[Broken] = []
    rules: int = 0
    """How many rules it could be seen to keep or to break."""


class Change(msgspec.Struct, frozen=True):
    """One fact in which two servers differ."""

    fact: str
    before: bool
    after: bool
    says: str
    origin: str
    """In which releases it is, and how that is known."""


def look_at(server: Server, name: str) -> Seen:
    """Ask a server all questions."""
    stats = server.ask("GET", "/system_stats").json
    system = stats.get("system") if isinstance(stats, dict) else None
    claims = system.get("comfyui_version") if isinstance(system, dict) else None
    answers = {probe.fact: probe.ask(server) for probe in PROBES}
    facts = {fact: seen for fact, seen in answers.items() if seen is not None}
    kept = {rule: rule.look(server, facts) for rule in RULES}
    return Seen(
        name=name,
        claims=claims if isinstance(claims, str) else None,
        facts=facts,
        unseen=[fact for fact, seen in answers.items() if seen is None],
        broken=[Broken(rule.name, rule.says, wrong) for rule, wrong in kept.items() if wrong],
        kept=[rule.name for rule, wrong in kept.items() if wrong == ""],
        rules_unseen=[rule.name for rule, wrong in kept.items() if wrong is None],
        forms=forms_of(server),
    )


def judge(seen: Seen) -> Verdict:
    """The generation that fits best: the one that the server names, unless another fits better."""
    best = min(_candidates(), key=lambda era: len(_departures(seen, era)))
    claimed = _claimed(seen)
    departures = _departures(seen, best)
    if claimed is not None and len(_departures(seen, claimed)) <= len(departures) + 1:
        # One fact alone makes no other generation of it.
        best, departures = claimed, _departures(seen, claimed)
    return Verdict(
        server=seen.name,
        claims=seen.claims,
        generation=best.version,
        agreed=len(seen.facts) - len(departures),
        looked_at=len(seen.facts),
        departures=departures,
        unseen=[*seen.unseen, *seen.rules_unseen],
        broken=seen.broken,
        rules=len(seen.broken) + len(seen.kept),
    )


def known_as(seen: Seen) -> Era:
    """A version that has the facts that a server showed, as far as anything is known of them."""
    verdict = judge(seen)
    era = era_of(verdict.generation)
    for one in verdict.departures:
        era = era.switched(one.fact, on=not era.has(one.fact))
    return era


def changes(before: Seen, after: Seen) -> list[Change]:
    """What differs between two servers, in the order of the facts' first releases."""
    return [
        Change(fact, before.facts[fact], after.facts[fact], KNOWN[fact].says, KNOWN[fact].origin)
        for fact in before.facts
        if fact in after.facts and before.facts[fact] != after.facts[fact]
    ]


def _candidates() -> Iterable[Era]:
    """The recorded generations before those that were only read, the newest of each first."""
    read = [version for version in ERAS if version not in RECORDED]
    return [era_of(version) for version in (*reversed(RECORDED), *reversed(read))]


def _claimed(seen: Seen) -> Era | None:
    try:
        return None if seen.claims is None else era_of(seen.claims)
    except UsageError:
        return None


def _departures(seen: Seen, era: Era) -> list[Departure]:
    return [
        Departure(probe.fact, probe.expects(era), seen.facts[probe.fact], KNOWN[probe.fact].says)
        for probe in PROBES
        if probe.fact in seen.facts and seen.facts[probe.fact] != probe.expects(era)
    ]
