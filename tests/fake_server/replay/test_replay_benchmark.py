"""The benchmark of the replay runs."""

from __future__ import annotations

import importlib.util
import json

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

BENCHMARK = ROOT / "benchmarks" / "replay.py"


def test_the_benchmark_runs_and_names_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location("benchmark_of_replay", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    status = module.main(["--quick", "--json"])

    figures = json.loads(capsys.readouterr().out)
    assert status == 0
    assert {"late_ms", "frames_per_s", "frames_per_s_to_peer", "start_ms"} <= set(figures)
