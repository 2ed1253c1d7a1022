"""``comfyrec scenarios`` as a person types it."""

from __future__ import annotations

import json
import sys

import pytest

from comfyrec.cli import main
from fake_server.scenarios import catalogue, scenario_surfaces


def test_on_a_terminal_the_list_fits_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["scenarios"]) == 0

    out = capsys.readouterr().out
    text = " ".join(out.split())
    for scenario in [one for surface in scenario_surfaces() for one in catalogue(surface)]:
        assert f" {scenario.name} {' '.join(scenario.summary.split())}" in text
    assert max(map(len, out.splitlines())) <= 80
    assert "reconnects" in out.splitlines()


def test_in_a_pipe_each_scenario_is_one_whole_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios"]) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for scenario in [one for surface in scenario_surfaces() for one in catalogue(surface)]:
        row = f"{scenario.row} {scenario.name} {' '.join(scenario.summary.split())}".strip()
        assert row in lines


@pytest.mark.parametrize(
    "words, found, absent",
    [
        (["memory"], "execution-error", "ws-silent"),
        (["Silent", "socket"], "ws-silent", "nan-outputs"),
        (["comfyui#9393"], "ws-silent", "nan-outputs"),
    ],
)
def test_scenarios_are_searched_for_words(
    words: list[str], found: str, absent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scenarios", *words]) == 0
    listed = capsys.readouterr().out
    assert main(["scenarios", *words, "--json"]) == 0
    names = [one["name"] for one in json.loads(capsys.readouterr().out)]

    assert names and all(f" {name} " in listed for name in names)
    assert found in names and absent not in names
    assert f"{len(names)} scenario" in listed


def test_words_that_no_scenario_has_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "silent", "zebra"]) == 2

    assert "no scenario has 'silent' and 'zebra' in it; give fewer" in capsys.readouterr().err


def test_one_scenario_is_shown_with_parameters_timeline_and_evidence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["scenarios", "ws-silent:after=start"]) == 0

    page = capsys.readouterr().out
    assert 'after = "connect", here "start"' in page
    assert "<- execution_start" in page
    assert "A correct client asks the history" in page
    assert "Comfy-Org/ComfyUI#9393" in page
    assert "K2: " in page


def test_the_catalogue_is_there_for_machines_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios", "--json"]) == 0
    everything = json.loads(capsys.readouterr().out)
    assert main(["scenarios", "fragmented", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)

    assert len(everything) == sum(len(catalogue(one)) for one in scenario_surfaces())
    assert one["parameters"]["parts"]["minimum"] == 2
    assert one["timeline"]


def test_an_unknown_name_is_one_sentence_with_the_nearest_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["scenarios", "oomm"]) == 2

    said = capsys.readouterr().err
    assert said == "comfyrec scenarios: there is no scenario 'oomm'; did you mean 'oom'?\n"


def test_a_scenario_of_comfy_cloud_is_shown_on_its_routes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["scenarios", "cloud-error-fields"]) == 0

    page = capsys.readouterr().out
    assert "-> POST /api/prompt" in page
    assert "-> GET /api/job/{id}/status" in page
    assert '-               <- execution_error exception_type="ServiceError"' in page
