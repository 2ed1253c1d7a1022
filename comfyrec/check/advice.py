"""results -> what to fix first: failures grouped by their cause, and the causes in order.

A group follows from evidence: the invariant that does not hold, and what the client did or printed
(the same exception at the same line, the same last words, no question to the history). A prompt
that is submitted before the WebSocket is open loses messages, so that cause comes before all that
may follow from it; then comes who takes other prompts for its own, which makes anything look wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from comfyrec.check.invariants import INVARIANTS, truth_in_words
from comfyrec.check.result import ScenarioResult
from comfyrec.wording import plural

__all__ = ["PLAIN", "Cause", "Fix", "blocker", "cause_of", "fixes"]

PLAIN: Final = "success"
"""The scenario in which nothing goes wrong."""
CORRECT_SHOWN: Final = 2
"""What a correct client does in scenarios of one group may differ; so many are told."""
_ADDRESSES: Final = ("{url}", "{ws_url}", "{host}", "{port}")


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to fix."""

    cause: str
    """A sentence without its period."""
    correct: str
    """What a correct client does; it continues the words "A correct client"."""
    invariants: tuple[str, ...] = ()
    """All that fail in this group, the first ones of the table first."""
    scenarios: tuple[str, ...] = ()
    """Where it shows; the one that shows it best comes first."""


# --- before everything else ------------------------------------------------------------------


def blocker(result: ScenarioResult, command: Sequence[str] | None) -> Fix | None:
    """Why the first scenario shows that no other one is worth a run; None: they are.

    Args:
        result: of the first scenario.
        command: the client's command, with its places; None: it lives on and takes jobs.
    """
    if result.ended == "not run":
        return None
    if result.traffic.attempts == 0:
        return _never_came(result, command)
    # One that ends as it should, and yet does something wrong, shows more in the other scenarios.
    ends_well = result.outcome in result.truth
    if result.name == PLAIN and result.status == "fail" and not ends_well:
        cause = cause_of(result)
        return Fix(
            cause=f"The client fails where nothing goes wrong: {cause.sentence}",
            correct=cause.correct,
            invariants=_failed((result,)),
            scenarios=(result.name,),
        )
    return None


def _never_came(result: ScenarioResult, command: Sequence[str] | None) -> Fix:
    why = _last_words(result)
    if command is None:
        return Fix(
            cause=f"The client never contacted the server at the url of its job{why}",
            correct="takes the server's address anew from the url of each job",
            scenarios=(result.name,),
        )
    if any(place in part for part in command for place in _ADDRESSES):
        cause = f"The client never contacted the server at {{url}}{why}"
    else:
        cause = f"The client never contacted the server, and its command has no {{url}}{why}"
    return Fix(
        cause=cause,
        correct="takes the server's address from its command line, as in 'client.py {url}', "
        "or from COMFYUI_URL",
        scenarios=(result.name,),
    )


# --- groups ----------------------------------------------------------------------------------


class Cause(NamedTuple):
    """The cause of a failure; failures with the same key are one group."""

    rank: int
    key: tuple[str, ...]
    sentence: str
    correct: str


def fixes(results: Iterable[ScenarioResult]) -> tuple[Fix, ...]:
    """What to fix, by rank of the cause and then by how many scenarios show it."""
    found = [(result, _causes(result)) for result in results if result.status == "fail"]
    elsewhere = {causes[0].key for _, causes in found if causes[0].key != _FOREIGN}
    groups: dict[tuple[str, ...], list[tuple[ScenarioResult, Cause]]] = {}
    for result, causes in found:
        # What happens without other prompts, too, does not come from them.
        known = [one for one in causes if causes[0].key == _FOREIGN and one.key in elsewhere]
        cause = (known or causes)[0]
        groups.setdefault(cause.key, []).append((result, cause))
    ordered = sorted(groups.values(), key=lambda group: (group[0][1].rank, -len(group)))
    return tuple(_fix(group) for group in ordered)


def _fix(group: list[tuple[ScenarioResult, Cause]]) -> Fix:
    group.sort(key=lambda one: _how_plain(one[0]))
    cause = group[0][1]
    corrects = {one.correct: result.name for result, one in reversed(group)}
    shown = list(corrects.items())[: -CORRECT_SHOWN - 1 : -1]
    correct = shown[0][0]
    if len(corrects) > 1:
        correct = "; ".join(f"{what} (in {where})" for what, where in shown)
    return Fix(
        cause=_capital(cause.sentence),
        correct=correct,
        invariants=_failed(result for result, _ in group),
        scenarios=tuple(result.name for result, _ in group),
    )


def _how_plain(result: ScenarioResult) -> tuple[bool, bool, int, float]:
    """What shows a cause best: the plain scenario, one that ends, few failures, a short run."""
    return result.name != PLAIN, result.ended == "hung", len(result.failed), result.took_s


def _failed(results: Iterable[ScenarioResult]) -> tuple[str, ...]:
    return tuple(sorted({verdict.invariant for result in results for verdict in result.failed}))


def cause_of(result: ScenarioResult) -> Cause:
    """Why a client failed, by the first of the rules that fits; for a result that is a failure."""
    return _causes(result)[0]


def _causes(result: ScenarioResult) -> list[Cause]:
    """All that may be the cause, the likeliest first."""
    found = (rule(result) for rule in _RULES)
    return [cause for cause in found if cause is not None]


_OF_A_LATE_SOCKET: Final = frozenset(("K1", "K2", "K6", "K7", "K8"))
"""What a client may fail because it missed messages: it waits for them, and says nothing."""


def _socket_late(result: ScenarioResult) -> Cause | None:
    failed = {verdict.invariant for verdict in result.failed}
    if result.traffic.socket_first is not False or result.crash or not failed <= _OF_A_LATE_SOCKET:
        return None
    return Cause(
        0,
        ("K7",),
        "it submits the prompt before its WebSocket is open, so it misses messages",
        f"{INVARIANTS['K7']}, and waits for the first 'status' message",
    )


def _leaky(result: ScenarioResult) -> Cause | None:
    why = _why(result, "K9")
    if not result.traffic.leaks and why != "printed a secret":
        return None
    return Cause(1, ("K9", "a secret"), f"it gives a secret away: it {why}", INVARIANTS["K9"])


_FOREIGN: Final = ("K4",)


def _foreign(result: ScenarioResult) -> Cause | None:
    why = _why(result, "K4")
    if not why:
        return None
    return Cause(
        1,
        _FOREIGN,
        f"it takes messages about other prompts for its own: it {why}",
        f"{INVARIANTS['K4']}: it compares the prompt_id of each with that of its own",
    )


_ENDS: Final = frozenset(("success", "error", "interrupted"))
"""What becomes of a prompt that was accepted and has run."""


def _deaf(result: ScenarioResult) -> Cause | None:
    """It has seen some end, and did not ask what became of its prompt."""
    seen = result.traffic
    ran = not _ENDS.isdisjoint(result.truth)
    if result.outcome != "success" or not ran or not seen.posts or seen.history_requests:
        return None
    where, entry = "the history", "the history entry"
    if seen.over_v2:
        where, entry = "for the job", "the job"
    if result.reported == "an untruth":
        why = _why(result, "K3") or "reported success"
        return Cause(
            2,
            ("K3", "no history"),
            f"it takes what it hears for a success, and never asks {where}: it {why}",
            f"asks {where} when it hears that the prompt is over, and reports the outcome in "
            f"{entry}",
        )
    if missing := _why(result, "K5"):
        sentence = f"it takes its outputs from messages, and never asks {where}: it {missing}"
        return Cause(6, ("K5", "no history"), sentence, result.correct)
    return None


def _false_success(result: ScenarioResult) -> Cause | None:
    if result.outcome != "success" or result.reported != "an untruth":
        return None
    why = _why(result, "K3") or "reported success"
    ran = not _ENDS.isdisjoint(result.truth)
    return Cause(2, ("K3", *(() if ran else result.truth)), f"it {why}", result.correct)


def _crashed(result: ScenarioResult) -> Cause | None:
    # Who ends with an exception where that is the truth has only to say more. Where the server was
    # there and got no prompt, the client's own exception has made it true.
    is_true = result.reported == "the truth" and not _why(result, "K3")
    if not result.crash or (result.ended != "crashed" and is_true):
        return None
    at = f" ({result.crash_at})" if result.crash_at else ""
    kind, _, text = _without_values(result.crash).partition(":")
    # Texts of one exception may quote what was read; without a place they are all there is.
    key = ("crash", kind, result.crash_at or text)
    return Cause(3, key, f"it crashes: {result.crash}{at}", result.correct)


def _hung(result: ScenarioResult) -> Cause | None:
    if result.ended != "hung":
        return None
    seen = result.traffic
    correct = (
        "asks the history, and then the queue, whenever its WebSocket is silent, and has a time "
        "limit for each request and for the whole run"
    )
    where, channel = "the history", "a WebSocket message"
    if seen.over_v2:
        where, channel = "for the job", "an event"
        correct = (
            "asks for the job whenever its event stream is silent, and has a time limit for each "
            "request and for the whole run"
        )
    if seen.unanswered:
        waits = f"it waits without a limit for the answer to {seen.unanswered}"
        limits = "has a time limit for each request and for the whole run"
        return Cause(3, ("hung", "unanswered"), waits, limits)
    if seen.posts == 0:
        made = plural(seen.attempts, "request")
        return Cause(3, ("hung", "no post"), f"it never submits a prompt ({made})", correct)
    if seen.history_requests == 0:
        waits = f"it waits for {channel} that never comes, and never asks {where}"
        return Cause(3, ("hung", "no history"), waits, correct)
    return Cause(3, ("hung", "asks"), f"it asks {where}, but never ends", correct)


def _other_untruth(result: ScenarioResult) -> Cause | None:
    if result.reported != "an untruth":
        return None
    words = _without_values(result.last_words)
    # Who gives up for the same reason does so for the same cause, whatever became of the prompt.
    key = ("K3", str(result.outcome), *((words,) if words else result.truth))
    sentence = f"it reports {result.outcome}; {truth_in_words(result.truth)}{_last_words(result)}"
    return Cause(5, key, sentence, result.correct)


def _first_failure(result: ScenarioResult) -> Cause:
    # A late socket is not what a missing output comes from.
    failed = [verdict for verdict in result.failed if verdict.invariant != "K7"]
    first = (failed or result.failed)[0]
    key = (first.invariant, _without_values(first.why), _without_values(result.last_words))
    return Cause(6, key, f"it {first.why}{_last_words(result)}", result.correct)


_RULES: Final[Sequence[Callable[[ScenarioResult], Cause | None]]] = (
    _socket_late,
    _leaky,
    _foreign,
    _deaf,
    _false_success,
    _crashed,
    _hung,
    _other_untruth,
    _first_failure,
)


_VALUES = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+(?:\.\d+)*|\S+\.(?:png|mp4|webm)")


def _without_values(text: str) -> str:
    """A line without ids, numbers and names of files, which differ from run to run."""
    return _VALUES.sub("#", text)


def _why(result: ScenarioResult, invariant: str) -> str:
    """In which way an invariant does not hold; empty if it does."""
    return next((one.why for one in result.failed if one.invariant == invariant), "")


def _last_words(result: ScenarioResult) -> str:
    return f"; it printed: {result.last_words}" if result.last_words else ""


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
