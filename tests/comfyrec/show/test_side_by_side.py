"""Several recordings in one page: nothing recorded is markup, and frames only run their script."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from comfyrec.cli import main
from comfyrec.show.page_file import page_files
from comfyrec.show.side_by_side import SidePage, side_by_side

EVIL = '</script><script>evil()</script>"><img src=x onerror=evil()>'


def test_nothing_that_was_recorded_is_markup() -> None:
    pages = [SidePage(EVIL, EVIL.encode(), EVIL), SidePage("b", b"<p>b</p>", "b")]

    html = side_by_side(pages, page_files()).decode()

    assert "evil()</script>" not in html and "<img" not in html
    assert base64.b64encode(EVIL.encode()).decode() in html
    assert html.count("<iframe sandbox=") == 2


def test_the_policy_lets_only_the_scripts_of_the_page_and_its_frames_run() -> None:
    html = side_by_side([SidePage("a", b"", "")], page_files()).decode()

    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert re.search(r"script-src 'sha256-\S+' 'sha256-\S+';", policy)
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_several_recordings_make_one_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "both.html"

    assert main(["view", "all-cached", "partly-cached", "-o", str(page)]) == 0

    assert f"wrote {page}" in capsys.readouterr().out
    assert page.read_text("utf-8").count("<iframe") == 2


def test_too_many_and_served_ones_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", *["all-cached"] * 5]) == 2
    assert "have no room beside each other" in capsys.readouterr().err
    assert main(["view", "all-cached", "partly-cached", "--serve"]) == 2
    assert "--serve shows one recording" in capsys.readouterr().err
