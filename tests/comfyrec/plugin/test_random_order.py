"""Hundreds of tests that use the fixture pass in any order; each leaves nothing to the next.

``COMFYREC_FUZZ=deep`` runs them in twenty orders.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.lanes import examples
from tests.support.paths import ROOT

pytestmark = pytest.mark.long

ORDERS = examples(1, 20)
TESTS_MIN = 300


@pytest.mark.parametrize("seed", range(ORDERS))
def test_they_pass_in_random_order(seed: int) -> None:
    pytest.importorskip("pytest_randomly", reason="pytest-randomly is not installed")

    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *("-p", "pytest_randomly", f"--randomly-seed={seed}"),
            "tests/comfyrec/plugin/test_every_scenario.py",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    passed = re.search(r"=+ (\d+) passed in", ran.stdout)
    assert passed is not None, ran.stdout + ran.stderr
    assert int(passed[1]) >= TESTS_MIN
    assert f"--randomly-seed={seed}" in ran.stdout
