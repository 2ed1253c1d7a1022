"""The timeline in the report of a failing test."""

from __future__ import annotations

from comfyrec.testing.journal_lines import LINE_MAX, REPORT_LINES_MAX, timeline_lines


def test_the_timeline_of_a_report_is_bounded() -> None:
    entries = [
        {"t": n, "what": "request", "method": "GET", "target": "x" * 999} for n in range(999)
    ]

    lines = timeline_lines(entries)

    assert len(lines) == REPORT_LINES_MAX + 1
    assert lines[REPORT_LINES_MAX // 2].endswith(f"... {999 - REPORT_LINES_MAX} more ...")
    assert max(map(len, lines)) == LINE_MAX
    assert lines[-1].startswith("       1.0ms  -> GET xxx")
