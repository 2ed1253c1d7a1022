"""The benchmark of the server runs; its figures are nobody's business here."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.paths import ROOT

FILE = ROOT / "benchmarks" / "server.py"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not Path("/proc/self/schedstat").exists(), reason="CPU time is read from /proc"
    ),
]


@pytest.fixture(scope="module")
def benchmark_of_the_server() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_of_the_server", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_measure_gives_its_figures(
    benchmark_of_the_server: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = benchmark_of_the_server

    @contextmanager
    def in_this_process(kind: str) -> Iterator[tuple[int, int]]:
        with bench.here(kind) as port:
            yield os.getpid(), port

    monkeypatch.setattr(bench, "server", in_this_process)

    starts = bench.Starts()
    starts.measure(3)
    starts.measure(3)
    assert starts.found()["cpu_ms_median"] > 0
    assert bench.measure_push(2, 40, 1)["ratio"] > 0
    assert bench.measure_cycles(4, 1)["ratio"] > 0
    assert bench.measure_idle(3)["sockets"] == 3
