"""Lines without what differs in each recording; ids keep apart."""

from __future__ import annotations

import pytest

from comfyrec.cassette.files import find_cassette
from comfyrec.cli import main
from comfyrec.show.stable import Stable

ONE, OTHER = "c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002"
LINES = {
    "number and time": ("     3      1.500000 #1 <- text x", "#1 <- text x"),
    "ids": (f"{ONE} {OTHER} {ONE}", "{id 1} {id 2} {id 1}"),
    "timestamps": ('{"timestamp": 1795218964682}', '{"timestamp": {time}}'),
    "ports": ("Host: 127.0.0.1:8188 | X: 1", "Host: {host} | X: 1"),
    "date": ("200 OK | Date: Fri, 20 Nov 2026 | X: 1", "200 OK | Date: {} | X: 1"),
    "key": ("Sec-WebSocket-Key: dGhlIHNhb== | X", "Sec-WebSocket-Key: {} | X"),
    "seeds and sizes stay": ('"seed": 123456, "width": 512', '"seed": 123456, "width": 512'),
}


@pytest.mark.parametrize("line, stable", LINES.values(), ids=LINES)
def test_a_line_is_stable(line: str, stable: str) -> None:
    assert Stable().line(line) == stable


def test_cat_stable_prints_stable_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cat", "--stable", find_cassette("execution-error")]) == 0

    out = capsys.readouterr().out
    assert "310f679b" not in out
    assert '"prompt_id": "{id 1}"' in out


def test_stable_json_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cat", "--stable", "--json", "execution-error"]) == 2
    assert "--stable is for lines of text" in capsys.readouterr().err
