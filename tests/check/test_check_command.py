"""``comfyrec check`` and ``comfyrec scenarios`` as a person types them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from comfyrec.check.runner import filled_in
from comfyrec.cli import main
from fake_server.scenarios import catalogue

ROOT = Path(__file__).parents[2]
BOUND_S = 30.0
RIGHT = [sys.executable, "-m", "tests.specimens.right", "{url}", "{workflow}", "{out}"]
WRONG = [sys.executable, "-m", "tests.specimens.trusts_the_null", "{url}", "{workflow}"]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_a_right_client_keeps_all_and_the_status_is_0(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = "success,null-after-error,ws-silent,view-truncated,base-path"

    status = main(["check", "--jobs", "2", "--scenarios", chosen, "--json", "--", *RIGHT])

    found = json.loads(capsys.readouterr().out)
    assert status == 0
    assert {result["status"] for result in found["results"]} == {"kept"}
    assert found["summary"]["scenarios"] == 5


def test_a_wrong_client_fails_and_the_report_says_why(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    junit, page = tmp_path / "j.xml", tmp_path / "p.html"
    files = ["--junit", str(junit), "--html", str(page)]

    status = main(["check", "--scenarios", "A05,success", *files, "--", *WRONG])

    out, log = capsys.readouterr()
    assert status == 1
    assert "success (a lie)" in out
    assert "1. it says success where the truth is error (null-after-error)." in out
    assert "broken        null-after-error: K3: it said success, the truth is error" in log
    suites = ElementTree.parse(junit).getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    text = page.read_text(encoding="utf-8")
    assert "open-webui" in text
    assert "http" not in text.replace("https://github.com", "").replace("http://127", "")


def test_a_command_that_hangs_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    sleeper = [sys.executable, "-c", "import signal; signal.pause()"]

    status = main(["check", "--scenarios", "success", "--timeout", "0.5", "--json", "--", *sleeper])

    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert status == 1
    assert (result["ended"], result["status"]) == ("hung", "broken")


def test_what_a_client_prints_cannot_break_the_reports(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = r"print('\x1b]0;x\x07 </script> ]]> \x00 & <b>'); raise SystemExit(1)"
    junit, page = tmp_path / "j.xml", tmp_path / "p.html"
    files = ["--junit", str(junit), "--html", str(page)]

    main(["check", "--scenarios", "success", *files, "--", sys.executable, "-c", code])

    ElementTree.parse(junit)
    assert "<b>" not in page.read_text(encoding="utf-8")
    assert "\x1b" not in capsys.readouterr().out


def test_the_addresses_are_in_the_environment_and_keys_are_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = (
        "import os, sys, urllib.request;"
        "url = os.environ['COMFYUI_URL'];"
        "assert url == sys.argv[1] == os.environ['COMFY_BASE_URL'];"
        "assert url.endswith(':' + os.environ['COMFYUI_PORT']) and sys.argv[2] in url;"
        "urllib.request.urlopen(url + '/queue').read();"
        "print(sys.argv[3])"
    )
    argv = [sys.executable, "-c", code, "{url}", "{host}:{port}", "{token}"]

    main(["check", "--scenarios", "partner-unauthorized", "--json", "--", *argv])

    (result,) = json.loads(capsys.readouterr().out)["results"]
    said = {verdict["invariant"]: verdict["why"] for verdict in result["verdicts"]}
    assert result["outcome"] == "success"
    assert said["K9"] == "it showed a secret"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_ends_its_commands(number: int, tmp_path: Path) -> None:
    fifo = tmp_path / "pid"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    code = "import os, signal, sys\nopen(sys.argv[1], 'w').write(str(os.getpid()))\nsignal.pause()"
    command = [sys.executable, "-c", code, str(fifo)]
    checking = subprocess.Popen(
        [sys.executable, "-m", "comfyrec", "check", "--scenarios", "success", "--", *command],
        stderr=subprocess.DEVNULL,
    )

    select.select([reader], [], [], BOUND_S)
    pid = int(os.read(reader, 20))
    checking.send_signal(number)
    status = checking.wait(BOUND_S)
    os.close(reader)

    assert status == 130
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_only_known_places_are_filled_in() -> None:
    assert filled_in("{url}/x{y}{{url}}", {"url": "U"}) == "U/x{y}{U}"


MISUSES = {
    "no command": (["check"], "there is no command to check; write it behind '--'"),
    "no such command": (["check", "--", "/no/such"], "the command '/no/such' does not exist"),
    "no such scenario": (
        ["check", "--scenarios", "sucess", "--", "true"],
        "there is no scenario 'sucess'; did you mean 'success'?",
    ),
    "no such folder": (
        ["check", "--html", "/no/such/place.html", "--", "true"],
        "/no/such/place.html cannot be written (No such file or directory)",
    ),
    "scenarios": (["scenarios", "oomm"], "there is no scenario 'oomm'; did you mean 'oom'?"),
}


@pytest.mark.parametrize("argv, sentence", MISUSES.values(), ids=MISUSES)
def test_wrong_use_is_one_sentence_and_status_2(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(argv)

    said = capsys.readouterr().err.strip()
    assert status == 2
    assert said.startswith(f"comfyrec {argv[0]}: {sentence}")
    assert "\n" not in said


@pytest.mark.parametrize("flags", [["--jobs", "0"], ["--timeout", "x"], ["--speed", "-1"]])
def test_a_wrong_value_is_status_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *flags, "--", "true"]) == 2
    assert flags[1] in capsys.readouterr().err


def test_the_list_has_a_line_for_each_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios"]) == 0

    lines = capsys.readouterr().out.splitlines()
    for scenario in catalogue():
        assert any(f" {scenario.name} " in line and scenario.summary in line for line in lines)
    assert "reconnects" in lines


def test_one_scenario_is_shown_with_parameters_time_line_and_evidence(
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

    assert len(everything) == len(catalogue())
    assert one["parameters"]["parts"]["minimum"] == 2
    assert one["time_line"]


def test_both_run_as_a_module() -> None:
    argv = [sys.executable, "-m", "comfyrec", "check", "--scenarios", "success", "--", *RIGHT]

    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, timeout=60, check=False)

    assert ended.returncode == 0, ended.stderr
    assert b"1 scenarios: 1 kept" in ended.stdout
