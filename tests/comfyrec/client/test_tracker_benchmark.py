"""The benchmark of the tracker runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "tracker.py"


@pytest.mark.slow
def test_the_benchmark_of_the_tracker_prints_its_figures():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert set(json.loads(done.stdout)) >= {
        "decoding_us",
        "silent_beyond_decoding_us",
        "telling_beyond_decoding_us",
    }
