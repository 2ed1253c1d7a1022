"""The order checker: silent on what a server sends, and every rule bites."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from comfyrec.events import Event, Misfit, Unknown, check
from comfyrec.events.order import (
    GONE_MAX,
    MAY_FOLLOW,
    RULES,
    Checker,
    Phase,
    SocketClosed,
    SocketOpened,
    Word,
    word_of,
)
from tests.support.event_streams import (
    BEGIN,
    CACHED_RUN,
    DONE,
    FLAGS,
    GOODBYE,
    HELLO,
    MIDDLE,
    OLD_RUN,
    ONE,
    QUEUED,
    RUN,
    T,
    cached,
    error,
    executed,
    executing,
    interrupted,
    preview,
    progress,
    rich_preview,
    start,
    state,
    status,
    success,
)
from tests.support.recorded_frames import RECORDINGS, stream_in


def rules(stream: list[Event]) -> list[str]:
    return [violation.rule for violation in check(stream)]


# --- the table ---------------------------------------------------------------------------------


def test_every_phase_has_a_row_and_is_reached() -> None:
    reached = {phase for row in MAY_FOLLOW.values() for phase in row.values()}
    first = {Phase.PENDING, Phase.JOINED, Phase.OVERHEARD}

    assert set(MAY_FOLLOW) == set(Phase)
    assert reached | first == set(Phase)


def test_a_status_of_somebody_else_may_come_in_every_phase() -> None:
    assert all(Word.STATUS in row for row in MAY_FOLLOW.values())


def test_every_phase_that_begins_leads_to_an_end() -> None:
    def leads_to_gone(phase: Phase, seen: frozenset[Phase] = frozenset()) -> bool:
        following = set(MAY_FOLLOW[phase].values()) - seen - {phase}
        return phase is Phase.GONE or any(leads_to_gone(p, seen | {phase}) for p in following)

    assert all(leads_to_gone(phase) for phase in set(Phase) - {Phase.OVERHEARD})


# --- what is fine -------------------------------------------------------------------------------

CACHED_ONE = (1, 1, "finished")
EXPANDED = [
    state(n1=DONE, n2=BEGIN, n3=BEGIN), executing("3"), executed("3"),
    state(n1=DONE, n2=BEGIN, n3=ONE),
]  # fmt: skip

# With --cache-none: node 2 is lazy and asks for node 1, which has run already.
ONCE_MORE = [
    state(n1=BEGIN, n2=BEGIN), executing("1"), state(n1=ONE, n2=BEGIN),
    state(n1=ONE, n2=BEGIN), executing("2"), executed("2"), state(n1=ONE, n2=ONE), success(),
    *GOODBYE,
]  # fmt: skip

FINE: dict[str, list[Event]] = {
    "fresh": RUN,
    "all cached": CACHED_RUN,
    "of 2024": OLD_RUN,
    "twice": RUN + RUN[1:],
    "after an all cached one": CACHED_RUN + RUN[1:],
    "somebody else submits": [*RUN[:9], status(2), *RUN[9:15], status(3), *RUN[15:]],
    "flags and unknown types anywhere": [
        HELLO, FLAGS, *(each for event in RUN[1:] for each in (event, Unknown("x", 1))),
    ],
    "a socket opened twice": [HELLO, *QUEUED],
    "joined while a node runs": [HELLO, executing("1", None), progress("1", 2), *RUN[10:]],
    "joined between nodes": [HELLO, *RUN[10:]],
    "joined behind the outcome": [HELLO, status(0), executing(None)],
    "overheard": [
        HELLO, status(), status(), state(n1=BEGIN), state(n1=MIDDLE), progress("1", 1), preview(),
        interrupted("1"), status(0), *RUN[1:3], *(
            msgspec.structs.replace(e, data=msgspec.structs.replace(e.data, prompt_id="mine"))
            for e in (start(), cached(), success())
        ), status(0), executing(None, "mine"),
    ],
    "blocked": [
        *RUN[:13], error("2", "ExecutionBlocked"), state(n1=DONE, n2=ONE), success(), *GOODBYE
    ],
    "interrupted": [*RUN[:9], interrupted("1"), *GOODBYE],
    "failed": [*RUN[:7], error("1"), *GOODBYE],
    "a lazy node begins twice": [
        HELLO, *QUEUED, start(), cached(), state(n1=BEGIN), executing("1"), state(n1=BEGIN),
        executing("1"), state(n1=ONE), success(), *GOODBYE,
    ],
    "two nodes at once": [
        HELLO, *QUEUED, start(), cached(), state(n1=BEGIN), executing("1"),
        state(n1=BEGIN, n2=BEGIN), executing("2"), state(n1=BEGIN, n2=MIDDLE), progress("2", 1),
        state(n1=MIDDLE, n2=MIDDLE), progress("1", 1), executed("1"), state(n1=DONE, n2=MIDDLE),
        state(n1=DONE, n2=DONE), success(), *GOODBYE,
    ],
    "metadata previews": [
        *RUN[:8], rich_preview("1"), RUN[8], *RUN[10:],
    ],
    "a picture as output": [*RUN[:8], progress("1", 1), preview(), *RUN[10:]],
    "a picture of one as output": [
        *RUN[:7], state(n1=(0, 1, "running")), progress("1", 0, 1), preview(),
        state(n1=ONE), success(), *GOODBYE,
    ],
    "joined between start and cached": [status(1, "client-a"), *RUN[4:]],
    "overheard from the first frame on": [
        HELLO, status(), status(), interrupted("1", "other"), status(0), *RUN[1:],
    ],
    "twins": [
        *RUN[:15], executed("3"), state(n1=DONE, n2=ONE, n3=CACHED_ONE), success(), *GOODBYE,
    ],
    "twins before progress_state": [*OLD_RUN[:10], executed("3"), *OLD_RUN[10:]],
    "twins of which the first expands, before progress_state": [
        *OLD_RUN[:10], executing("3"), executed("3"), executed("2"), *OLD_RUN[10:],
    ],
    "twins that show nothing of which the first expands": [
        *OLD_RUN[:10], executing("3"), executed("2"), *OLD_RUN[10:],
    ],
    "twins that are intermediate outputs": [
        *RUN[:15], executed("3"), state(n1=DONE, n2=ONE, n3=CACHED_ONE), executed("4"),
        executed("3"), success(), *GOODBYE,
    ],
    "a node shows something and expands": [
        *RUN[:14], *EXPANDED, state(n1=DONE, n2=ONE, n3=ONE), success(), *GOODBYE,
    ],
    "a node shows something and expands as its twin did": [
        *RUN[:14], *EXPANDED, executed("2"), state(n1=DONE, n2=ONE, n3=ONE), success(), *GOODBYE,
    ],
    "a node shows something and expands into a cycle": [*RUN[:14], error("2"), *GOODBYE],
    "a node runs once more where nothing is ever cached": [*RUN[:13], *ONCE_MORE],
    "flags that are null": [*RUN[:8], error("1", "AttributeError"), *GOODBYE],
}  # fmt: skip


@pytest.mark.parametrize("stream", FINE.values(), ids=FINE)
def test_what_a_server_sends_breaks_no_rule(stream: list[Event]) -> None:
    assert [str(violation) for violation in check(stream)] == []


# --- what is not ----------------------------------------------------------------------------------

WORDS = [word_of(event) for event in RUN]


def at(word: Word, which: int = 0) -> int:
    return [n for n, each in enumerate(WORDS) if each is word][which]


def without(number: int) -> list[Event]:
    return RUN[:number] + RUN[number + 1 :]


def replaced(number: int, *events: Event) -> list[Event]:
    return [*RUN[:number], *events, *RUN[number + 1 :]]


# rule -> a stream that breaks it
BROKEN: dict[str, list[Event]] = {
    "fits": [*RUN, Misfit("progress", "no value")],
    "first-frame": RUN[1:],
    "sid-once": [HELLO, *RUN],
    "flags-once": [HELLO, FLAGS, FLAGS],
    "rejoin": [HELLO, FLAGS, executing("1", None)],
    "phase": without(at(Word.START)),
    "one-at-a-time": [*RUN[:9], status(), start("other")],
    "status-before-start": RUN + RUN[3:],
    "status-before-null": without(at(Word.LEFT) - 1),
    "busy": [*RUN[:5], status(0), *RUN[5:]],
    "success": without(at(Word.SUCCESS)),
    "clock": replaced(at(Word.SUCCESS), success(at=T - 1)),
    "era": OLD_RUN + RUN[1:],
    "cached-node": replaced(at(Word.CACHED), cached("1")),
    "state-grows": replaced(at(Word.STATE, 3), state(n2=BEGIN, n1=DONE)),
    "state-step": without(at(Word.STATE, 2)),
    "state-then-node": without(at(Word.NODE)),
    "state-then-progress": without(at(Word.PROGRESS)),
    "node-state": [*RUN[:15], executing("1"), *RUN[15:]],
    "progress-state": replaced(at(Word.PROGRESS), progress("1", 2)),
    "preview-place": [*RUN[:9], preview(), preview(), *RUN[9:]],
    "executed-node": [*RUN[:13], executed("9"), *RUN[13:]],
    "executed-state": [*RUN[:14], *RUN[15:]],
    "all-finished": [*RUN[:10], success(), *GOODBYE],
    "outcome-node": replaced(at(Word.SUCCESS), error("1")),
    "unfinished": RUN[:-1],
}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_bites(rule: str) -> None:
    violations = check(BROKEN[rule])

    assert rule in [violation.rule for violation in violations]
    assert all(RULES[violation.rule] in str(violation) for violation in violations)


# Close to what is fine: what a rule allows for a twin, an expansion or a late socket, and no more.
ALMOST: dict[str, tuple[str, list[Event]]] = {
    "a result before any node ran": (
        "executed-node", [*RUN[:5], executed("3"), state(n3=CACHED_ONE), *RUN[5:]],
    ),
    "a twin that is not finished": (
        "executed-node", [*RUN[:15], executed("3"), state(n1=DONE, n2=ONE, n3=BEGIN), *RUN[15:]],
    ),
    "a result twice in a row, before progress_state": (
        "executed-node", [*OLD_RUN[:10], executed("2"), *OLD_RUN[10:]],
    ),
    "a result three times, before progress_state": (
        "executed-node",
        [
            *OLD_RUN[:10], executing("3"), executed("2"), executing("4"), executed("2"),
            *OLD_RUN[10:],
        ],
    ),
    "a twin twice": (
        "executed-node",
        [*RUN[:15], executed("3"), executed("3"), state(n1=DONE, n2=ONE, n3=CACHED_ONE), *RUN[15:]],
    ),
    "an intermediate output twice at the end": (
        "executed-node", [*RUN[:15], executed("3"), executed("3"), *RUN[15:]],
    ),
    "work behind the intermediate outputs": (
        "executed-node",
        [*RUN[:15], executed("3"), executed("4"), state(n1=DONE, n2=ONE, n4=CACHED_ONE), *RUN[15:]],
    ),
    "an expansion that goes on behind its result": (
        "executed-state", [*RUN[:14], *EXPANDED, executed("2"), RUN[15], *GOODBYE],
    ),
    "a cached node that is not finished while another expands": (
        "executed-state",
        [
            HELLO, *QUEUED, start(), cached("3"), state(n1=BEGIN), executing("1"), executed("1"),
            executed("3"), state(n1=ONE), state(n1=ONE, n3=CACHED_ONE), success(), *GOODBYE,
        ],
    ),
    "cached without a start on an idle server": ("phase", [HELLO, *RUN[4:]]),
    "progress that was said before, of another node": (
        "progress-state",
        [*RUN[:7], state(n1=(0, 1, "running")), progress("2", 0, 1), *RUN[10:]],
    ),
    "a node runs once more where something was cached": (
        "state-step", [*RUN[:4], cached("9"), *RUN[5:13], *ONCE_MORE],
    ),
    "a finished node goes on": (
        "state-step", [*RUN[:11], state(n1=MIDDLE), progress("1", 1), *RUN[10:]],
    ),
    "a failed preview of another kind": ("state-then-progress", [*RUN[:8], error("1"), *GOODBYE]),
}  # fmt: skip


@pytest.mark.parametrize("rule, stream", ALMOST.values(), ids=ALMOST)
def test_a_rule_gives_way_no_further_than_the_server_goes(rule: str, stream: list[Event]) -> None:
    assert rule in rules(stream)


def test_flags_of_a_socket_whose_id_was_taken_over_are_answered_on_the_new_one() -> None:
    answered = [(HELLO, 1), (HELLO, 2), (FLAGS, 2), (FLAGS, 2)]

    assert check(answered) == []
    assert [v.rule for v in check([*answered, (FLAGS, 2)])] == ["flags-once"]


def test_a_violation_says_where_and_what() -> None:
    first = check([(event, "left") for event in without(at(Word.NODE))])[0]

    assert (first.number, first.socket, first.prompt_id) == (6, "left", "p")
    assert str(first) == (
        "event 6, socket left, prompt p: STATE where NODE of node 1 was due "
        "(a node that begins in progress_state is executing next)"
    )


def test_a_socket_may_end_in_the_middle_and_a_stream_be_cut_off() -> None:
    assert check([*RUN[:9], SocketClosed()]) == []
    assert check(RUN[:9], whole=False) == []
    assert [v.rule for v in check(RUN[:9])] == ["unfinished"]


def test_a_reopened_socket_begins_anew() -> None:
    assert check([SocketOpened(), *RUN[:9], SocketOpened(), HELLO, *RUN[9:]]) == []


def test_a_socket_whose_id_was_taken_over_may_fall_silent() -> None:
    stream = [(event, 1) for event in RUN[:9]] + [(HELLO, 2)] + [(e, 2) for e in RUN[10:]]

    assert check(stream) == []


def test_sockets_do_not_disturb_each_other() -> None:
    theirs = msgspec.structs.replace(HELLO, data=status(0, "client-b").data)
    stream = [(HELLO, 1), (theirs, 2)]
    for event in RUN[1:]:
        stream.append((event, 1))
        if word_of(event) is Word.STATUS:
            stream.append((event, 2))

    assert check(stream) == []


def test_a_frame_of_a_prompt_that_has_gone_is_told_once() -> None:
    late = [*RUN, executed("2"), state(n1=DONE, n2=ONE)]

    assert rules(late)[0] == "phase"


def test_the_checker_remembers_a_bounded_number_of_prompts() -> None:
    checker = Checker()
    checker.feed(HELLO)
    for number in range(GONE_MAX + 50):
        name = f"p{number}"
        for event in (status(), start(name), cached(prompt=name), success(name), *GOODBYE[:1]):
            checker.feed(event)
        checker.feed(executing(None, name))

    assert checker.violations == []
    assert len(checker._sockets[0].gone) == GONE_MAX


# --- planted in recordings -------------------------------------------------------------------

Change = Callable[[list[Event], int], list[Event]]
CHANGES: dict[str, Change] = {
    "dropped": lambda stream, n: stream[:n] + stream[n + 1 :],
    "doubled": lambda stream, n: stream[: n + 1] + stream[n:],
    "swapped": lambda stream, n: [*stream[:n], stream[n + 1], stream[n], *stream[n + 2 :]],
}
LOAD_BEARING = {
    "dropped": {Word.START, Word.CACHED, Word.STATE, Word.NODE, Word.PROGRESS, Word.SUCCESS},
    "doubled": {
        Word.START, Word.CACHED, Word.NODE, Word.PROGRESS, Word.EXECUTED, Word.SUCCESS,
        Word.ERROR, Word.INTERRUPTED, Word.LEFT, Word.PREVIEW, Word.PREVIEW_WITH_METADATA,
    },
    "swapped": {Word.START, Word.CACHED, Word.NODE, Word.SUCCESS},
}  # fmt: skip
NEW = [path for path in RECORDINGS if "v0.27.0" in str(path) or "server-" not in path.name]


def runs_in(recording: Path) -> list[list[Event]]:
    """Prompts that a socket of a recording saw whole: the events from status to null."""
    streams: dict[object, list[Event]] = {}
    for item in stream_in(recording):
        if isinstance(item, tuple):
            streams.setdefault(item[1], []).append(item[0])
    return [run for stream in streams.values() for run in _runs(stream)]


def _runs(stream: list[Event]) -> list[list[Event]]:
    words = [word_of(event) for event in stream]
    starts = [n for n, word in enumerate(words) if word is Word.START]
    ends = [n + 1 for n, word in enumerate(words) if word is Word.LEFT]
    found = []
    for begin, following in pairwise([*starts, len(stream)]):
        end = next((n for n in ends if begin < n <= following), None)
        if end is not None and any(w is Word.STATE for w in words[begin:end]):
            found.append([HELLO, *QUEUED, *stream[begin:end]])
    return found


@pytest.mark.slow
@pytest.mark.skipif(not NEW, reason="needs ../shared/recordings or cassettes/")
@pytest.mark.parametrize("change", CHANGES)
def test_a_frame_that_matters_is_missed_wherever_it_is_planted(change: str) -> None:
    # The first run tells that this server sends progress_state.
    planted = overlooked = 0
    for run in [run for recording in NEW[::3] for run in runs_in(recording)]:
        for number in range(3, len(run) - 1):
            if word_of(run[number]) in LOAD_BEARING[change] and _tells(run, number):
                planted += 1
                stream = RUN + CHANGES[change](run, number)[1:]
                overlooked += not check(stream)

    assert planted > 50
    assert overlooked == 0


def _tells(run: list[Event], number: int) -> bool:
    """Whether the frame says something that no other frame beside it says."""
    if word_of(run[number - 1]) is Word.EXECUTED:
        return False  # some cached nodes say executed without a progress_state
    words = {word_of(run[number]), word_of(run[number + 1])}
    return not words & {Word.ASIDE, Word.STATUS} or not words & {Word.NODE, Word.PROGRESS}
