"""The benchmarks of the replay run."""

from __future__ import annotations

import importlib.util
import json

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("replay", {"late_ms", "frames_per_s", "frames_per_s_to_peer", "start_ms"}),
        ("bodies", {"upload_to_peer", "view_to_peer", "own_to_peer", "extra_mb"}),
    ],
)
def test_the_benchmark_runs_and_names_its_figures(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    named: set[str],
) -> None:
    path = ROOT / "benchmarks" / f"{name}.py"
    monkeypatch.syspath_prepend(str(path.parent))
    spec = importlib.util.spec_from_file_location(f"benchmark_of_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    status = module.main(["--quick", "--json"])

    figures = json.loads(capsys.readouterr().out)
    assert status == 0
    assert named <= set(figures)
