"""``comfyrec demo``: what it says, and what it takes for a difference."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from comfyrec.cassette.files import open_cassette
from comfyrec.cli import main
from comfyrec.cli.demo import Seen, compare
from comfyrec.client.result import Result

PROMPT, CLIENT = "0c1b0c1b-9a0f-4a54-8f5e-3c2f1d0b7a66", "5d6e"


def run_of(
    *types: str, prompt_id: str = PROMPT, outcome: Any = "success", pictures: tuple[bytes, ...] = ()
) -> Seen:
    told: list[Any] = [
        SimpleNamespace(
            type=kind,
            client_id=CLIENT,
            message=None if kind == "submitted" else f"{kind} of {prompt_id}",
        )
        for kind in types
    ]
    return Seen(told, Result(prompt_id=prompt_id, outcome=outcome), [*pictures])


START, END = "execution_start", "execution_success"
USUAL = ("submitted", "status", START, "executing", END)


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(run_of(*USUAL), id="the same"),
        pytest.param(run_of(*USUAL, prompt_id="9" * 36), id="another prompt_id"),
        pytest.param(run_of("submitted", START, "executing", END), id="no status in time"),
        pytest.param(
            run_of("submitted", "feature_flags", START, "status", "executing", END),
            id="flags that came late",
        ),
        pytest.param(run_of(*USUAL, "status", "executing"), id="more behind the end"),
    ],
)
def test_runs_that_say_the_same_of_the_prompt_are_equal(again: Seen) -> None:
    assert compare(run_of(*USUAL), again) == []


@pytest.mark.parametrize(
    ("again", "said"),
    [
        (run_of("submitted", START, END), "3 events were recorded, 2 replayed"),
        (run_of("submitted", "executing", START, END), "event 1: execution_start of <prompt_id> "),
        (run_of(*USUAL, outcome="lost"), "outcome success became lost"),
        (run_of(*USUAL, pictures=(b"other",)), "the pictures differ"),
    ],
)
def test_each_difference_is_named(again: Seen, said: str) -> None:
    assert any(line.startswith(said) for line in compare(run_of(*USUAL), again))


@pytest.mark.slow
def test_it_records_replays_and_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "demo.crec"

    status = main(["demo", "-o", str(path)])

    said, complained = capsys.readouterr()
    assert (status, complained) == (0, "")
    assert "events equal, in the same order" in said and str(path) in said
    with open_cassette(path) as cassette:
        assert len([*cassette]) > 50 and not cassette.problems


def test_it_overwrites_nothing_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "kept.jsonl"
    path.write_text("mine")

    status = main(["demo", "-o", str(path)])

    assert status == 2
    assert capsys.readouterr().err == (
        f"comfyrec demo: {path} exists already; give another name, or --overwrite\n"
    )
    assert path.read_text() == "mine"


def test_a_persons_own_workflow_is_what_is_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = tmp_path / "flow.json"
    flow.write_text(
        '{"1": {"class_type": "MyPicture", "inputs": {"seed": 1}},'
        ' "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}}}'
    )

    status = main(["demo", "--learn", str(flow), "-o", str(tmp_path / "demo.jsonl")])

    out = capsys.readouterr().out
    assert status == 0
    assert out.startswith("Learned 1 new class, ")
    assert f"Running {flow}." in out
    assert "Recorded one run of 2 nodes through the proxy: success." in out
