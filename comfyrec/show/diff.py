"""Two recordings -> what a client would notice: new, gone, changed and reordered, with severities.

Ids, times, ports and names of one's own are left out of the comparison, and so is what only one of
the clients did: it is listed apart, for information.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from comfyrec.show.diff_facts import Facets, Seen, facets_of
from comfyrec.show.json_shape import Shape
from comfyrec.show.text import Line, line
from comfyrec.timeline import Timeline
from comfyrec.timeline.moments import PREVIEWS
from comfyrec.wording import plural, shortened, shortened_list

__all__ = [
    "DIFF_VERSION",
    "HEADINGS",
    "SEVERITIES",
    "Diff",
    "Difference",
    "compare",
    "release_notes",
    "title_of",
]

DIFF_VERSION: Final = 1
"""Moves when a field of the JSON changes its meaning or goes; new fields do not move it."""
SEVERITIES: Final = ("informs", "warns", "breaks")
"""From the least: a client may want to know, should be looked at, stops working."""
_LISTED: Final = 12
_CLASSES_LISTED: Final = 4
_WORDS_MAX: Final = 160


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not the same."""

    severity: str
    kind: str
    """``new``, ``gone``, ``changed`` or ``reordered``."""
    area: str
    """``websocket``, ``http`` or ``clients``."""
    subject: str
    """The event type, the route, or the situation."""
    sentence: str


class Diff(msgspec.Struct, frozen=True):
    """Everything that differs between two recordings, what breaks clients first."""

    a: str
    b: str
    a_version: str
    b_version: str
    """As the server said it; if nobody asked it, the oldest generation that fits."""
    differences: tuple[Difference, ...] = ()
    version: int = DIFF_VERSION
    a_stated: bool = True
    b_stated: bool = True
    """False: nobody asked the server for its version, so it may also be newer."""

    def beyond(self, severity: str) -> bool:
        """Whether anything is of this severity or a higher one."""
        least = SEVERITIES.index(severity)
        return any(SEVERITIES.index(one.severity) >= least for one in self.differences)


def compare(a: Timeline, b: Timeline, *, names: tuple[str, str] = ("A", "B")) -> Diff:
    """What a client of ``a`` would notice on the server of ``b``."""
    before, after = facets_of(a), facets_of(b)
    found = [
        *_outcomes(before, after),
        *_events(before, after),
        *_situations(before, after),
        *_routes(before, after),
        *_answers(before, after),
        *_asked_by_one(before, after),
    ]
    found.sort(key=lambda one: -SEVERITIES.index(one.severity))
    differences = tuple(dict.fromkeys(found))
    return Diff(
        *names,
        before.version,
        after.version,
        differences,
        a_stated=a.version_stated,
        b_stated=b.version_stated,
    )


# --- what became of prompts ------------------------------------------------------------------

_WAS: Final = {
    "success": "succeeded", "error": "failed", "interrupted": "was interrupted",
    "deleted": "was taken off the queue", "": "had no end",
}  # fmt: skip
_IS: Final = {
    "success": "succeeds", "error": "fails", "interrupted": "is interrupted",
    "deleted": "is taken off the queue", "": "has no end",
}  # fmt: skip
_OF_A_CLIENT: Final = frozenset(("interrupted", "deleted"))
"""Somebody asked for it."""


def _outcomes(a: Facets, b: Facets) -> Iterator[Difference]:
    """The same workflow has come to another end. Somebody's interrupt tells little of a server."""
    for workflow in sorted(a.outcomes.keys() & b.outcomes.keys()):
        before, after = a.outcomes[workflow], b.outcomes[workflow]
        was = " or ".join(_WAS.get(outcome, outcome) for outcome in sorted(before))
        for outcome in sorted(after.keys() - before.keys()):
            good = outcome == "success" or outcome in _OF_A_CLIENT
            if good and before.keys() <= _OF_A_CLIENT:
                continue
            severity = "informs" if good else "breaks" if "success" in before else "warns"
            why = f": {shortened(after[outcome], _WORDS_MAX)}" if after[outcome] else ""
            classes = ", ".join(shortened_list(workflow, _CLASSES_LISTED))
            sentence = f"a prompt of {classes} {was} and {_IS.get(outcome, outcome)}{why}"
            yield Difference(severity, "changed", "websocket", "outcome", sentence)


# --- fields ----------------------------------------------------------------------------------


def _events(a: Facets, b: Facets) -> Iterator[Difference]:
    for kind in sorted(a.events.keys() & b.events.keys()):
        yield from _fields("websocket", kind, a.events[kind], b.events[kind])


def _answers(a: Facets, b: Facets) -> Iterator[Difference]:
    for route in sorted(a.answers.keys() & b.answers.keys()):
        yield from _fields("http", route, a.answers[route], b.answers[route])
    for route in sorted(a.refused.keys() & b.refused.keys()):
        yield from _fields("http", f"{route} refused", a.refused[route], b.refused[route])


def _fields(area: str, subject: str, a: Shape, b: Shape) -> Iterator[Difference]:
    for path in sorted(a.keys() | b.keys()):
        where = f"{subject}: {path or 'the body'}"
        if path not in b:
            if _could_be_there(path, b):
                yield Difference("breaks", "gone", area, subject, f"{where} is gone")
        elif path not in a:
            if _could_be_there(path, a):
                types = " or ".join(sorted(b[path] - {"any"}))
                kind = f" ({types})" if types else ""
                yield Difference("informs", "new", area, subject, f"{where} is new{kind}")
        elif _other_types(a[path], b[path]):
            was, now = (" or ".join(sorted(types)) for types in (a[path], b[path]))
            sentence = f"{where} was {was} and is {now}"
            yield Difference("breaks", "changed", area, subject, sentence)


def _could_be_there(path: str, shape: Shape) -> bool:
    """Whether the object that a field would stand in was seen; lists and maps may be empty."""
    return not path.endswith(("[]", "*")) and "object" in shape.get(path.rpartition(".")[0], ())


def _other_types(a: set[str], b: set[str]) -> bool:
    """Whether no type is left that was there; null says only that there was nothing to say."""
    known, now = a - {"null"}, b - {"null"}
    return bool(known and now) and known.isdisjoint(now)


# --- prompts in one situation ----------------------------------------------------------------


def _situations(a: Facets, b: Facets) -> Iterator[Difference]:
    """The same difference in several situations is told once, with all of them."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for situation in sorted(a.situations.keys() & b.situations.keys()):
        when = situation.partition("; ")[2]
        for difference in _situation(a.situations[situation], b.situations[situation]):
            found.setdefault(difference, []).append(when)
    for (severity, kind, subject, sentence), whens in found.items():
        area = "http" if subject.startswith("GET ") else "websocket"
        when = "; ".join(dict.fromkeys(whens))
        yield Difference(severity, kind, area, subject, f"{sentence} ({when})")


def _situation(a: Seen, b: Seen) -> Iterator[tuple[str, str, str, str]]:
    """(severity, kind, subject, sentence) of what differs in one situation."""
    for event in sorted(a.events - b.events):
        # Previews are a matter of how a server was started, and clients live without them.
        severity = "warns" if event in PREVIEWS else "breaks"
        yield severity, "gone", event, f"{event} is not sent any more"
    for event in sorted(b.events - a.events):
        yield "informs", "new", event, f"{event} is sent now"
    before, after = ([k for k in x.order if k in a.events & b.events] for x in (a, b))
    if before != after:
        sentence = f"the order was {', '.join(before)} and is {', '.join(after)}"
        yield "warns", "reordered", "order", sentence
    if sorted(a.nodes) == sorted(b.nodes) and a.nodes != b.nodes:
        sentence = f"nodes ran {', '.join(a.nodes)} and run {', '.join(b.nodes)}"
        yield "informs", "reordered", "nodes", sentence
    if a.history and b.history and a.history.isdisjoint(b.history):
        was, now = ", ".join(sorted(a.history)), ", ".join(sorted(b.history))
        severity = "breaks" if "outputs empty" in b.history else "informs"
        yield severity, "changed", "GET /history", f"the history had {was} and has {now}"


# --- requests --------------------------------------------------------------------------------


def _routes(a: Facets, b: Facets) -> Iterator[Difference]:
    told = set()
    for asked in sorted(a.asked.keys() & b.asked.keys()):
        before, after = a.asked[asked], b.asked[asked]
        method, target, _ = asked.split(" ", 2)
        route = f"{method} {target}"
        if before.statuses.isdisjoint(after.statuses):
            told.add(f"{method} {target.partition('?')[0].removeprefix('/api')}")
            yield _status(route, before.statuses, after.statuses, b)
        if "{id}" in route:
            continue  # of several things of one kind, the answers tell of different ones
        for path in sorted(before.words.keys() & after.words.keys()):
            if before.words[path].isdisjoint(after.words[path]):
                old, new = (" or ".join(sorted(one.words[path])) for one in (before, after))
                severity = "informs" if path.endswith("error") else "warns"
                sentence = f"{route}: {path} was {old!r} and is {new!r}"
                yield Difference(severity, "changed", "http", route, sentence)
    for route in sorted(a.routes.keys() & b.routes.keys() - told):
        if a.routes[route].isdisjoint(b.routes[route]):
            yield _status(route, a.routes[route], b.routes[route], b)


def _status(route: str, was: set[int], now: set[int], b: Facets) -> Difference:
    worse = min(was) < 400 <= min(now)
    better = min(now) < 400 <= min(was)
    kind = "gone" if worse else "new" if better else "changed"
    severity = "breaks" if worse else "informs" if better else "warns"
    old, new = (" or ".join(map(str, sorted(statuses))) for statuses in (was, now))
    refused = b.prompts_refused if worse and route.startswith("POST /prompt") else ()
    why = f": {shortened(refused[0], _WORDS_MAX)}" if refused else ""
    sentence = f"{route} answered {old} and answers {new}{why}"
    return Difference(severity, kind, "http", route, sentence)


def _asked_by_one(a: Facets, b: Facets) -> Iterator[Difference]:
    """What only one client did tells nothing of the servers, but may be what was looked for."""
    for kind, ours, others in (("gone", a, b), ("new", b, a)):
        routes = sorted(ours.routes.keys() - others.routes.keys())
        if routes:
            which = "first" if kind == "gone" else "second"
            listed = ", ".join(shortened_list(routes, _LISTED))
            sentence = f"only the {which} client asked for {listed}"
            yield Difference("informs", kind, "clients", "requests", sentence)


# --- in words --------------------------------------------------------------------------------

HEADINGS: Final = {
    "breaks": ("Breaks clients", "bad"),
    "warns": ("Look at", "warn"),
    "informs": ("Good to know", "bold"),
}
_MARKS: Final = {"new": "+", "gone": "-", "changed": "~", "reordered": "%"}


def title_of(diff: Diff) -> str:
    """``ComfyUI 0.3.10 -> 0.27.0: what changes for clients``; a guessed version says so."""
    versions = [
        version if stated else f"{version} or newer"
        for version, stated in ((diff.a_version, diff.a_stated), (diff.b_version, diff.b_stated))
    ]
    if versions[0] == versions[1]:
        return f"ComfyUI {versions[0]}: what differs for clients"
    return f"ComfyUI {versions[0]} -> {versions[1]}: what changes for clients"


def release_notes(diff: Diff) -> Iterator[Line]:
    """The differences as text that reads like release notes, what breaks clients first."""
    count = plural(len(diff.differences), "difference")
    yield line((title_of(diff), "bold"))
    yield line(f"{diff.a} -> {diff.b}: {count}")
    if not diff.differences:
        yield line("A client would notice nothing.")
    for severity in reversed(SEVERITIES):
        ours = [one for one in diff.differences if one.severity == severity]
        if not ours:
            continue
        heading, style = HEADINGS[severity]
        yield ()
        yield line((heading, style))
        for one in ours:
            yield line(f"  {_MARKS[one.kind]} ", one.sentence)
