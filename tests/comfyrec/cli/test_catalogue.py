"""``comfyrec catalogue``: what workflows need as a file, and what is known of a class."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from comfyrec.cli import main

FLOW = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1}},
    "2": {"class_type": "ShowMe", "inputs": {"image": ["1", 0], "text": "x"}},
}


@pytest.fixture
def flow(tmp_path: Path) -> str:
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(FLOW))
    return str(path)


def test_what_was_learned_is_written_as_an_object_info(flow: str, tmp_path: Path) -> None:
    written = tmp_path / "info.json"

    status = main(["catalogue", "learn", flow, "-o", str(written)])

    info = json.loads(written.read_bytes())
    assert status == 0
    assert info["ShowMe"]["input"]["optional"]["image"] == ["IMAGE", {}]
    assert "KSampler" in info
    assert main(["catalogue", "show", "ShowMe", "--object-info", str(written)]) == 0


def test_a_file_that_is_there_is_not_replaced(
    flow: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "info.json").write_text("mine")

    status = main(["catalogue", "learn", flow, "-o", str(tmp_path / "info.json")])

    assert status == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "info.json").read_text() == "mine"


SHOWN = {
    "a class that is built in": (
        ["SaveImage"],
        "SaveImage (built in): gives IMAGE",
    ),
    "a choice": (["KSampler"], "  sampler_name: one of euler, "),
    "a class that was learned": (["ShowMe", "--learn", "FLOW"], "ShowMe (learned): gives"),
    "the classes of a workflow": (["FLOW"], "ShowMe: not in the catalogue"),
}


@pytest.mark.parametrize("arguments, line", SHOWN.values(), ids=SHOWN)
def test_it_says_what_is_known_and_where_from(
    arguments: list[str], line: str, flow: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["catalogue", "show", *(flow if one == "FLOW" else one for one in arguments)])

    out = capsys.readouterr().out
    assert status == 0
    assert line in out


def test_a_class_that_nobody_knows_is_said_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = main(["catalogue", "show", "KSamplr"])

    assert status == 2
    assert "'KSamplr' is not in the catalogue; did you mean 'KSampler'?" in capsys.readouterr().err
