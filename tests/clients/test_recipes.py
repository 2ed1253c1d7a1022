"""The recipes in ``docs/recipes``: each is run as its page says, where its tools are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

RECIPES = ROOT / "docs" / "recipes"
PAGE = (RECIPES / "README.md").read_text("utf-8")
COMMANDS = dict(re.findall(r"^## (\w+#?)\n.*?^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
# Language -> the tools it needs, and what its runner says when all is well.
RUN = {
    "Go": (["go"], r"ok\s+recipe"),
    "Rust": (["cargo"], r"test result: ok\. 3 passed"),
    "Java": (["javac", "java"], r"\Aok a run that succeeds\nok a node that fails\nok a prompt"),
    "Shell": (["curl"], r"ok a run that succeeds\nok a node that fails"),
}


def test_every_recipe_of_the_page_is_run_or_said_not_to_be() -> None:
    not_run = set(re.findall(r"^## (\S+)\n[^#]*?This one is not run by our CI", PAGE, re.MULTILINE))

    assert set(COMMANDS) == set(RUN) | not_run
    assert {path.name for path in RECIPES.iterdir() if path.is_dir()} == {
        name.lower().replace("#", "sharp") for name in COMMANDS
    }


@pytest.mark.long
@pytest.mark.parametrize("language", RUN)
def test_a_recipe_passes(language: str, tmp_path: Path) -> None:
    tools, words = RUN[language]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"there is no {' and no '.join(missing)}")
    shutil.copytree(RECIPES, tmp_path / "docs/recipes")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        ["bash", "-ec", COMMANDS[language]],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "CARGO_NET_OFFLINE": "true", "GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(words, done.stdout), done.stdout + done.stderr
