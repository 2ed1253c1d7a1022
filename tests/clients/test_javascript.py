"""The npm package in ``clients/javascript``: its types are up to date, and its own tests pass."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "clients" / "javascript"
COMPILER = PACKAGE / "node_modules" / ".bin" / "tsc"


def test_the_types_are_those_of_the_schemas() -> None:
    made = runpy.run_path(str(PACKAGE / "make_types.py"))["files"]()

    stale = [path.name for path, text in made.items() if path.read_text("utf-8") != text]

    assert stale == [], "run python clients/javascript/make_types.py"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
@pytest.mark.skipif(not COMPILER.exists(), reason="run 'npm install' in clients/javascript")
def test_the_package_compiles_and_passes_its_tests(tmp_path: Path) -> None:
    program = tmp_path / "comfyrec"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m comfyrec "$@"\n')
    program.chmod(0o755)
    built = PACKAGE / "build-test" / tmp_path.name
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COMFYREC": str(program)}

    try:
        compiled = subprocess.run(
            [COMPILER, "--project", "tsconfig.test.json", "--outDir", built],
            cwd=PACKAGE, capture_output=True, text=True,
        )  # fmt: skip
        ran = subprocess.run(
            ["node", "--test", built / "test"], cwd=PACKAGE, capture_output=True, text=True, env=env
        )
    finally:
        shutil.rmtree(built, ignore_errors=True)

    assert compiled.returncode == 0, compiled.stdout
    assert ran.returncode == 0, ran.stdout


JS_BUGS = ("any_null_is_success", "parses_strictly", "waits_for_success")


@pytest.mark.long
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
@pytest.mark.skipif(not COMPILER.exists(), reason="run 'npm install' in clients/javascript")
def test_a_client_in_javascript_is_fuzzed(tmp_path: Path) -> None:
    built = PACKAGE / "build-test" / tmp_path.name
    node = [
        "node",
        "--no-warnings",
        "--experimental-websocket",
        str(built / "fuzzed" / "client.js"),
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def fuzzed(bug: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "comfyrec", "fuzz", *options, "--", *node, bug]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    try:
        subprocess.run(
            [COMPILER, "--project", "tsconfig.test.json", "--outDir", built],
            cwd=PACKAGE, check=True,
        )  # fmt: skip
        right = fuzzed("right", "--examples", "30")
        wrong = {bug: fuzzed(bug) for bug in JS_BUGS}
    finally:
        shutil.rmtree(built, ignore_errors=True)

    assert right.returncode == 0, right.stdout
    assert {bug: ran.returncode for bug, ran in wrong.items()} == dict.fromkeys(JS_BUGS, 1)
    assert all("Found in example" in ran.stdout for ran in wrong.values())
