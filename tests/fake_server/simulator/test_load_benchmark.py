"""The benchmark of full queues and deaf clients runs, and what it measures is bounded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "load.py"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc"),
]


def test_the_benchmark_of_load_prints_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    found = json.loads(done.stdout)
    assert found["queue"]["prompts"] == 201
    assert found["queue"]["drained_per_s"] > 0
    assert found["deaf"]["pushed_mb"] > 0
