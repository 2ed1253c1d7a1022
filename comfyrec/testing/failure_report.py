"""The journal of a server -> what the report of a failing test tells: one line of diagnosis, and
the story of what happened, in virtual time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from comfyrec.show.narrative import bars
from comfyrec.show.summary import outcomes_in_words
from comfyrec.show.text import plain
from comfyrec.testing.journal_records import JournalRecords
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import Story, tell
from comfyrec.wording import plural

__all__ = ["diagnosis", "story_lines", "story_of_journal"]

_FINDINGS_SHOWN: Final = 10


def story_of_journal(entries: Iterable[Mapping[str, Any]]) -> Story:
    """The story that a journal tells; what it has cut off or forgotten is missing."""
    return tell(Timeline.build(JournalRecords().feed(entries)), whole=False)


def story_lines(story: Story) -> Iterator[str]:
    """Prompts as bars, then what is out of order."""
    yield plain(outcomes_in_words(story))
    yield from (plain(one) for one in bars(story) if one)
    for finding in story.findings[:_FINDINGS_SHOWN]:
        yield f"!! {finding.sentence}"


def diagnosis(story: Story, *, to_nobody: int = 0) -> str:
    """The most likely reason why a test that saw this has failed; ``""`` if nothing stands out.

    Args:
        story: what happened.
        to_nobody: messages that the server had for a client without a socket.
    """
    lost = f"; {plural(to_nobody, 'frame')} went to nobody" if to_nobody else ""
    for finding in story.findings:
        if finding.kind == "unheard":
            return f"{finding.sentence}{lost}"
    for prompt in story.prompts:
        if prompt.client_id is None:
            short = prompt.prompt_id[:8]
            return f"prompt {short} was posted without a client_id: no socket hears how it ends"
    if story.refusals:
        return f"POST /prompt was refused: {story.refusals[0].words}"
    for prompt in story.prompts:
        if prompt.failure is not None and not prompt.failure.blocked:
            words = " ".join(str(prompt.failure).split())
            return f"prompt {prompt.prompt_id[:8]} failed: {words}"
    if story.findings:
        return story.findings[0].sentence
    return f"{plural(to_nobody, 'frame')} went to nobody" if to_nobody else ""
