"""The badge and the table for a README."""

from __future__ import annotations

from xml.etree import ElementTree

import msgspec
import pytest

from comfyrec.check.result import ScenarioResult, not_played, summary_of
from comfyrec.check.summaries import GREEN, GREY, RED, YELLOW, as_badge, as_markdown
from fake_server.scenarios import choose


def result(name: str, status: str) -> ScenarioResult:
    return msgspec.structs.replace(not_played(choose(name), ""), status=status)


@pytest.mark.parametrize(
    "statuses, words, color",
    [
        (["pass"] * 3, "3 of 3 passed", GREEN),
        (["pass"] * 9 + ["fail"], "9 of 10 passed", YELLOW),
        (["pass", "fail"], "1 of 2 passed", RED),
        (["pass", "not exercised"], "1 of 1 passed", GREEN),
        (["not exercised"], "none run", GREY),
    ],
)
def test_a_badge_says_how_many_of_those_that_were_met_passed(
    statuses: list[str], words: str, color: str
) -> None:
    badge = as_badge(summary_of([result("success", status) for status in statuses]))

    image = ElementTree.fromstring(badge)
    assert image.get("aria-label") == f"ComfyUI scenarios: {words}"
    assert color in badge
    assert int(image.get("width") or 0) > 150


def test_a_table_has_a_row_for_each_category_and_names_what_fails() -> None:
    results = [
        result("success", "pass"),
        result("ws-silent", "fail"),
        result("half-open", "fail"),
        result("binary-previews:kinds=1|4", "error"),
        result("view-404", "not exercised"),
    ]

    assert as_markdown(results).splitlines() == [
        "| scenarios | passed | failed | not exercised | fails in |",
        "|---|--:|--:|--:|---|",
        "| normal | 1 | 0 | 0 |  |",
        "| silence | 0 | 2 | 0 | `ws-silent`, `half-open` |",
        "| binary | 0 | 1 | 0 | `binary-previews:kinds=1\\|4` |",
        "| outputs | 0 | 0 | 1 |  |",
        "| all | 1 | 3 | 1 |  |",
    ]
