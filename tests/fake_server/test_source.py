"""The protocol of sources: what one without state answers, and what a wrapper passes on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pytest

from comfyrec.errors import UsageError
from comfyrec.timeline import Timeline
from fake_server.source import PARTS, Action, Happened, Source, Wake, Woke, Wrapper

TIMELINE = Timeline()


class Plain(Source):
    """A source that only acts."""

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        yield Wake(now + 1)


class Talkative(Plain):
    """A source that has an answer of its own for everything."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.stepping = False

    def facts(self) -> Mapping[str, Any]:
        return {"prompts": 3}

    def reset(self, parts: Collection[str]) -> None:
        self.forgotten += parts

    def step_by_frame(self, on: bool) -> None:
        self.stepping = on

    @property
    def complaints(self) -> Sequence[str]:
        return ["nothing came"]

    @property
    def timeline(self) -> Timeline | None:
        return TIMELINE


def test_a_wrapper_passes_everything_on() -> None:
    inner = Talkative()
    outer = Wrapper(Wrapper(inner))

    outer.reset(["history"])
    outer.step_by_frame(True)

    assert list(outer.handle(Woke(), 4)) == [Wake(5)]
    assert outer.facts() == {"prompts": 3}
    assert inner.forgotten == ["history"]
    assert inner.stepping
    assert outer.complaints == ["nothing came"]
    assert outer.timeline is TIMELINE


def test_a_source_without_state_has_nothing_to_say() -> None:
    source = Plain()

    source.step_by_frame(True)

    assert (source.facts(), source.complaints, source.timeline) == ({}, (), None)


def test_a_source_without_state_forgets_nothing_when_nothing_is_named() -> None:
    Wrapper(Plain()).reset([])


@pytest.mark.parametrize("part", PARTS)
def test_a_source_says_what_it_cannot_forget_by_itself(part: str) -> None:
    with pytest.raises(UsageError, match=f"cannot forget its {part} by itself; start it anew"):
        Wrapper(Plain()).reset([part])
