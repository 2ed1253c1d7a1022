"""What is published: the same bytes each time, small, with links that lead somewhere."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import comfyrec
from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WHEEL_BYTES_MAX = 3 << 20


def test_links_of_the_readme_are_absolute() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)

    assert [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link] == []


def test_the_version_is_the_same_everywhere() -> None:
    package = json.loads((ROOT / "clients/javascript/package.json").read_text("utf-8"))

    assert PROJECT["version"] == comfyrec.__version__ == package["version"]


@pytest.mark.long
@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="there is no hatchling")
def test_wheel_and_source_archive_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    first, again = (_built(tmp_path / name) for name in ("first", "again"))

    assert {path.name: _digest(path) for path in first} == {
        path.name: _digest(path) for path in again
    }
    wheel = next(path for path in first if path.suffix == ".whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < WHEEL_BYTES_MAX
    assert not [name for name in names if name.startswith(("tests", "docs")) or ".pyc" in name]
    assert any(name.startswith("comfyrec/_cassettes/") for name in names)
    with tarfile.open(next(path for path in first if path.suffix == ".gz")) as archive:
        inside = {name.partition("/")[2].partition("/")[0] for name in archive.getnames()}
    assert {"tests", "docs", "clients", "cassettes", "benchmarks", ".ci"} <= inside


def _built(folder: Path) -> list[Path]:
    """Build both from a copy of their own, as git would check it out."""
    source = folder / "source"
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, files.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder / "dist"],
        cwd=source, check=True, capture_output=True,
    )  # fmt: skip
    return sorted((folder / "dist").iterdir())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
