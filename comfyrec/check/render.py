"""results -> JUnit XML, one HTML page, lines for a terminal; nothing is printed or written."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from comfyrec.check.result import Fix, ScenarioResult, Summary

__all__ = [
    "as_html",
    "as_junit",
    "clean",
    "fixes_in_words",
    "in_words",
    "one_line",
    "told_in_words",
]

_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
FIXES_SHOWN: Final = 6
MIB: Final = 1024 * 1024


def clean(text: str) -> str:
    """A client's text without what a terminal or an XML reader would trip over."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def in_words(result: ScenarioResult) -> str:
    """What was wrong, or worth a note, in one line."""
    words = [f"{verdict.invariant}: {verdict.why}" for verdict in result.broken]
    return clean("; ".join(words if result.status == "broken" else result.notes))


def one_line(result: ScenarioResult) -> str:
    """A result for a log."""
    why = in_words(result) if result.status != "kept" else ""
    return f"{result.status:<13} {result.name}{f': {why}' if why else ''}"


def deeds_in_words(result: ScenarioResult) -> str:
    """What the server saw the client do."""
    seen = result.deeds
    words = [_many(seen.posts, "prompt")]
    if seen.sockets:
        first = {True: ", before the prompt", False: ", after the prompt"}
        when = first.get(seen.socket_first, "") if seen.socket_first is not None else ""
        words.append(f"{_many(seen.sockets, 'socket')}{when}")
    else:
        words.append("no socket")
    words.append(f"asked the history {_many(seen.asked_history, 'time')}")
    words.append(f"the queue {_many(seen.asked_queue, 'time')}")
    if seen.interrupts:
        words.append(_many(seen.interrupts, "interrupt"))
    in_all = _many(seen.requests, "request")
    words.append(f"{in_all} in all, with sockets {seen.busiest_second} in the busiest second")
    if result.grew_bytes is not None:
        words.append(f"its memory grew by {result.grew_bytes / MIB:.1f} MiB under the flood")
    return "; ".join(words)


def _many(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def told_in_words(result: ScenarioResult) -> str:
    """What it reported and whether that was so: ``success``, ``success (a lie)``, ``(hung)``."""
    if result.outcome is None:
        return f"({result.ended})"
    return f"{result.outcome} (a lie)" if result.told == "a lie" else result.outcome


def fixes_in_words(summary: Summary) -> Iterator[str]:
    """What to mend first, a line each."""
    for number, fix in enumerate(summary.fixes[:FIXES_SHOWN], 1):
        yield f"{number}. {clean(fix.what)} ({_where(fix)}). A correct client {fix.hint}."
    more = len(summary.fixes) - FIXES_SHOWN
    if more > 0:
        yield f"... and {more} more"


def _where(fix: Fix) -> str:
    some = ", ".join(fix.scenarios[:4])
    more = len(fix.scenarios) - 4
    return f"{some} and {more} more" if more > 0 else some


# --- JUnit -----------------------------------------------------------------------------------


def as_junit(results: Sequence[ScenarioResult], summary: Summary) -> str:
    """JUnit XML: a suite per category, a case per scenario."""
    took = sum(result.took_s for result in results)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="comfyrec check" tests="{summary.scenarios}" '
        f'failures="{summary.broken}" errors="{summary.errors}" '
        f'skipped="{summary.not_exercised}" time="{took:.3f}">',
    ]
    for category, some in groupby(results, key=lambda result: result.category):
        lines += _suite(category, list(some))
    return "\n".join([*lines, "</testsuites>", ""])


def _suite(category: str, results: Sequence[ScenarioResult]) -> Iterator[str]:
    def count(status: str) -> int:
        return sum(result.status == status for result in results)

    yield (
        f'<testsuite name="{category}" tests="{len(results)}" failures="{count("broken")}" '
        f'errors="{count("error")}" skipped="{count("not exercised")}">'
    )
    for result in results:
        yield from _case(result)
    yield "</testsuite>"


def _case(result: ScenarioResult) -> Iterator[str]:
    name, words = quoteattr(clean(result.name)), quoteattr(in_words(result))
    group = quoteattr(f"comfyrec.{result.category}")
    yield f'<testcase name={name} classname={group} time="{result.took_s:.3f}">'
    match result.status:
        case "broken":
            kind = quoteattr(result.broken[0].invariant)
            text = f"{result.summary}\nA correct client {result.correct}.\n{in_words(result)}"
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
.kept .mark { color: #1a7f37 } .broken .mark { color: #c62828 } .error .mark { color: #9a6700 }
.idle .mark { color: #777 }
pre { background: #f5f6f8; padding: .6rem; overflow: auto; max-height: 20rem }
dt { font-weight: 600 } dd { margin: 0 0 .4rem 1rem }
@media (prefers-color-scheme: dark) {
  body { color: #e4e6ea; background: #16181c } pre { background: #23262b }
  details { border-color: #333 }
}
"""


def as_html(results: Sequence[ScenarioResult], summary: Summary, *, command: str) -> str:
    """One page that needs nothing else."""
    fixes = "".join(f"<li>{_fix(fix)}</li>" for fix in summary.fixes[:FIXES_SHOWN])
    body = "".join(
        f"<h2>{category}</h2>{''.join(_details(result) for result in some)}"
        for category, some in groupby(results, key=lambda result: result.category)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>comfyrec check</title><style>{_STYLE}</style></head><body>"
        f"<h1>comfyrec check: {summary.kept} of {summary.scenarios} kept, "
        f"{summary.broken} broken, {summary.not_exercised} not exercised</h1>"
        f"<p><code>{_safe(command)}</code></p>"
        f"{f'<h2>What to mend first</h2><ol>{fixes}</ol>' if fixes else ''}{body}</body></html>\n"
    )


def _fix(fix: Fix) -> str:
    where = f"<small>({_safe(_where(fix))})</small>"
    return f"{_safe(fix.what)} {where}<br>A correct client {_safe(fix.hint)}."


def _details(result: ScenarioResult) -> str:
    look = {"not exercised": "idle"}.get(result.status, result.status)
    facts = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in _facts(result))
    tail = f"<pre>{_safe(result.tail)}</pre>" if result.tail.strip() else ""
    opened = " open" if result.status == "broken" else ""
    return (
        f'<details class="{look}"{opened}><summary><span class="mark">{result.status}</span>'
        f'<span class="name">{_safe(result.name)}</span>'
        f"<span>{_safe(in_words(result))}</span></summary><dl>{facts}</dl>{tail}</details>"
    )


def _facts(result: ScenarioResult) -> Iterable[tuple[str, str]]:
    yield "what goes wrong", f"{_safe(result.summary)} ({_safe(result.row)})"
    yield "a correct client", _safe(result.correct)
    late = "" if result.after_end_s is None else f", {result.after_end_s:.2f} s after the true end"
    truth = " or ".join(result.truth)
    yield "it said", _safe(f"{told_in_words(result)}{late}; the truth: {truth}")
    yield "the server saw", _safe(deeds_in_words(result))
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
