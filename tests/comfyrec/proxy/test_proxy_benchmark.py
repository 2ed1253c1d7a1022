"""The benchmark still runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.long

SCRIPT = ROOT / "benchmarks" / "proxy.py"


def test_the_benchmark_of_the_proxy_runs_and_tells_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--json"], capture_output=True, text=True, timeout=60
    )

    found = json.loads(done.stdout)
    assert len(found) == 4
    assert all(set(row) == {"relay", "comfyrec", "aiohttp"} for row in found.values())
    assert all(row["relay"]["x relay"] == 1 for row in found.values())
