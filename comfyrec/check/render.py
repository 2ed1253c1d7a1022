"""results -> cells of a table, lines for a terminal, JUnit XML."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from comfyrec.check.advice import Fix
from comfyrec.check.result import ScenarioResult, Summary
from comfyrec.wording import plural, shortened_list

__all__ = [
    "COLUMNS",
    "Again",
    "as_junit",
    "clean",
    "count_in_words",
    "fixes_in_words",
    "one_line",
    "reported_in_words",
    "reproduction",
    "traffic_in_words",
    "where_seen",
    "why_in_words",
]

_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
FIXES_SHOWN: Final = 6
SCENARIOS_SHOWN: Final = 4
MIB: Final = 1024 * 1024


def clean(text: str) -> str:
    """A client's text without what a terminal or an XML reader would trip over."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


# --- words -----------------------------------------------------------------------------------


def why_in_words(result: ScenarioResult) -> str:
    """What went wrong, or is worth a note, in one line; empty if it passed."""
    if result.status == "pass":
        return ""
    words = [f"{verdict.invariant}: {verdict.why}" for verdict in result.failed]
    return clean("; ".join(words if result.status == "fail" else result.notes))


def one_line(result: ScenarioResult) -> str:
    """A result for a log."""
    why = why_in_words(result)
    return f"{result.status:<13} {result.name}{f': {why}' if why else ''}"


def reported_in_words(result: ScenarioResult) -> str:
    """What it reported and whether that is true: ``success``, ``success (untrue)``, ``(hung)``."""
    if result.outcome is None:
        return f"({result.ended})"
    return f"{result.outcome} (untrue)" if result.reported == "an untruth" else result.outcome


def traffic_in_words(result: ScenarioResult) -> str:
    """What the server saw the client do."""
    seen = result.traffic
    words = [plural(seen.posts, "prompt")]
    if seen.sockets:
        first = {True: ", before the prompt", False: ", after the prompt"}
        when = first.get(seen.socket_first, "") if seen.socket_first is not None else ""
        words.append(f"{plural(seen.sockets, 'WebSocket')}{when}")
    else:
        words.append("no WebSocket")
    words.append(f"asked for the history {plural(seen.history_requests, 'time')}")
    words.append(f"for the queue {plural(seen.queue_requests, 'time')}")
    if seen.interrupts:
        words.append(plural(seen.interrupts, "interrupt"))
    total = plural(seen.requests, "request")
    words.append(f"{total} in total, {seen.busiest_second} in the busiest second")
    if result.grew_bytes is not None:
        words.append(f"memory grew by {result.grew_bytes / MIB:.1f} MiB during the flood")
    return "; ".join(words)


def count_in_words(summary: Summary) -> str:
    """How many passed and failed, in one line."""
    parts = [
        f"{summary.passed} passed",
        f"{summary.failed} failed ({summary.hung} hung, {summary.untrue} reported an untruth)",
        f"{summary.not_exercised} not exercised",
    ]
    if summary.errors:
        parts.append(f"{summary.errors} could not be played")
    if summary.not_run:
        parts.append(f"{summary.not_run} not run")
    return f"{plural(summary.scenarios, 'scenario')}: {', '.join(parts)}"


class Again(NamedTuple):
    """What ``comfyrec check`` was told, for a line that plays one case again."""

    command: Sequence[str]
    """The client's."""
    flags: Sequence[str] = ()
    """Those that say how it is played."""
    given: Mapping[str, str] = MappingProxyType({})
    """Scenario -> how it was called up, where that is not its name."""

    def with_scenario(self, scenario: str) -> str:
        """The command that puts the client through this one."""
        case = self.given.get(scenario, scenario)
        asked = shlex.join(["comfyrec", "check", *self.flags, "--scenarios", case])
        return f"{asked} -- {shlex.join(self.command)}"


def fixes_in_words(fixes: Sequence[Fix], again: Again) -> Iterator[str]:
    """What to fix first, some lines for each, in this order."""
    for number, fix in enumerate(fixes[:FIXES_SHOWN], 1):
        yield f"{number}. {clean(fix.cause)}."
        yield f"   {where_seen(fix)}"
        yield f"   A correct client {clean(fix.correct)}."
        yield f"   To reproduce: {clean(reproduction(fix, again))}"
    more = len(fixes) - FIXES_SHOWN
    if more > 0:
        yield f"and {plural(more, 'more cause')}; --html FILE shows every scenario"


def reproduction(fix: Fix, again: Again) -> str:
    """The command that shows one case of it."""
    return again.with_scenario(fix.scenarios[0])


def where_seen(fix: Fix) -> str:
    """In which scenarios, and by which invariants."""
    some = ", ".join(shortened_list(fix.scenarios, SCENARIOS_SHOWN))
    invariants = f" ({', '.join(fix.invariants)})" if fix.invariants else ""
    return f"Seen in {plural(len(fix.scenarios), 'scenario')}{invariants}: {clean(some)}"


# --- the table -------------------------------------------------------------------------------

_STYLES: Final = {"pass": "green", "fail": "bold red", "error": "bold yellow"}


class Column(NamedTuple):
    """One column of the table of results; a new one is a new row of ``COLUMNS``."""

    title: str
    text: Callable[[ScenarioResult], str]
    style: Callable[[ScenarioResult], str] = lambda result: ""
    """In the words of rich."""
    wraps: bool = True


COLUMNS: Final[Sequence[Column]] = (
    Column("scenario", lambda result: result.name, wraps=False),
    Column(
        "result",
        lambda result: result.status,
        lambda result: _STYLES.get(result.status, "dim"),
    ),
    Column("reported", reported_in_words),
    Column(
        "after",
        lambda result: "" if result.after_end_s is None else f"{result.after_end_s:.2f} s",
    ),
    Column("why", why_in_words),
)


# --- JUnit -----------------------------------------------------------------------------------


def as_junit(results: Sequence[ScenarioResult], summary: Summary) -> str:
    """JUnit XML: a suite per category, a case per scenario."""
    took = sum(result.took_s for result in results)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="comfyrec check" tests="{len(results)}" '
        f'failures="{summary.failed}" errors="{summary.errors}" '
        f'skipped="{summary.not_exercised}" time="{took:.3f}">',
    ]
    for category, some in groupby(results, key=lambda result: result.category):
        lines += _suite(category, list(some))
    return "\n".join([*lines, "</testsuites>", ""])


def _suite(category: str, results: Sequence[ScenarioResult]) -> Iterator[str]:
    def count(status: str) -> int:
        return sum(result.status == status for result in results)

    yield (
        f'<testsuite name="{category}" tests="{len(results)}" failures="{count("fail")}" '
        f'errors="{count("error")}" skipped="{count("not exercised")}">'
    )
    for result in results:
        yield from _case(result)
    yield "</testsuite>"


def _case(result: ScenarioResult) -> Iterator[str]:
    name, words = quoteattr(clean(result.name)), quoteattr(why_in_words(result))
    group = quoteattr(f"comfyrec.{result.category}")
    yield f'<testcase name={name} classname={group} time="{result.took_s:.3f}">'
    match result.status:
        case "fail":
            kind = quoteattr(result.failed[0].invariant)
            text = f"{result.summary}\nA correct client {result.correct}.\n{why_in_words(result)}"
            yield f"<failure type={kind} message={words}>{escape(clean(text))}</failure>"
        case "error":
            yield f"<error message={words}/>"
        case "not exercised":
            yield f"<skipped message={words}/>"
    if result.tail:
        yield f"<system-out>{escape(clean(result.tail))}</system-out>"
    yield "</testcase>"
