from __future__ import annotations

from pathlib import Path
from typing import Any

from comfyrec.flight.keeping import RECENT, Keeping, Part, Policy
from comfyrec.flight.verdict import Verdict

BAD = Verdict(("error",), frozenset({"p"}))
MINUTE = 60_000_000


class Desk:
    """Parts of 100 bytes, one a minute."""

    def __init__(self, folder: Path, **policy: Any) -> None:
        self.said: list[str] = []
        self.chances = iter((0.5, 0.005, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5))
        self.keeping = Keeping(
            folder, Policy(**policy), chance=lambda: next(self.chances), say=self.said.append
        )
        self.folder, self.now = folder, 0

    def begin(self, *carried: str, name: str = "") -> Part:
        path = self.folder / RECENT / (name or f"{self.now // MINUTE:03}.crec")
        path.write_bytes(b"x" * 100)
        part = Part(path=path, began_us=self.now, carried=frozenset(carried))
        self.keeping.begin(part)
        self.now += MINUTE
        return part

    def finish(self, part: Part, verdict: Verdict = Verdict()) -> None:  # noqa: B008 - frozen
        part.ended_us = self.now
        self.keeping.finished(part, verdict, self.now)

    def part(self, *carried: str, verdict: Verdict = Verdict()) -> None:  # noqa: B008 - frozen
        self.finish(self.begin(*carried), verdict)

    @property
    def kept(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.crec"))

    @property
    def recent(self) -> list[str]:
        return sorted(path.stem for path in (self.folder / RECENT).glob("*.crec"))


def test_failed_parts_stay_and_others_go_after_a_while(tmp_path: Path) -> None:
    desk = Desk(tmp_path, failed=True, recent_us=2 * MINUTE)
    for number in range(6):
        desk.part(verdict=BAD if number == 1 else Verdict())

    assert desk.kept == ["001"]
    assert desk.recent == ["004", "005"]
    assert (desk.keeping.kept, desk.keeping.removed) == (1, 3)
    assert desk.said == ["kept 001.crec: error"]


def test_the_sample_is_by_chance(tmp_path: Path) -> None:
    desk = Desk(tmp_path, sample=0.01)
    for _ in range(4):
        desk.part()

    assert desk.kept == ["001"]


def test_the_beginning_of_a_failed_prompt_stays_with_its_end(tmp_path: Path) -> None:
    desk = Desk(tmp_path, failed=True, recent_us=0)
    first = desk.begin()
    second = desk.begin("p", "q")
    desk.finish(first)
    third = desk.begin("p")
    desk.finish(second)
    assert desk.recent == ["000", "001", "002"]

    desk.finish(third, BAD)

    assert desk.kept == ["000", "001", "002"]


def test_a_part_whose_prompts_ended_well_is_not_held(tmp_path: Path) -> None:
    desk = Desk(tmp_path, failed=True, recent_us=0)
    first = desk.begin()
    second = desk.begin("q")
    desk.finish(first)
    desk.finish(second, BAD)
    desk.part()

    assert desk.kept == ["001"]
    assert desk.recent == []


def test_keep_recent_keeps_what_is_still_there_and_what_is_being_written(tmp_path: Path) -> None:
    desk = Desk(tmp_path, failed=True)
    desk.part()
    writing = desk.begin()
    names = desk.keeping.keep_recent()
    desk.finish(writing)
    desk.part()

    assert [name.stem for name in names] == desk.kept == ["000", "001"]


def test_the_bound_takes_recent_parts_first_and_says_what_else_goes(tmp_path: Path) -> None:
    desk = Desk(tmp_path, failed=True, disk_bytes_max=350)
    desk.part(verdict=BAD)
    desk.part()
    desk.part()
    desk.part(verdict=BAD)
    assert (desk.kept, desk.recent) == (["000", "003"], ["002"])

    for _ in range(3):
        desk.part(verdict=BAD)

    assert desk.kept == ["004", "005", "006"]
    assert desk.recent == []
    assert desk.keeping.dropped == 2
    assert sum("had to go" in sentence for sentence in desk.said) == 2
    assert desk.keeping.bytes == 300


def test_what_an_earlier_recorder_kept_counts_and_numbers_go_on(tmp_path: Path) -> None:
    (tmp_path / "20260101T000000Z-00041.crec").write_bytes(b"x" * 50)

    desk = Desk(tmp_path, everything=True)

    assert (desk.keeping.bytes, desk.keeping.numbered) == (50, 41)
