"""The benchmark of decoding runs and has a row for every way."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "decode.py"


@pytest.mark.long
def test_the_benchmark_of_decoding_prints_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    tables = json.loads(done.stdout)["tables"]
    assert all("comfyrec" in rows for rows in tables.values())
    assert tables["bytes kept"]["comfyrec"]["bytes"] < tables["bytes kept"]["json"]["bytes"]
