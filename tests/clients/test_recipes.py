"""The recipes in ``docs/recipes``: each is run as its page says."""

from __future__ import annotations

import shutil

import pytest

from comfyrec.cli import main
from tests.support.paths import ROOT

RECIPES = ROOT / "docs" / "recipes"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_shell_recipe_passes(capfd: pytest.CaptureFixture[str]) -> None:
    status = main(["with", "--", "sh", str(RECIPES / "shell" / "test.sh")])

    out = capfd.readouterr().out
    assert out.splitlines() == ["ok a run that succeeds", "ok a node that fails"]
    assert status == 0
