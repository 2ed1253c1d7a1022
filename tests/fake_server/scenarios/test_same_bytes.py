"""Name, parameters and seed say every byte: in another process and with another hash seed too."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fake_server.scenarios import names
from tests.support.paths import ROOT
from tests.support.scenario_digests import digest_of

pytestmark = pytest.mark.long

BOUND_S = 60.0
VARIED = [
    "stale-burst:age_s=2", "execution-error:shape=dict,tips=true", "profile:0.3.10",
    "partly-cached:cached=1,run=3", "binary-previews:kinds=1|4", "queued-behind:ahead=2",
]  # fmt: skip


def in_another_process(hash_seed: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.support.scenario_digests", "3", *names(), *VARIED]
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)


def test_all_scenarios_are_the_same_byte_for_byte_in_two_processes() -> None:
    both = [in_another_process("1"), in_another_process("4242")]

    first, second = (one.communicate(timeout=BOUND_S)[0].splitlines() for one in both)

    assert [line.partition(" ")[0] for line in first] == [*names(), *VARIED]
    assert first == second


@pytest.mark.parametrize("text", ["success", "stale-burst", "all-cached", "view-404"])
def test_another_seed_gives_other_bytes(text: str) -> None:
    assert digest_of(text, 3) != digest_of(text, 4)


def test_a_parameter_gives_other_bytes() -> None:
    assert digest_of("fragmented:parts=2", 3) != digest_of("fragmented:parts=4", 3)
