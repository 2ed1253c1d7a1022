"""results -> cells of a table, lines for a terminal, JUnit XML, one HTML page."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from comfyrec.check.advice import Fix
from comfyrec.check.invariants import truth_in_words
from comfyrec.check.result import ScenarioResult, Summary
from comfyrec.wording import plural, shortened_list

__all__ = [
    "COLUMNS",
    "Again",
    "as_html",
    "as_junit",
    "clean",
    "count_in_words",
    "fixes_in_words",
    "one_line",
    "reported_in_words",
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


def fixes_in_words(fixes: Sequence[Fix], again: Again) -> Iterator[str]:
    """What to fix first, some lines for each, in this order."""
    for number, fix in enumerate(fixes[:FIXES_SHOWN], 1):
        yield f"{number}. {clean(fix.cause)}."
        yield f"   {_where(fix)}"
        yield f"   A correct client {clean(fix.correct)}."
        yield f"   To reproduce: {clean(reproduction(fix, again))}"
    more = len(fixes) - FIXES_SHOWN
    if more > 0:
        yield f"and {plural(more, 'more cause')}; --html FILE shows every scenario"


def reproduction(fix: Fix, again: Again) -> str:
    """The command that shows one case of it."""
    case = again.given.get(fix.scenarios[0], fix.scenarios[0])
    asked = shlex.join(["comfyrec", "check", *again.flags, "--scenarios", case])
    return f"{asked} -- {shlex.join(again.command)}"


def _where(fix: Fix) -> str:
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


# --- HTML ------------------------------------------------------------------------------------

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #1d1f23; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
details { border-bottom: 1px solid #ddd; padding: .35rem 0 }
summary { cursor: pointer; display: flex; gap: .8rem; align-items: baseline }
summary .name { min-width: 18rem; font-family: ui-monospace, monospace }
.mark { min-width: 7.5rem; font-weight: 600 }
.pass .mark { color: #1a7f37 } .fail .mark { color: #c62828 } .error .mark { color: #9a6700 }
.idle .mark { color: #777 }
pre { background: #f5f6f8; padding: .6rem; overflow: auto; max-height: 20rem }
dt { font-weight: 600 } dd { margin: 0 0 .4rem 1rem }
@media (prefers-color-scheme: dark) {
  body { color: #e4e6ea; background: #16181c } pre { background: #23262b }
  details { border-color: #333 }
}
"""


def as_html(
    results: Sequence[ScenarioResult],
    summary: Summary,
    fixes: Sequence[Fix],
    *,
    again: Again,
) -> str:
    """One page that needs no other file."""
    listed = "".join(f"<li>{_fix(fix, again)}</li>" for fix in fixes)
    body = "".join(
        f"<h2>{category}</h2>{''.join(_details(result) for result in some)}"
        for category, some in groupby(results, key=lambda result: result.category)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>comfyrec check</title><style>{_STYLE}</style></head><body>"
        f"<h1>comfyrec check: {count_in_words(summary)}</h1>"
        f"<p><code>{_safe(shlex.join(again.command))}</code></p>"
        f"{f'<h2>Fix first</h2><ol>{listed}</ol>' if listed else ''}{body}</body></html>\n"
    )


def _fix(fix: Fix, again: Again) -> str:
    lines = (
        f"{_safe(fix.cause)}.",
        f"<small>{_safe(_where(fix))}</small>",
        f"A correct client {_safe(fix.correct)}.",
        f"<code>{_safe(reproduction(fix, again))}</code>",
    )
    return "<br>".join(lines)


def _details(result: ScenarioResult) -> str:
    look = {"not exercised": "idle"}.get(result.status, result.status)
    facts = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in _facts(result))
    tail = f"<pre>{_safe(result.tail)}</pre>" if result.tail.strip() else ""
    opened = " open" if result.status == "fail" else ""
    return (
        f'<details class="{look}"{opened}><summary><span class="mark">{result.status}</span>'
        f'<span class="name">{_safe(result.name)}</span>'
        f"<span>{_safe(why_in_words(result))}</span></summary><dl>{facts}</dl>{tail}</details>"
    )


def _facts(result: ScenarioResult) -> Iterable[tuple[str, str]]:
    yield "what goes wrong", f"{_safe(result.summary)} ({_safe(result.row)})"
    yield "a correct client", _safe(result.correct)
    late = result.after_end_s
    when = "" if late is None else f", {late:.2f} s after the prompt ended"
    truth = truth_in_words(result.truth)
    yield "it reported", _safe(f"{reported_in_words(result)}{when}; {truth}")
    yield "the server saw", _safe(traffic_in_words(result))
    yield "evidence", "; ".join(map(_linked, result.evidence))


_THREAD = re.compile(r"^([\w.-]+/[\w.-]+)#(\d+)$")


def _linked(evidence: str) -> str:
    found = _THREAD.match(evidence)
    if found is None:
        return _safe(evidence)
    address = f"https://github.com/{found[1]}/issues/{found[2]}"
    return f'<a href="{_safe(address)}">{_safe(evidence)}</a>'


def _safe(text: str) -> str:
    return html.escape(clean(text))
