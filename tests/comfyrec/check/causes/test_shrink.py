"""Delta debugging: what is found is the least, with few questions, and what fits still fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.check.causes.parts import Cut, Parts
from comfyrec.check.causes.shrink import Spent, least, shrunk
from comfyrec.events import Executed, Misfit, decode
from comfyrec.timeline import Timeline
from tests.support.shrink_session import BREAKING, session


@given(
    size=st.integers(1, 70),
    needed=st.sets(st.integers(0, 69), max_size=4),
    width=st.integers(1, 6),
)
def test_the_least_is_what_is_needed(size: int, needed: set[int], width: int) -> None:
    items = range(size)
    wanted = {one for one in needed if one < size}

    def fails(some: Sequence[Sequence[int]]) -> int | None:
        return next((n for n, kept in enumerate(some) if wanted <= set(kept)), None)

    assert set(least(items, fails, width=width)) == wanted


def test_one_of_sixty_takes_few_questions() -> None:
    asked = 0

    def fails(some: Sequence[Sequence[int]]) -> int | None:
        nonlocal asked
        asked += len(some)
        return next((n for n, kept in enumerate(some) if 41 in kept), None)

    assert least(range(60), fails, width=4) == range(41, 42)
    assert asked <= 15


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts(session())


Bites = Callable[[list[str | bytes]], bool]


def asked(parts: Parts, bites: Bites, runs: int = 1_000) -> Callable[[Sequence[Cut]], int | None]:
    """A client that fails where what it hears bites; ``runs`` of it are allowed."""
    left = runs

    def fails(cuts: Sequence[Cut]) -> int | None:
        nonlocal left
        for number, cut in enumerate(cuts):
            if left == 0:
                raise Spent
            left -= 1
            if bites(heard(parts, cut)):
                return number
        return None

    return fails


def heard(parts: Parts, cut: Cut) -> list[str | bytes]:
    (socket,) = Timeline.build(parts.records(cut)).sockets
    return [message.data for message in socket.messages]


def test_the_one_message_is_left_with_the_fields_that_matter(parts: Parts) -> None:
    def bites(messages: list[str | bytes]) -> bool:
        return any('"vram"' in str(one) for one in messages)

    cut, whole = shrunk(parts, asked(parts, bites))

    assert whole
    assert heard(parts, cut) == ['{"type": "crystools.monitor", "data": {"gpus": [{"vram": 1}]}}']
    assert cut.at_once


def test_fields_that_every_server_sends_stay(parts: Parts) -> None:
    cut, _ = shrunk(parts, asked(parts, lambda all_: any('"max": 20' in str(m) for m in all_)))

    (message,) = heard(parts, cut)
    assert not isinstance(decode(message), Misfit)
    assert '"prompt_id"' in str(message)
    assert '"node"' not in str(message)


def test_a_null_output_keeps_its_node(parts: Parts) -> None:
    cut, _ = shrunk(parts, asked(parts, lambda all_: any('"output": null' in str(m) for m in all_)))

    (message,) = heard(parts, cut)
    event = decode(message)
    assert isinstance(event, Executed)
    assert (event.data.node, event.data.display_node, event.data.output) == ("5", None, None)
    assert event.data.prompt_id


def test_a_message_that_fits_nothing_keeps_what_does_not_fit(parts: Parts) -> None:
    cut, _ = shrunk(parts, asked(parts, lambda all_: any('"status": null' in str(m) for m in all_)))

    assert heard(parts, cut) == ['{"type": "status", "data": {"status": null}}']


def test_a_binary_message_is_cut_to_its_head_where_that_is_enough(parts: Parts) -> None:
    cut, _ = shrunk(parts, asked(parts, lambda all_: any(isinstance(m, bytes) for m in all_)))

    assert heard(parts, cut) == [b"\0\0\0\1"]


def test_two_messages_that_bite_together_are_both_left(parts: Parts) -> None:
    def bites(messages: list[str | bytes]) -> bool:
        text = " ".join(map(str, messages))
        return "crystools" in text and '"value": 21' in text

    cut, _ = shrunk(parts, asked(parts, bites))

    assert len(heard(parts, cut)) == 2


def test_the_ends_of_the_prompt_stay_if_asked(parts: Parts) -> None:
    cut, _ = shrunk(parts, asked(parts, lambda messages: True), ends_stay=True)

    assert [str(one)[:26] for one in heard(parts, cut)] == [
        '{"type": "execution_succes',
        '{"type": "executing", "dat',
    ]


def test_where_no_message_matters_the_answers_are_made_smaller(parts: Parts) -> None:
    number, body = parts.answers()[-1]
    (prompt_id,) = body

    def fails(cuts: Sequence[Cut]) -> int | None:
        for at, cut in enumerate(cuts):
            told = Timeline.build(parts.records(cut)).exchanges[number].response_json
            if told.get(prompt_id, {}).get("status", {}).get("completed") is True:
                return at
        return None

    cut, _ = shrunk(parts, fails)

    told = Timeline.build(parts.records(cut)).exchanges[number].response_json
    assert told == {prompt_id: {"status": {"completed": True}}}


def test_the_best_so_far_is_there_when_the_runs_are_spent(parts: Parts) -> None:
    def bites(messages: list[str | bytes]) -> bool:
        return any("crystools" in str(one) for one in messages)

    cut, whole = shrunk(parts, asked(parts, bites, runs=8))

    assert not whole
    assert bites(heard(parts, cut))
    assert 1 < len(heard(parts, cut)) < 40


def test_the_session_has_a_message_for_each_bug(parts: Parts) -> None:
    assert len(BREAKING) == 9
    assert len(parts.messages(and_ends=True)) > 60
