"""The page as one file: its policy, no markup from what was recorded, colors that can be read."""

from __future__ import annotations

import base64
import re
from hashlib import sha256

import pytest

from comfyrec.show.page_data import PageRows, Seen, packed_rows
from comfyrec.show.page_file import PageFile, page_files
from comfyrec.timeline.live import Live
from tests.support.timeline_samples import Recording

EVIL = "</script><script>evil()</script><img src=x onerror=evil()>"


def page_of(recording: Recording, title: str = "t") -> str:
    written: list[bytes] = []
    file = PageFile(written.append, page_files(), title=title)
    live = Live()
    rows = PageRows(live, file, name=title, redacted=())
    for record in recording.end():
        rows.add(live.take(record))
    rows.finish()
    file.finish(packed_rows(rows, Seen(), whole=True), summary=title)
    html = b"".join(written)
    assert file.size == len(html)
    return html.decode()


def test_nothing_that_was_recorded_is_markup() -> None:
    recording = Recording()
    recording.upgrade(1, "a")
    recording.says(1, EVIL, prompt_id=EVIL, node=EVIL)

    html = page_of(recording, title=EVIL)

    assert "evil()</script>" not in html
    assert "<img src" not in html


def test_the_policy_lets_only_the_own_script_run_and_nothing_be_loaded() -> None:
    html = page_of(Recording())

    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    script = html.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", html)


def _luminance(color: str) -> float:
    parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


COLORS = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", page_files()["style.css"]
    )
}
ON = [("bg", name) for name in ("text", "dim", "accent", "good", "bad", "warn", "http", "client")]
ON += [("panel", name) for name in ("text", "dim", "good", "bad", "warn", "accent", "running")]
ON += [("chosen", name) for name in ("text", "bad", "good", "client")]
ON += [("node", "on-node"), ("bad", "on-node")]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground, ink", ON)
def test_colors_have_the_contrast_of_wcag_aa(ground: str, ink: str, theme: int) -> None:
    assert _contrast(COLORS[ground][theme], COLORS[ink][theme]) >= 4.5
