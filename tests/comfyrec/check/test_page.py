"""The page of a check: squares lead to the scenarios, and what a client printed is no markup."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from comfyrec.check.advice import fixes
from comfyrec.check.invariants import INVARIANTS, Verdict
from comfyrec.check.page import as_html
from comfyrec.check.render import Again
from comfyrec.check.result import summary_of
from comfyrec.check.story import Moment
from tests.comfyrec.check.test_render import result

AGAIN = Again(("python", "my client.py", "{url}"), ("--surface", "v2"))


def page(*results: Any, **more: Any) -> str:
    given = {"again": AGAIN, "style": "", **more}
    return as_html(results, summary_of(results), fixes(results), **given)


def test_each_square_leads_to_a_scenario_of_the_page() -> None:
    text = page(result("oom"), result("slow:by=2 s", status="pass", category="timing"))

    targets = re.findall(r'<a class="\w+" href="#([^"]+)"', text)

    assert len(targets) == 2
    assert targets == re.findall(r'<details class="[\w ]+" id="([^"]+)"', text)


def test_a_category_has_one_section_whatever_the_order() -> None:
    text = page(result("a"), result("b", category="timing"), result("c"))

    assert re.findall("<section><h2>(.*?)</h2>", text) == ["drift", "timing"]


def test_only_what_there_is_can_be_chosen() -> None:
    text = page(result("oom"), result("slow", status="not exercised"))

    assert re.findall(r'id="only-(\w+)"', text) == ["all", "fail", "idle"]


def test_a_failed_scenario_has_the_commands_that_play_it_again() -> None:
    failed = page(result("oom:at=2"))
    passed = page(result("oom:at=2", status="pass", verdicts=()))

    client = "python &#x27;my client.py&#x27; &#x27;{url}&#x27;"
    assert f"comfyrec check --surface v2 --scenarios oom:at=2 -- {client}</code>" in failed
    assert "<code>comfyrec serve --scenario oom:at=2</code>" in failed
    assert "comfyrec serve" not in passed


def test_a_failed_run_is_told_line_by_line() -> None:
    story = (Moment(0.0, "client", "GET /prompt: 200"), Moment(1.25, "prompt", "is over: <error>"))

    text = page(result("oom", story=story))

    assert text.count('<ol class="story"') == 1
    assert '<li class="client"><span class="dim">0.00 s</span><b>client</b>' in text
    assert "<span>is over: &lt;error&gt;</span>" in text
    assert '<ol class="story"' not in page(result("oom"))


def test_the_page_says_what_the_run_was_and_what_the_invariants_mean() -> None:
    text = page(result(took_s=1.25), about=("seed 7",))

    assert "seed 7 · 1.2 s" in text
    assert all(f'id="{name}"' in text for name in INVARIANTS)


@given(st.text(), st.text())
def test_whatever_a_client_prints_is_text_there(tail: str, why: str) -> None:
    odd = result(tail=tail, verdicts=(Verdict("K3", False, why),), last_words=why)

    text = page(odd, again=Again((why, tail)))

    assert "<script" not in text
    assert text.count("<details") == 1
