"""What is asked next: the table, and how long the pauses are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.client.polling import NEXT, Awaited, Limits, Reply, Requests, Then
from comfyrec.client.settings import ClientSettings

SECOND = 1_000_000
OF_A_HISTORY = {Reply.ENTRY, Reply.NO_ENTRY, Reply.NO_ENTRY_YET, Reply.CANNOT_SAY}
OF_A_QUEUE = {Reply.LISTED, Reply.NOT_LISTED}
REPLIES = {
    Awaited.NOTHING: set(),
    Awaited.HISTORY: OF_A_HISTORY,
    Awaited.QUEUE: OF_A_QUEUE,
    Awaited.HISTORY_AGAIN: OF_A_HISTORY,
}
LIMITS = Limits.of(ClientSettings(), now=0)


def test_every_request_has_a_row_for_each_response_that_it_can_get() -> None:
    assert {awaited: set(row) for awaited, row in NEXT.items()} == REPLIES


def test_everything_in_the_table_can_be_reached_from_the_first_question() -> None:
    reached: set[Awaited | Then] = {Awaited.HISTORY}
    for _ in Awaited:
        asked = [one for one in reached if isinstance(one, Awaited)]
        reached |= {following for one in asked for following in NEXT[one].values()}

    assert reached == {*Then, *Awaited} - {Awaited.NOTHING}


def test_only_a_history_after_a_queue_proves_that_a_prompt_is_gone() -> None:
    gone = [awaited for awaited, row in NEXT.items() if Then.GONE in row.values()]

    assert gone == [Awaited.HISTORY_AGAIN]
    assert NEXT[Awaited.QUEUE][Reply.NOT_LISTED] is Awaited.HISTORY_AGAIN


def test_pauses_grow_up_to_a_bound() -> None:
    requests = Requests(asked_at=0)

    short = [requests.short_pause_us() for _ in range(20)]
    long = [requests.long_pause_us(LIMITS) for _ in range(100)]

    assert short == sorted(short)
    assert long == sorted(long)
    assert short[-1] < SECOND
    assert long[-1] == max(LIMITS.idle_us, LIMITS.poll_us)


def test_a_server_is_given_up_after_the_patience_but_never_at_the_first_failure() -> None:
    requests = Requests(asked_at=0)

    assert requests.failed("refused", LIMITS.patience_us * 2, LIMITS) is not None
    assert requests.failed("refused", LIMITS.patience_us * 2, LIMITS) is None
    assert requests.failed_because == "refused"


@given(st.lists(st.integers(0, 60 * SECOND), min_size=1, max_size=30))
def test_a_retry_is_never_at_once_and_never_far_away(times: list[int]) -> None:
    requests = Requests(asked_at=0)

    pauses = [requests.failed("x", now, LIMITS) for now in sorted(times)]

    assert all(50_000 <= pause <= 5 * SECOND for pause in pauses if pause is not None)


@pytest.mark.parametrize("timeout_s, deadline", [(None, None), (2.5, 7 * SECOND + SECOND // 2)])
def test_the_deadline_counts_from_the_acceptance(
    timeout_s: float | None, deadline: int | None
) -> None:
    settings = ClientSettings(timeout_s=timeout_s)

    assert Limits.of(settings, now=5 * SECOND).deadline == deadline
