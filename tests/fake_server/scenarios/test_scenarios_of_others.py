"""A package of somebody else's brings its own scenarios; nothing of ours is touched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
CLIENT = """
import json, sys, urllib.request
url, workflow = sys.argv[1:]
body = json.dumps({"prompt": json.load(open(workflow))}).encode()
prompt_id = json.load(urllib.request.urlopen(url + "/prompt", body))["prompt_id"]
while prompt_id not in json.load(urllib.request.urlopen(url + "/history/" + prompt_id)): pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What an installation of the page's example leaves behind."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    ((group, points),) = tomllib.loads(text)["project"]["entry-points"].items()
    installed(tmp_path, code, group, points)
    (tmp_path / "client.py").write_text(CLIENT)
    return tmp_path


def installed(folder: Path, code: str, group: str, points: dict[str, str]) -> None:
    package, about = folder / "mypackage", folder / "mypackage-1.0.dist-info"
    package.mkdir()
    about.mkdir()
    (package / "__init__.py").write_text("")
    (package / "scenarios.py").write_text(code)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (about / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))


def comfyrec(project: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(project), str(ROOT)])}
    return subprocess.run(
        [sys.executable, "-m", "comfyrec", *argv],
        cwd=project,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_is_listed_shown_and_checked(project: Path) -> None:
    listed = comfyrec(project, "scenarios")
    shown = comfyrec(project, "scenarios", "chatty-extension:messages=2")
    checking = ["check", "--scenarios", "chatty-extension", "--"]
    checked = comfyrec(project, *checking, sys.executable, "client.py", "{url}", "{workflow}")

    assert "chatty-extension" in listed.stdout
    assert "messages = 5, here 2   integer from 1 to 1000" in shown.stdout
    assert shown.stdout.count("<- myextension.log") == 2
    assert checked.returncode == 0, checked.stderr
    assert "chatty-extension" in checked.stdout


def test_a_wrong_parameter_of_it_is_refused_like_ours(project: Path) -> None:
    refused = comfyrec(project, "scenarios", "chatty-extension:messages=0")

    assert refused.returncode == 2
    assert "parameter 'messages' is 0: expected a whole number >= 1" in refused.stderr


BROKEN = {
    "raises": ("raise RuntimeError('no')", "cannot be loaded: RuntimeError: no; mend or"),
    "is none": ("CHATTY = lambda: 3", "gives a int; it has to be a Scenario"),
    "has a name of ours": (
        "from fake_server.scenarios import find; CHATTY = find('success')",
        "gives a scenario 'success', which there is already; rename it",
    ),
}


@pytest.mark.parametrize("code, words", BROKEN.values(), ids=BROKEN)
def test_one_that_is_broken_is_named_in_one_sentence(code: str, words: str, tmp_path: Path) -> None:
    points = {"chatty": "mypackage.scenarios:CHATTY"}
    installed(tmp_path, code, "comfyrec.scenarios", points)

    said = comfyrec(tmp_path, "scenarios")

    assert said.returncode == 2
    assert (
        f"the entry point 'chatty = {points['chatty']}' (comfyrec.scenarios) {words}" in said.stderr
    )
    assert "Traceback" not in said.stderr


def test_ours_are_found_whatever_others_bring(tmp_path: Path) -> None:
    installed(tmp_path, "raise RuntimeError", "comfyrec.scenarios", {"x": "mypackage.scenarios:X"})

    assert comfyrec(tmp_path, "scenarios", "success").returncode == 0
