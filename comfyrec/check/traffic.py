"""The journal of a scenario -> what its server saw the client do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from comfyrec.check.case import Traffic
from comfyrec.http.request import target_of
from fake_server.scenarios.kit.observer import JournalNote

__all__ = ["traffic_of"]


_OF_THE_CLIENT: Final = ("knocked", "asked", "said")


def traffic_of(
    journal: Sequence[JournalNote], seconds: Sequence[float], *, until_s: float | None = None
) -> Traffic:
    """Count what the client did, by a journal and the real time of each of its entries.

    Args:
        journal: of the stage.
        seconds: when each of its entries was written.
        until_s: when the client ended, on the same clock.
    """
    acts = [
        second
        for note, second in zip(journal, seconds, strict=False)
        if note.what in _OF_THE_CLIENT
    ]
    upgrades = [index for index, note in enumerate(journal) if note.what == "knocked"]
    asked = [(index, note.detail) for index, note in enumerate(journal) if note.what == "asked"]
    posts = [index for index, detail in asked if _submits(detail)]
    accepted = [index for index, note in enumerate(journal) if note.what == "accepted"]
    busy = sorted(seconds[index] for index in [*upgrades, *(index for index, _ in asked)])
    return Traffic(
        sockets=len(accepted),
        socket_first=accepted[0] < posts[0] if accepted and posts else None,
        posts=len(posts),
        requests=len(asked),
        attempts=len(asked) + len(upgrades),
        over_v2=any(_submits_v2(detail) for _, detail in asked),
        history_requests=sum(
            _is(detail, "GET", "/history") or _asks_for_a_job(detail) or _is(detail, "GET", "/jobs")
            for _, detail in asked
        ),
        queue_requests=sum(_is(detail, "GET", "/queue") for _, detail in asked),
        interrupts=sum(_is(detail, "POST", "/interrupt") for _, detail in asked),
        busiest_second=_most_within(busy, 1.0),
        keyed=any(note.what == "keyed" for note in journal),
        unanswered=_unanswered(journal, seconds, until_s),
        leaks=tuple(note.detail for note in journal if note.what == "leaked"),
        quiet_s=round(until_s - acts[-1], 3) if acts and until_s is not None else 0.0,
    )


def _unanswered(
    journal: Sequence[JournalNote], seconds: Sequence[float], until_s: float | None
) -> str:
    """The last request or handshake that the client waited for in vain, and not just a moment."""
    open_ones: dict[int, tuple[float, str]] = {}
    for note, second in zip(journal, seconds, strict=False):
        if note.what == "asked":
            method, _, target = note.detail.partition(" ")
            open_ones[note.number] = second, f"{method} {target_of(target).raw_path}"
        elif note.what == "knocked":
            open_ones[note.number] = second, "its WebSocket's handshake"
        elif note.what in _ANSWERS:
            open_ones.pop(note.number, None)
    waited = [what for second, what in open_ones.values() if _is_long(second, until_s)]
    return waited[-1] if waited else ""


def _is_long(since_s: float, until_s: float | None) -> bool:
    return until_s is not None and until_s - since_s >= _LONG_S


_ANSWERS: Final = ("answered", "accepted", "hung up", "left", "closed")
_LONG_S: Final = 1.0


def _submits(detail: str) -> bool:
    """A prompt, or a job of Comfy API v2, wherever that is mounted."""
    return _submits_v2(detail) or _is(detail, "POST", "/prompt")


def _submits_v2(detail: str) -> bool:
    method, _, target = detail.partition(" ")
    return method == "POST" and target_of(target).raw_path.endswith(_JOBS)


def _asks_for_a_job(detail: str) -> bool:
    method, _, target = detail.partition(" ")
    _, found, job = target_of(target).raw_path.partition(f"{_JOBS}/")
    return method == "GET" and bool(found) and "/" not in job


_JOBS: Final = "/api/v2/jobs"


def _is(detail: str, method: str, path: str) -> bool:
    given, _, target = detail.partition(" ")
    bare = target_of(target).path
    return given == method and (bare == path or bare.startswith(f"{path}/"))


def _most_within(times: Sequence[float], span: float) -> int:
    most = first = 0
    for last, time in enumerate(times):
        while time - times[first] > span:
            first += 1
        most = max(most, last - first + 1)
    return most
