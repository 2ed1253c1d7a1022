"""The benchmark of this room runs and reads back what it wrote."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from comfyrec import bench_adapter
from tests.support.paths import ROOT

pytestmark = pytest.mark.long

SCRIPT = ROOT / "benchmarks" / "cassette.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks_cassette", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_benchmark_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert loaded().main(["--quick", "--json"]) == 0

    tables = json.loads(capsys.readouterr().out)["tables"]
    assert {row["way"] for row in tables["session"]} >= {"comfyrec, packed", "sqlite3"}
    packed = next(row for row in tables["text events"] if row["way"] == "comfyrec, packed")
    assert packed["size_ratio"] < 0.2  # six times that of a long recording


def test_rows_come_back_as_they_went(tmp_path: Path) -> None:
    rows = loaded().session(2, 8)

    bench_adapter.write(tmp_path / "a", rows)

    assert [tuple(row) for row in bench_adapter.read(tmp_path / "a")] == rows
    assert bench_adapter.list(tmp_path / "a") == (len(rows), 0, rows[-1][0])
