"""The benchmark still runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.long

SCRIPT = ROOT / "benchmarks" / "proxy.py"
STATIC_FILES = ROOT / "benchmarks" / "static_files.py"
KNOWN_SECRETS = ROOT / "benchmarks" / "known_secrets.py"


def test_the_benchmark_of_the_proxy_runs_and_tells_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--quick", "--json"], capture_output=True, text=True, timeout=60
    )

    found = json.loads(done.stdout)
    assert len(found) == 4
    assert all(set(row) == {"relay", "comfyrec", "aiohttp"} for row in found.values())
    assert all(row["relay"]["x relay"] == 1 for row in found.values())


def test_the_benchmark_of_static_files_runs_and_tells_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, STATIC_FILES, "--quick", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    found = json.loads(done.stdout)
    assert {"script_to_picture", "page_to_picture", "script_wait_ms", "page_wait_ms"} <= set(found)
    assert found["picture_ms"] > 0


def test_the_benchmark_of_known_secrets_runs_and_tells_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, KNOWN_SECRETS, "--quick", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    found = json.loads(done.stdout)
    kinds = ["picture", "binary", "previews", "script", "page", "json", "text", "logs", "progress"]
    assert {f"{kind}_{part}" for kind in kinds for part in ("recorder", "redactor")} <= set(found)
