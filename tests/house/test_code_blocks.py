"""Every block of code in the documentation is run, or marked as an illustration.

On a page of ``docs/tutorials`` a block with a title is a file, and a ``sh`` block is run in the
folder of these files, in the order of the page. ``<!-- exit 1 -->`` before it says how it ends.
Everywhere else the line before a block that no test runs is ``<!-- illustration -->``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.paths import ROOT

TUTORIALS = ROOT / "docs" / "tutorials"
WRITTEN = [
    ROOT / "README.md",
    ROOT / "clients" / "javascript" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[\w ]+) -->\n)?^```(?P<kind>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
INDENTED = re.compile(r"(?:^<!-- (?P<mark>[\w ]+) -->\n)?\n^ {4}(?![ *-])\S", re.MULTILINE)


class Block(NamedTuple):
    """One block of code."""

    mark: str
    kind: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(*(group or "" for group in found.groups())) for found in BLOCK.finditer(text)]


def is_run(page: Path, block: Block) -> bool:
    """Whether a test runs it: which one is said beside each."""
    if page.parent == TUTORIALS:
        return bool(block.title) or block.kind == "sh"  # below
    if page.parent == ROOT / "docs" / "recipes":
        return block.kind == "sh"  # tests/clients/test_recipes.py
    if page == ROOT / "README.md":
        # .ci/run, tests/examples, and the parsers in test_documents.py
        return block.kind == "python" or block in blocks(page)[:2]
    return False


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_block_is_run_or_marked_as_an_illustration(page: Path) -> None:
    unmarked = [
        block.text.splitlines()[0]
        for block in blocks(page)
        if not is_run(page, block) and block.mark != "illustration"
    ]

    assert unmarked == []


@pytest.mark.long
@pytest.mark.parametrize("page", sorted(TUTORIALS.glob("*.md")), ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_says(page: Path, tmp_path: Path) -> None:
    if page.stem == "typescript":
        _with_vitest(tmp_path)
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, start in (("comfyrec", "-m comfyrec"), ("python", "")):
        program = bin_folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {start} "$@"\n')
        program.chmod(0o755)
    env = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    env |= {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "-p no:cacheprovider"}

    for block in blocks(page):
        if block.mark == "illustration":
            continue
        if block.title:
            (tmp_path / block.title).write_text(block.text)
            continue
        done = subprocess.run(
            ["bash", "-ec", block.text],
            cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        expected = int(block.mark.removeprefix("exit ") or 0)
        assert done.returncode == expected, f"{block.text}\n{done.stdout}{done.stderr}"


def _with_vitest(folder: Path) -> None:
    """The packages of the page, where they are at hand: nothing is downloaded here."""
    home = os.environ.get("COMFYREC_VITEST")
    if home is None or shutil.which("npx") is None:
        pytest.skip("name a folder where 'npm install vitest comfyrec' ran with COMFYREC_VITEST")
    (folder / "node_modules").symlink_to(Path(home) / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
