"""A run as its server saw it: what belongs together is one line, and there are never many."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from comfyrec.check.case import Report
from comfyrec.check.story import MOMENTS_MAX, WORDS_MAX, Moment, story_of
from fake_server.scenarios.kit.observer import JournalNote

SUCCESS = Report(outcomes=("success",), at_s=20.0)


def told(*entries: Any, report: Report = SUCCESS, until_s: float = 20.0) -> list[Moment]:
    """The story of entries, each ``(second, what, number, detail)``."""
    noted = [(at_s, JournalNote(0, *rest)) for at_s, *rest in entries]
    return list(story_of(noted, report, until_s=until_s))


def words(*entries: Any, **more: Any) -> list[str]:
    return [f"{moment.who} {moment.words}" for moment in told(*entries, **more)]


def test_a_request_and_its_answer_are_one_line_where_nothing_comes_between() -> None:
    asked, answered = (1, "asked", 1, "POST /prompt"), (1, "answered", 1, "200")

    assert words(asked, answered)[:1] == ["client POST /prompt: 200"]
    assert words(asked, (1, "somebody", -1, "GET /ws"), answered)[:3] == [
        "client POST /prompt",
        "others GET /ws",
        "server answers 200 to POST /prompt",
    ]


def test_a_socket_has_a_number_of_its_own_and_frames_without_a_pause_are_one_line() -> None:
    found = words(
        (0, "knocked", 17, "me"), (0, "accepted", 17, ""), (0, "sent", 17, "status"),
        (0.01, "sent", 17, "progress"), (0.02, "sent", 17, "progress"), (2, "sent", 17, "executed"),
        (2, "closed", 17, "abort"), (2, "knocked", 19, ""), (2, "answered", 19, "403"),
    )  # fmt: skip

    assert found[:-1] == [
        "client asks for WebSocket 1 as me",
        "server opens WebSocket 1",
        "server sends on WebSocket 1: status, progress x 2",
        "server sends on WebSocket 1: executed",
        "server cuts WebSocket 1",
        "client asks for WebSocket 2",
        "server answers 403 to WebSocket 2",
    ]


def test_what_is_done_to_other_users_is_not_told() -> None:
    assert words((0, "sent", -1, "status"), (0, "asked", -1, "GET /queue")) == [
        "client reports success"
    ]


def test_seconds_count_from_the_first_entry_to_the_report() -> None:
    found = told((12.5, "asked", 1, "GET /prompt"), (13, "hung up", 1))

    assert [moment.at_s for moment in found] == [0.0, 0.5, 7.5]


def test_polls_are_told_once_with_their_number() -> None:
    poll = [
        (at, what, at, detail)
        for at in range(100)
        for what, detail in (("asked", f"GET /{'hq'[at % 2]}"), ("answered", "200"))
    ]

    found = words(*poll)

    assert found == [
        "client GET /h: 200", "client GET /q: 200", "client ... these 2 again, 49 more times",
        "client reports success",
    ]  # fmt: skip


def test_a_run_without_a_pattern_is_cut_in_the_middle() -> None:
    found = words(*((at, "asked", at, f"GET /{at * at}") for at in range(1_000)))

    assert len(found) <= MOMENTS_MAX + 2
    assert found[0] == "client GET /0"
    assert found[-2] == "client GET /998001"
    assert f"client ... and {1_000 - MOMENTS_MAX} lines more" in found


def test_how_a_client_ended_is_the_last_line() -> None:
    assert words(report=Report()) == ["client is stopped; it has reported nothing"]
    assert words(report=Report(at_s=1.0)) == ["client ends without an outcome"]
    crashed = Report(at_s=1.0, crash="KeyError: 1")
    assert words(report=crashed) == ["client ends without an outcome: KeyError: 1"]


KINDS = ("knocked", "accepted", "asked", "answered", "hung up", "said", "left", "closed", "sent",
         "ended", "flooded", "somebody", "keyed", "leaked", "whatever")  # fmt: skip
NOTES = st.tuples(
    st.floats(0, 20), st.sampled_from(KINDS), st.integers(-2, 3), st.text(max_size=200)
)


@given(st.lists(NOTES, max_size=80))
def test_any_journal_makes_a_bounded_story(entries: list[Any]) -> None:
    found = told(*sorted(entries, key=lambda one: one[0]))

    assert 1 <= len(found) <= MOMENTS_MAX + 2
    assert all(len(moment.words) <= WORDS_MAX and moment.at_s >= 0 for moment in found)
    seconds = [moment.at_s for moment in found]
    assert seconds == sorted(seconds)
