"""``comfyrec convert`` turns a workflow of the page into one that a server runs."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from comfyrec.cli import main
from fake_server.server.clock import MAX
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer
from tests.support.paths import ROOT

PAGES = ROOT / "tests" / "comfyrec" / "workflows" / "pages"


@pytest.fixture
def page(tmp_path: Path) -> tuple[Path, Path, dict[str, Any]]:
    """A workflow file, the classes of its server, and the prompt that the page sends."""
    case = json.loads((PAGES / "nested-subgraphs.json").read_text(encoding="utf-8"))
    workflow, classes = tmp_path / "ui.json", tmp_path / "object_info.json"
    workflow.write_text(json.dumps(case["workflow"]), encoding="utf-8")
    full = {
        name: {"output": [], "output_node": False, **entry}
        for name, entry in case["classes"].items()
    }
    classes.write_text(json.dumps(full), encoding="utf-8")
    return workflow, classes, case["prompt"]


def test_a_workflow_of_the_page_becomes_a_prompt(
    page: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    workflow, classes, prompt = page
    output = tmp_path / "api.json"

    status = main(["convert", str(workflow), "-o", str(output), "--object-info", str(classes)])

    assert status == 0
    assert json.loads(output.read_text(encoding="utf-8")) == prompt


def test_classes_that_nobody_knows_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workflow = tmp_path / "ui.json"
    workflow.write_text('{"nodes": [{"id": 1, "type": "Odd"}], "links": []}', encoding="utf-8")

    status = main(["convert", str(workflow), "-o", str(tmp_path / "api.json")])

    assert status == 0
    assert "nothing is known of Odd" in capsys.readouterr().err


def test_values_without_a_name_are_said_with_the_way_to_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workflow, output = tmp_path / "ui.json", tmp_path / "api.json"
    nodes = [
        {"id": 1, "type": "Odd", "widgets_values": ["a cat", 7]},
        {"id": 2, "type": "Even", "inputs": [{"name": "text", "widget": {"name": "text"}}],
         "widgets_values": ["a dog"]},
    ]  # fmt: skip
    workflow.write_text(json.dumps({"nodes": nodes, "links": []}), encoding="utf-8")

    main(["convert", str(workflow), "-o", str(output)])

    said = capsys.readouterr().err
    assert "values of Odd have no names in it" in said
    assert "--object-info" in said
    assert json.loads(output.read_bytes())["2"]["inputs"] == {"text": "a dog"}


REFUSED = {
    "not a workflow": ('{"a": 1}', [], "there is no workflow in it"),
    "two workflows": (
        '[{"1": {"class_type": "A"}}, {"1": {"class_type": "B"}}]',
        [],
        "it holds 2 workflows ([0], [1])",
    ),
    "object_info for a recording": ("", ["--to", "har", "--object-info", "x"], "for workflows"),
}


@pytest.mark.parametrize("content, flags, sentence", REFUSED.values(), ids=REFUSED)
def test_a_file_that_cannot_be_converted_is_one_sentence(
    content: str,
    flags: list[str],
    sentence: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "odd.json"
    file.write_text(content, encoding="utf-8")

    status = main(["convert", str(file), "-o", str(tmp_path / "out.json"), *flags])

    assert status == 2
    assert sentence in capsys.readouterr().err


def test_a_workflow_of_the_page_is_run_as_the_page_would_send_it(
    page: tuple[Path, Path, dict[str, Any]],
) -> None:
    workflow, _, prompt = page

    with serve(SimulatedServer(), speed=MAX) as handle:
        status = main(["run", str(workflow), "--server", handle.url, "--yes", "--no-progress"])
        with urllib.request.urlopen(f"{handle.url}/history", timeout=10) as answer:
            (entry,) = json.load(answer).values()

    sent = entry["prompt"][2]
    assert status == 0
    assert {key: node["class_type"] for key, node in sent.items()} == {
        key: node["class_type"] for key, node in prompt.items()
    }
    assert sent["7:6:3"]["inputs"] == prompt["7:6:3"]["inputs"]
