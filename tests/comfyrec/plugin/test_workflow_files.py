"""Workflow files on a disk: which are read, which are said to be none, and what stands beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comfyrec.errors import UsageError, WorkflowError
from comfyrec.testing.workflow_files import LearnedFiles, learn_files
from comfyrec.versions import era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.storage.pictures import picture

FLOW = {"1": {"class_type": "Mine", "inputs": {"a": 1}}}


def learn(*paths: Path | str) -> LearnedFiles:
    return learn_files([str(path) for path in paths], Catalogue.core(), era_of())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "flow.json").write_text(json.dumps({"input": {"workflow": FLOW}}))
    (tmp_path / "settings.json").write_text("{}")
    png = picture(
        width=8,
        height=8,
        seed=1,
        text={"prompt": json.dumps({"1": {"class_type": "B", "inputs": {}}})},
    )
    (tmp_path / "made.png").write_bytes(png)
    (tmp_path / "plain.png").write_bytes(picture(width=8, height=8, seed=1))
    (tmp_path / "notes.txt").write_text("x")
    return tmp_path


def test_a_folder_is_read_with_all_below_it(folder: Path) -> None:
    found = learn(folder)

    assert sorted(found.learned.new) == ["B", "Mine"]
    assert [Path(one).name for one in found.skipped] == ["plain.png", "settings.json"]
    assert str(found).endswith("from 2 workflows; 2 files without a workflow")


def test_a_pattern_is_read_like_a_folder(folder: Path) -> None:
    assert learn(folder / "**" / "*.json").learned.new == ["Mine"]


NAMED = ["settings.json", "plain.png", "notes.txt"]


@pytest.mark.parametrize("name", NAMED)
def test_a_file_that_is_named_by_itself_must_hold_a_workflow(folder: Path, name: str) -> None:
    with pytest.raises(WorkflowError, match=name):
        learn(folder / name)


NOTHING: dict[str, tuple[str, str]] = {
    "a pattern": ("*.jsn", "no file fits this pattern"),
    "a file": ("nope.json", "No such file"),
    "an empty folder": ("empty", "holds no .json, .png or .webp file"),
    "a folder without workflows": ("none", "none of its files holds a workflow"),
}


@pytest.mark.parametrize("path, words", NOTHING.values(), ids=NOTHING)
def test_a_path_that_leads_to_nothing_is_said(tmp_path: Path, path: str, words: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.json").write_text("[]")

    with pytest.raises(UsageError, match=words):
        learn(tmp_path / path)


SIDECARS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "YAML": (
        "nodes.yaml",
        "Mine:\n  seconds: 2\n  failure: broken\n",
        {"seconds": 2, "raise": "broken"},
    ),
    "JSON": ("nodes.json", '{"Mine": {"outputs": {"text": ["a"]}}}', {"ui": {"text": ["a"]}}),
}


@pytest.mark.parametrize("name, text, plan", SIDECARS.values(), ids=SIDECARS)
def test_what_nodes_do_may_stand_beside_the_workflows(
    folder: Path, name: str, text: str, plan: dict[str, Any]
) -> None:
    (folder / name).write_text(text)

    assert learn(folder).class_plans == {"Mine": plan}


BROKEN: dict[str, tuple[str, str, str]] = {
    "YAML that is none": ("nodes.yaml", "a: [", "not valid YAML"),
    "JSON that is none": ("nodes.json", "{", "not valid JSON"),
    "a list": ("nodes.yaml", "- a", "give classes with their keys"),
    "an unknown key": ("nodes.yaml", "Mine: {secnds: 1}", "did you mean 'seconds'"),
    "a wrong value": ("nodes.yaml", "Mine: {seconds: -1}", "a number of seconds"),
}


@pytest.mark.parametrize("name, text, words", BROKEN.values(), ids=BROKEN)
def test_a_sidecar_that_cannot_be_used_is_said_with_its_name(
    folder: Path, name: str, text: str, words: str
) -> None:
    (folder / name).write_text(text)

    with pytest.raises(UsageError, match=words) as wrong:
        learn(folder)

    assert name in str(wrong.value)
