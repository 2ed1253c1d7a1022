"""The files for CI and containers: their steps run here, without a daemon or a hosted runner."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from comfyrec.client.address import address_variables
from tests.support.paths import ROOT

CI = ROOT / "docs" / "ci"
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")


def instruction(name: str) -> list[str]:
    """The words of an instruction that has the form of a JSON list."""
    found = re.search(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found is not None
    words: list[str] = json.loads(found[1])
    return words


COMMAND = [*instruction("ENTRYPOINT"), *instruction("CMD")]


def test_the_image_serves_outside_and_is_not_root() -> None:
    assert COMMAND == ["comfyrec", "serve", "--host", "0.0.0.0", "--print", "json"]
    assert re.search(r"^USER \d{4,}$", DOCKERFILE, re.MULTILINE)
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert all((ROOT / name[1:]).exists() for name in ignored if name.startswith("!"))


def _write_nothing() -> None:
    """As a read-only file system: no byte goes into any file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@contextmanager
def container() -> Iterator[int]:
    """The image's command, with nothing to write to and no home; gives its port."""
    with subprocess.Popen(
        [sys.executable, "-m", *COMMAND, "--port", "0"],
        cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=_write_nothing,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
        finally:
            process.terminate()
    assert process.returncode == 0


@pytest.mark.long
def test_the_image_s_command_needs_no_file_and_its_health_check_tells_its_state() -> None:
    python, flag, program = re.findall(r'"(python)", "(-c)", "(.*)"\]', DOCKERFILE)[0]
    assert (python, flag) == ("python", "-c")

    with container() as port:
        check = [sys.executable, flag, program.replace("8188", str(port))]
        assert subprocess.run(check).returncode == 0
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/queue") as answer:
            assert json.load(answer) == {"queue_running": [], "queue_pending": []}

    assert subprocess.run(check, stderr=subprocess.DEVNULL).returncode != 0


@pytest.mark.long
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_action_starts_exports_keeps_the_journal_and_stops(tmp_path: Path) -> None:
    program = tmp_path / "comfyrec"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m comfyrec "$@"\n')
    program.chmod(0o755)
    env = {
        **os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT), "RUNNER_TEMP": str(tmp_path / "temp"),
        "GITHUB_ENV": str(tmp_path / "env"), "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_ACTION_PATH": str(ROOT),
    }  # fmt: skip
    steps = [step["run"] for step in ACTION["runs"]["steps"] if "run" in step][1:]

    def step(command: str, **more: str) -> None:
        subprocess.run(["bash", "-ec", command], env={**env, **more}, check=True, timeout=60)

    step(steps[0], SCENARIO="ws-silent:after=start", CASSETTE="", COMFYUI_VERSION="0.3.64")
    exported = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    step(steps[1], COMMAND='curl -sS --fail "$COMFYUI_URL/queue" >/dev/null', **exported)
    step(steps[2], **exported)

    assert exported == address_variables(exported["COMFYUI_URL"])
    assert (tmp_path / "output").read_text() == f"url={exported['COMFYUI_URL']}\n"
    journal = json.loads((tmp_path / "temp/comfyrec/journal.json").read_text())
    assert "/queue" in [entry.get("target") for entry in journal["entries"]]
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(exported["COMFYUI_URL"])


@pytest.mark.parametrize("file", sorted(CI.glob("*.y*ml")), ids=lambda file: file.name)
def test_a_snippet_is_yaml_and_speaks_to_the_port_of_the_image(file: Path) -> None:
    assert yaml.safe_load(file.read_text("utf-8"))
    assert ":8188" in file.read_text("utf-8")
    assert "EXPOSE 8188" in DOCKERFILE
