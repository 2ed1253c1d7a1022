"""One part of a recording -> why somebody will want to look at it, if anybody will."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from comfyrec.timeline import Timeline
from comfyrec.timeline.story import PromptStory, Story

__all__ = ["SILENCE_US", "Verdict", "judge"]

SILENCE_US: Final = 60_000_000
"""Nothing said for so long while a prompt waits or runs makes people think that it hangs."""
_CUTS: Final = frozenset({"cut", "unanswered"})
_SERVER_ERROR: Final = 500


class Verdict(msgspec.Struct, frozen=True):
    """What is wrong in a part; nothing, when there are no reasons."""

    reasons: tuple[str, ...] = ()
    """``error``, ``violation``, ``silence``, ``disconnect``, each at most once."""
    prompts: frozenset[str] = frozenset()
    """Ids of the prompts that it is about; empty: of the part as a whole."""


def judge(
    timeline: Timeline, story: Story, *, whole: bool, silence_us: int = SILENCE_US
) -> Verdict:
    """Whether there is an error, a violation, a silence or a disconnect.

    Args:
        timeline: of the part.
        story: of the same timeline.
        whole: False: the part was cut while prompts ran, so one without an end is fine.
        silence_us: how long nothing may be said while a prompt waits or runs.
    """
    found: dict[str, set[str]] = {}
    for reason, prompt_id in _reasons(timeline, story, whole=whole, silence_us=silence_us):
        found.setdefault(reason, set()).add(prompt_id)
    named = set().union(*found.values()) if found else set()
    return Verdict(tuple(sorted(found)), frozenset() if "" in named else frozenset(named))


def _reasons(
    timeline: Timeline, story: Story, *, whole: bool, silence_us: int
) -> Iterator[tuple[str, str]]:
    for prompt in story.prompts:
        if prompt.outcome == "error" or prompt.failure is not None:
            yield "error", prompt.prompt_id
        if whole and not prompt.outcome:
            yield "silence", prompt.prompt_id
        if any(_left(timeline, story, prompt)):
            yield "disconnect", prompt.prompt_id
    for refusal in story.refusals:
        if refusal.status is not None:
            yield "error", ""
    if any((exchange.status or 0) >= _SERVER_ERROR for exchange in timeline.exchanges):
        yield "error", ""
    for finding in story.findings:
        prompt_id = "" if finding.prompt is None else story.prompts[finding.prompt].prompt_id
        if finding.severity == "breaks":
            yield "violation", prompt_id
        elif finding.kind in _CUTS:
            yield "disconnect", prompt_id
    for silence in story.silences:
        if silence.duration_us >= silence_us and silence.during:
            yield "silence", ""


def _left(timeline: Timeline, story: Story, prompt: PromptStory) -> Iterator[bool]:
    """For each socket that was told about a prompt: whether it ended before the prompt did."""
    end = prompt.ended_us if prompt.ended_us is not None else story.duration_us
    for heard in prompt.heard:
        closing = timeline.sockets[heard.socket].closing
        yield closing is not None and closing.t - timeline.t < end
