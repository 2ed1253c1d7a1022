"""The benchmark of the plugin runs, and its figures are what they say."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.long

SCRIPT = ROOT / "benchmarks" / "plugin.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_of_the_plugin", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_run_with_the_fixture_is_measured(script: ModuleType) -> None:
    assert script.run("comfyui, ", ("-p", "comfyrec.pytest_plugin"), 2) > 0


def test_each_further_test_is_the_slope_over_empty_ones(script: ModuleType) -> None:
    taken = {
        "nothing": [1.0, 1.0, 1.1],
        "comfyui": [1.3, 1.3, 1.6],
        "unused": [1.01, 1.0, 1.1],
    }

    figures = script.figures(taken, many=110)

    assert figures["plugin unused"] == pytest.approx(0.01)
    assert figures["comfyui, first use"] == pytest.approx(0.3)
    assert figures["comfyui, each test"] == pytest.approx(0.002)
