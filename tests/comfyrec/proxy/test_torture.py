"""The shared torture tools against the command, and its cassette against their truth.

A small part of each tool; the whole of them is run by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from comfyrec.cassette.files import open_cassette
from tests.support.paths import SHARED
from tests.support.wire_truth import Wire, differences

pytestmark = pytest.mark.long

TOOLS = SHARED / "torture"
PARTS = {
    "fragments": ("ws_conformance.py", "3 fragments", ["--demand", "exact"]),
    "deflate": ("ws_conformance.py", "context takeover", ["--demand", "exact"]),
    "answers": ("http_conformance.py", "3 response chunked", []),
    "hostile": ("http_conformance.py", "6 hostile Content-Length", []),
}


@pytest.mark.skipif(not TOOLS.is_dir(), reason=f"the torture tools are not at {TOOLS}")
@pytest.mark.parametrize("tool, only, demand", PARTS.values(), ids=PARTS)
def test_nothing_is_lost_and_the_cassette_says_the_same_as_the_wire(
    tool: str, only: str, demand: list[str], tmp_path: Path
) -> None:
    cassette, truth = tmp_path / "wire.crec", tmp_path / "truth.jsonl"
    spawn = (
        f"{sys.executable} -m comfyrec record --listen 127.0.0.1:{{listen}} "
        f"--upstream http://127.0.0.1:{{upstream}} -o {cassette}"
    )

    done = subprocess.run(
        [sys.executable, TOOLS / tool, "--spawn", spawn, "--only", only, "--truth", truth, *demand],
        capture_output=True,
        text=True,
        timeout=60,
    )

    rows = [json.loads(line) for line in truth.read_text().splitlines()]
    assert done.returncode == 0, done.stdout
    assert "message-level only 0" in done.stdout
    with open_cassette(cassette) as records:
        assert differences(Wire(records), rows) == []
