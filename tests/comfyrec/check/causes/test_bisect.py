"""The search for the fact that breaks a client, with clients that are one line each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from comfyrec.check.causes.bisect import bisect, dependencies, flags_for, where
from comfyrec.check.causes.trials import why
from comfyrec.versions import FACTS, Era, Fact, era_of
from fake_server.options import ServerOptions
from fake_server.scenarios import choose
from tests.comfyrec.check.specimens.matrix import run
from tests.comfyrec.check.specimens.of_one_version import CLIENTS

Fails = Callable[[Era], bool]


class Client:
    """A judge for a client that fails where ``fails`` says so; counts what it was asked."""

    def __init__(self, fails: Fails) -> None:
        self.fails, self.asked = fails, list[Era]()

    def __call__(self, eras: Sequence[Era]) -> list[str]:
        self.asked += eras
        return ["it fails" if self.fails(era) else "" for era in eras]


BETWEEN = [
    fact for fact in FACTS if fact.first > (0, 0, 0) and fact.first <= era_of("0.41.0").release
]


@pytest.mark.parametrize("one", BETWEEN, ids=[fact.name for fact in BETWEEN])
@pytest.mark.parametrize("backwards", [False, True])
def test_every_fact_that_a_client_needs_or_cannot_stand_is_named(
    one: Fact, backwards: bool
) -> None:
    fact = one.name
    good, bad = era_of("2024-07"), era_of(one.last_text or "0.41.0")
    if backwards:
        good, bad = bad, good
    client = Client(lambda era: era.has(fact) is not backwards)

    found = bisect(good, bad, client)

    (culprit,) = found.culprits
    assert (culprit.facts, culprit.on, found.rest) == ((fact,), not backwards, "")
    assert len(client.asked) <= 16
    assert flags_for(culprit) == f"--fact {fact}={'off' if backwards else 'on'}"


def test_several_causes_are_all_named() -> None:
    client = Client(lambda era: not era.has("jobs") or not era.has("progress_state"))

    found = bisect(era_of("0.27.0"), era_of("0.3.10"), client)

    assert [one.facts for one in found.culprits] == [("jobs",), ("progress_state",)]
    assert found.rest == ""


def test_facts_that_break_only_together_are_named_together() -> None:
    of_one_release = ("global_subgraphs", "lazy_unlinked")
    client = Client(lambda era: all(map(era.has, of_one_release)))

    (culprit,) = bisect(era_of("0.3.64"), era_of("0.8.2"), client).culprits

    assert culprit.facts == of_one_release


def test_a_fact_that_was_switched_by_hand_is_found() -> None:
    bad = era_of("0.27.0").switched("null_executing", on=False)

    (culprit,) = bisect(
        era_of("0.27.0"), bad, Client(lambda era: not era.has("null_executing"))
    ).culprits

    assert (culprit.facts, culprit.on) == (("null_executing",), False)


def test_a_difference_that_is_not_a_fact_is_not_blamed_on_one() -> None:
    found = bisect(era_of("0.27.0"), era_of("0.8.2"), Client(lambda era: era.version not in LATER))

    (culprit,) = found.culprits
    assert culprit.facts == ()
    assert (culprit.passes, culprit.fails) == ("0.21.0", "0.20.0")


LATER = ("0.27.0", "0.26.0", "0.25.0", "0.23.0", "0.21.0")


@pytest.mark.parametrize(
    "fails, unfit",
    [
        (lambda era: True, "the client fails on the good server, 0.27.0, too: it fails"),
        (lambda era: False, "the client passes on the bad server, 0.8.2, too"),
    ],
)
def test_a_client_that_makes_no_difference_is_told_so(fails: Fails, unfit: str) -> None:
    found = bisect(era_of("0.27.0"), era_of("0.8.2"), Client(fails))

    assert (found.unfit, found.culprits) == (unfit, ())


def test_without_a_bad_server_all_that_a_client_depends_on_is_named() -> None:
    client = Client(
        lambda era: not era.has("sid_in_status") or not era.has("jobs") or era.has("assets_on")
    )

    found = dependencies(era_of("0.27.0"), client)

    assert [(one.facts, one.on) for one in found.culprits] == [
        (("sid_in_status",), False),
        (("jobs",), False),
        (("assets_on",), True),
    ]
    assert len(client.asked) < len(FACTS)


def test_without_a_bad_server_a_client_that_never_passes_is_told_so() -> None:
    assert "fails on the good server" in dependencies(era_of(), Client(lambda era: True)).unfit


# --- clients that speak to servers ---------------------------------------------------------------

SERVERS = {
    "client_prompt_id": ("0.27.0", "0.3.10"),
    "progress_state": ("0.27.0", "0.3.10"),
    "cached_needs_client": ("0.3.40", "0.8.2"),
    "jobs": ("0.33.0", "0.3.64"),
}


def judged(fact: str) -> Callable[[Sequence[Era]], list[str]]:
    """How the client that depends on this fact does."""
    return lambda eras: [
        why(run(CLIENTS[fact], choose("success"), ServerOptions(era=era))) for era in eras
    ]


@pytest.mark.long
@pytest.mark.parametrize("fact", SERVERS)
def test_the_fact_that_a_client_depends_on_is_named(fact: str) -> None:
    good, bad = map(era_of, SERVERS[fact])

    found = bisect(good, bad, judged(fact))

    assert [one.facts for one in found.culprits] == [(fact,)]
    assert found.culprits[0].why
    assert found.rest == ""


@pytest.mark.long
@pytest.mark.parametrize("fact", ["null_executing", "sid_in_status"])
def test_a_fact_that_every_release_has_is_named_where_it_is_missing(fact: str) -> None:
    good = era_of("0.27.0")

    found = bisect(good, good.switched(fact, on=False), judged(fact))

    assert [(one.facts, one.on) for one in found.culprits] == [((fact,), False)]


@pytest.mark.long
def test_without_a_bad_server_a_client_is_told_of_its_one_dependency() -> None:
    found = dependencies(era_of("0.27.0"), judged("null_executing"))

    assert [(one.facts, where(one)) for one in found.culprits] == [
        (("null_executing",), "every known release has it")
    ]
