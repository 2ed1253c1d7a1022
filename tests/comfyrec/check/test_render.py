"""Results as cells, lines, JUnit XML."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from comfyrec.check.advice import Fix, fixes
from comfyrec.check.case import Traffic
from comfyrec.check.invariants import Verdict
from comfyrec.check.render import (
    COLUMNS,
    FIXES_SHOWN,
    Again,
    as_junit,
    count_in_words,
    fixes_in_words,
    one_line,
    traffic_in_words,
)
from comfyrec.check.result import ScenarioResult, summary_of

COMMAND = ("python", "my client.py", "{url}")


def result(name: str = "oom", **more: Any) -> ScenarioResult:
    facts = {
        "name": name, "row": "A1", "category": "drift", "summary": "X.", "correct": "does it",
        "evidence": ("a/b#1",), "status": "fail", "ended": "finished", "reported": "an untruth",
        "outcome": "success", "truth": ("error",), "after_end_s": 0.25,
        "verdicts": (Verdict("K3", False, "reported success; the prompt failed"),),
    }  # fmt: skip
    return ScenarioResult(**{**facts, **more})


def test_a_row_of_the_table_has_a_cell_for_each_column() -> None:
    cells = {column.title: column.text(result()) for column in COLUMNS}

    assert cells == {
        "scenario": "oom",
        "result": "fail",
        "reported": "success (untrue)",
        "after": "0.25 s",
        "why": "K3: reported success; the prompt failed",
    }


def test_a_result_is_one_line_of_a_log() -> None:
    assert one_line(result()) == ("fail          oom: K3: reported success; the prompt failed")
    assert one_line(result(status="pass")) == "pass          oom"


def test_numbers_agree_with_their_nouns() -> None:
    seen = Traffic(
        sockets=1, socket_first=True, posts=1, requests=2, history_requests=1, busiest_second=1
    )

    assert traffic_in_words(result(traffic=seen)) == (
        "1 prompt; 1 WebSocket, before the prompt; asked for the history 1 time; "
        "for the queue 0 times; 2 requests in total, 1 in the busiest second"
    )
    assert count_in_words(summary_of([result()])) == (
        "1 scenario: 0 passed, 1 failed (0 hung, 1 reported an untruth), 0 not exercised"
    )


def test_each_fix_has_its_cause_its_remedy_and_a_command() -> None:
    lines = list(fixes_in_words(fixes([result()]), Again(COMMAND)))

    assert lines == [
        "1. It reported success; the prompt failed.",
        "   Seen in 1 scenario (K3): oom",
        "   A correct client does it.",
        "   To reproduce: comfyrec check --scenarios oom -- python 'my client.py' '{url}'",
    ]


def test_the_command_has_the_flags_and_the_file_that_were_given() -> None:
    again = Again(COMMAND, ("--seed", "3", "--learn", "my flows"), {"oom": "mine.py:oom"})

    *_, last = fixes_in_words(fixes([result()]), again)

    assert last == (
        "   To reproduce: comfyrec check --seed 3 --learn 'my flows' --scenarios mine.py:oom "
        "-- python 'my client.py' '{url}'"
    )


def test_only_the_first_fixes_are_shown() -> None:
    many = [Fix(cause=str(n), correct="x", scenarios=("oom",)) for n in range(FIXES_SHOWN + 2)]

    *_, last = fixes_in_words(many, Again(COMMAND))

    assert last == "and 2 more causes; --html FILE shows every scenario"


@given(st.text(), st.text())
def test_whatever_a_client_prints_the_report_can_be_read(tail: str, why: str) -> None:
    odd = result(tail=tail, verdicts=(Verdict("K3", False, why),), last_words=why)

    ElementTree.fromstring(as_junit([odd], summary_of([odd])))
