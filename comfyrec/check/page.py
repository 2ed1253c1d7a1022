"""results -> one HTML page that needs no other file, and runs no script.

An overview of small squares, one a scenario, that jump; a choice of what is listed; what to fix
first; each scenario with what the client did and the commands that play it again, and the story of
each run that failed; what the invariants say. Whatever a client printed is text there, and the
page's policy lets nothing run and nothing be loaded.
"""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from comfyrec.check.advice import Fix
from comfyrec.check.invariants import INVARIANTS, truth_in_words
from comfyrec.check.render import (
    Again,
    clean,
    count_in_words,
    reported_in_words,
    reproduction,
    traffic_in_words,
    where_seen,
    why_in_words,
)
from comfyrec.check.result import ScenarioResult, Summary
from comfyrec.check.story import Moment
from comfyrec.show.page_file import hash_of

__all__ = ["as_html"]

_LOOKS: Final = {"pass": "pass", "fail": "fail", "error": "error", "not exercised": "idle"}
_MARKS: Final = {"pass": "✓", "fail": "✕", "error": "!", "idle": "–"}
_CHOICES: Final = {
    "all": "all",
    "fail": "failed",
    "error": "could not be played",
    "idle": "not exercised",
    "pass": "passed",
}


def as_html(
    results: Sequence[ScenarioResult],
    summary: Summary,
    fixes: Sequence[Fix],
    *,
    again: Again,
    style: str,
    about: Sequence[str] = (),
) -> str:
    """The page.

    Args:
        results: of all scenarios that were run.
        summary: of them.
        fixes: what to fix, the first one first.
        again: what the check was told, for the lines that play a case again.
        style: the text of ``show/page/check.css``.
        about: of the run, such as its seed; a few words each.
    """
    listed = "".join(f"<li>{_fix(fix, again)}</li>" for fix in fixes)
    squares = "".join(map(_square, results))
    groups: dict[str, list[ScenarioResult]] = {}
    for result in results:
        groups.setdefault(result.category, []).append(result)
    sections = "".join(
        f"<section><h2>{_safe(category)}</h2>"
        f"{''.join(_details(result, again) for result in some)}</section>"
        for category, some in groups.items()
    )
    legend = "".join(
        f'<dt id="{name}">{name}</dt><dd>A correct client {_safe(words)}.</dd>'
        for name, words in INVARIANTS.items()
    )
    policy = f"default-src 'none'; style-src '{hash_of(style)}'; base-uri 'none'"
    took = f"{sum(result.took_s for result in results):.1f} s"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>comfyrec check</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>comfyrec check: {_safe(count_in_words(summary))}</h1>\n"
        f"<p><code>{_safe(shlex.join(again.command))}</code></p>\n"
        f'<p class="dim">{_safe(" · ".join([*about, took]))}</p>\n'
        f'<ul class="squares" aria-label="Scenarios">{squares}</ul>\n'
        f"{f'<h2>Fix first</h2>{chr(10)}<ol>{listed}</ol>{chr(10)}' if listed else ''}"
        f"{_choice(results)}\n{sections}\n"
        f"<h2>What the invariants say</h2>\n<dl>{legend}</dl>\n</main>\n</body>\n</html>\n"
    )


def _square(result: ScenarioResult) -> str:
    look = _LOOKS[result.status]
    words = f"{result.name}: {result.status}"
    return (
        f'<li><a class="{look}" href="#{_anchor(result)}" title="{_safe(words)}" '
        f'aria-label="{_safe(words)}">{_MARKS[look]}</a></li>'
    )


def _choice(results: Sequence[ScenarioResult]) -> str:
    """Radio buttons of which results are listed: those that would list something."""
    there = {"all", *(_LOOKS[result.status] for result in results)}
    buttons = "".join(
        f'<label><input type="radio" name="only" id="only-{look}"'
        f"{' checked' if look == 'all' else ''}> {words}</label>"
        for look, words in _CHOICES.items()
        if look in there
    )
    return f"<fieldset><legend>Listed are</legend>{buttons}</fieldset>"


def _fix(fix: Fix, again: Again) -> str:
    lines = (
        f"{_safe(fix.cause)}.",
        f"<small>{_safe(where_seen(fix))}</small>",
        f"A correct client {_safe(fix.correct)}.",
        f"<code>{_safe(reproduction(fix, again))}</code>",
    )
    return "<br>".join(lines)


def _details(result: ScenarioResult, again: Again) -> str:
    facts = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in _facts(result, again))
    story = "".join(map(_moment, result.story))
    told = f'<ol class="story" aria-label="What happened">{story}</ol>' if story else ""
    tail = f'<pre tabindex="0">{_safe(result.tail)}</pre>' if result.tail.strip() else ""
    opened = " open" if result.status == "fail" else ""
    return (
        f'<details class="result {_LOOKS[result.status]}" id="{_anchor(result)}"{opened}>'
        f'<summary><span class="mark">{result.status}</span>'
        f'<span class="name">{_safe(result.name)}</span>'
        f"<span>{_safe(why_in_words(result))}</span></summary><dl>{facts}</dl>{told}{tail}</details>"
    )


def _moment(moment: Moment) -> str:
    return (
        f'<li class="{moment.who}"><span class="dim">{moment.at_s:.2f} s</span>'
        f"<b>{moment.who}</b><span>{_safe(moment.words)}</span></li>"
    )


def _facts(result: ScenarioResult, again: Again) -> Iterable[tuple[str, str]]:
    row = f" ({_safe(result.row)})" if result.row else ""
    yield "what goes wrong", f"{_safe(result.summary)}{row}"
    yield "a correct client", _safe(result.correct)
    late = result.after_end_s
    when = "" if late is None else f", {late:.2f} s after the prompt ended"
    truth = truth_in_words(result.truth)
    yield "it reported", _safe(f"{reported_in_words(result)}{when}; {truth}")
    yield "the server saw", _safe(f"{traffic_in_words(result)}; it took {result.took_s:.2f} s")
    if result.evidence:
        yield "evidence", "; ".join(map(_linked, result.evidence))
    if result.status in ("fail", "error"):
        yield (
            "to play it again",
            "<br>".join(f"<code>{_safe(line)}</code>" for line in _both(result, again)),
        )


def _both(result: ScenarioResult, again: Again) -> Iterator[str]:
    yield again.with_scenario(result.name)
    if result.row:  # a recording has none, and its name is not one that serve knows
        yield f"comfyrec serve --scenario {shlex.quote(result.name)}"


def _anchor(result: ScenarioResult) -> str:
    return "s-" + re.sub(r"[^\w.-]+", "-", clean(result.name))


_THREAD = re.compile(r"^([\w.-]+/[\w.-]+)#(\d+)$")


def _linked(evidence: str) -> str:
    found = _THREAD.match(evidence)
    if found is None:
        return _safe(evidence)
    address = f"https://github.com/{found[1]}/issues/{found[2]}"
    return f'<a href="{_safe(address)}">{_safe(evidence)}</a>'


def _safe(text: str) -> str:
    return html.escape(clean(text))
