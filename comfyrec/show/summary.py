"""A story -> ten lines that answer the first questions: what happened, how long, what broke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from comfyrec.show.text import Line, duration, instant, line
from comfyrec.timeline.findings import Poll
from comfyrec.timeline.node_runs import NodeRun
from comfyrec.timeline.story import PromptStory, Story
from comfyrec.wording import plural, shortened_list

__all__ = ["OUTCOMES", "outcomes_in_words", "summary", "summary_json"]

SLOWEST_SHOWN: Final = 3
ERRORS_SHOWN: Final = 2
POLLS_SHOWN: Final = 2

OUTCOMES: Final = {
    "success": ("succeeded", "good"),
    "error": ("failed", "bad"),
    "interrupted": ("interrupted", "warn"),
    "deleted": ("deleted", "warn"),
    "": ("without an end", "warn"),
}
"""outcome -> (in words, style)."""


def outcomes_in_words(story: Story) -> Line:
    """``3 prompts: 1 succeeded, 2 failed``, each in its style."""
    counted = Counter(prompt.outcome for prompt in story.prompts)
    parts: list[str | tuple[str, str]] = [plural(len(story.prompts), "prompt")]
    told = [(f"{counted[key]} {words}", style) for key, (words, style) in OUTCOMES.items()
            if counted[key]]  # fmt: skip
    if story.refusals:
        told.append((f"{len(story.refusals)} refused", "bad"))
    for number, one in enumerate(told):
        parts += [": " if number == 0 else ", ", one]
    return line(*parts)


def summary(story: Story) -> list[Line]:
    """Name and value, a line each, outcome first; what there is nothing to say of is left out."""
    rows = [("outcome", outcomes_in_words(story)), *_rows(story)]
    width = max(len(name) for name, _ in rows)
    return [line((f"{name:<{width}}  ", "dim"), *value) for name, value in rows]


def _rows(story: Story) -> Iterator[tuple[str, Line]]:
    yield from _errors(story)
    if story.findings:
        yield "order", _findings(story)
    if slowest := _slowest(story):
        yield "slowest", line(slowest)
    yield "time", line(_times(story))
    if story.silences:
        longest = max(story.silences, key=lambda silence: silence.duration_us)
        during = f", while {longest.during}" if longest.during else ""
        yield "silence", line(f"{duration(longest.duration_us)} at most{during}")
    yield "ComfyUI", line(_server(story))
    yield "sockets", line(_sockets(story))
    yield "requests", line(_requests(story))


def _errors(story: Story) -> Iterator[tuple[str, Line]]:
    failed = [p for p in story.prompts if p.failure is not None]
    for prompt in failed[:ERRORS_SHOWN]:
        blocked = prompt.failure is not None and prompt.failure.blocked
        style = "warn" if blocked else "bad"
        yield (
            ("blocked" if blocked else "error"),
            line((_one_line(str(prompt.failure)), style), f" (prompt {prompt.prompt_id[:8]})"),
        )
    if len(failed) > ERRORS_SHOWN:
        yield "", line(f"and {len(failed) - ERRORS_SHOWN} more")
    for refusal in story.refusals[: max(ERRORS_SHOWN - len(failed), 0)]:
        yield "refused", line((f"{refusal.status or 'no answer'}: {refusal.words}", "bad"))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _findings(story: Story) -> Line:
    first = story.findings[0]
    more = f"; {len(story.findings) - 1} more" if len(story.findings) > 1 else ""
    return line((first.sentence, "bad" if first.severity == "breaks" else "warn"), more)


def _slowest(story: Story) -> str:
    """The nodes that took longest, those that were at work when the recording ended, the cache."""
    slow = [f"{run.name} {duration(run.duration_us)}" for _, run in story.slowest[:SLOWEST_SHOWN]]
    runs = [run for prompt in story.prompts for run in prompt.nodes]
    at_work = [
        f"{run.name} not over{_progress(run)}"
        for run in runs
        if run.t is not None and run.t_end is None
    ]
    cached = sum(run.cached for run in runs)
    # Which nodes a prompt has that did not end was not told to the end.
    of = f" of {len(runs)}" if all(prompt.outcome == "success" for prompt in story.prompts) else ""
    share = f"{cached}{of} {'nodes' if of or cached > 1 else 'node'} cached" if cached else ""
    return "; ".join(filter(None, [", ".join([*slow, *at_work[:SLOWEST_SHOWN]]), share]))


def _progress(run: NodeRun) -> str:
    return f" at {run.value:g} of {run.max:g}" if run.value is not None and run.max else ""


def _times(story: Story) -> str:
    waits = [p.queue_wait_us for p in story.prompts if p.queue_wait_us is not None]
    waited = f", queue wait up to {duration(max(waits))}" if waits else ""
    return f"{duration(story.duration_us)} from {instant(story.start_us)}{waited}"


def _server(story: Story) -> str:
    known = [story.server.get(key) for key in ("os", "python_version", "pytorch_version")]
    devices = story.server.get("devices") or ()
    facts = [str(fact).split()[0] for fact in known if fact] + [str(d) for d in devices if d]
    guessed = "" if story.version_stated else ", as far as its messages tell"
    return ", ".join([f"{story.version_in_words}{guessed}", *facts])


def _sockets(story: Story) -> str:
    if not story.sockets:
        return "none" if story.events else "none: nobody listened"
    told = [
        f"{s.name} received {plural(s.received, 'message')}"
        + (f" ({plural(s.previews, 'preview')})" if s.previews else "")
        for s in story.sockets
    ]
    return "; ".join(shortened_list(told, 3))


def _requests(story: Story) -> str:
    by_route: dict[str, list[Poll]] = {}
    for poll in story.polls:
        by_route.setdefault(poll.route, []).append(poll)
    told = [_polled(route, polls) for route, polls in by_route.items()]
    polled = shortened_list(told, POLLS_SHOWN)
    asked = str(story.requests)
    if story.events:
        asked += f"; {plural(story.events, 'event')} in answers that came in pieces"
    return "; polled: ".join(filter(None, [asked, "; ".join(polled)]))


def _polled(route: str, polls: Sequence[Poll]) -> str:
    count = plural(sum(poll.count for poll in polls), "time")
    where = f" at {len(polls)} addresses" if len(polls) > 1 else ""
    pause = duration(min(poll.interval_us for poll in polls))
    return f"{route} {count}{where}, every {pause}"


def summary_json(story: Story) -> dict[str, Any]:
    """What ``info --json`` adds to the counts; times in microseconds."""
    return {
        "outcomes": dict(Counter(p.outcome or "unknown" for p in story.prompts)),
        "refused": len(story.refusals),
        "errors": [_error_json(p) for p in story.prompts if p.failure is not None],
        "slowest": [
            {
                "node_id": run.node_id,
                "class_type": run.class_type,
                "title": run.title,
                "prompt_id": prompt.prompt_id,
                "duration_us": run.duration_us,
            }
            for prompt, run in story.slowest[:10]
        ],
        "findings": [finding.sentence for finding in story.findings],
        "polls": [{"route": p.route, "count": p.count} for p in story.polls],
        "server": story.server,
    }


def _error_json(prompt: PromptStory) -> dict[str, Any]:
    assert prompt.failure is not None, "only prompts that failed are asked"
    failure = prompt.failure
    return {
        "prompt_id": prompt.prompt_id,
        "node_id": failure.node_id,
        "class_type": failure.class_type,
        "exception_type": failure.exception_type,
        "message": failure.message,
    }
