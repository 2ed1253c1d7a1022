"""``comfyrec with``: the command finds the server, its status is ours, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from comfyrec.cli import main
from tests.support.paths import ROOT

ASKS = (
    "import os, urllib.request as u;"
    "print(u.urlopen(os.environ['COMFYUI_URL'] + '/system_stats').status)"
)


def with_command(*words: str) -> int:
    return main(["with", *words])


@pytest.mark.slow
def test_the_command_finds_the_server_and_is_quiet_when_it_is_fine(
    capfd: pytest.CaptureFixture[str],
) -> None:
    status = with_command("--", sys.executable, "-c", ASKS)

    assert (status, capfd.readouterr()) == (0, ("200\n", ""))


@pytest.mark.slow
def test_the_status_of_the_command_is_ours_and_the_journal_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    status = with_command("--", sys.executable, "-c", f"{ASKS}; raise SystemExit(7)")

    assert status == 7
    assert "-> GET /system_stats" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("when", "code", "printed"), [("always", 0, True), ("never", 1, False), ("fail", 0, False)]
)
def test_the_journal_is_printed_when_asked_for(
    when: str, code: int, printed: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    status = with_command(
        "--journal", when, "--", sys.executable, "-c", f"raise SystemExit({code})"
    )

    assert status == code
    assert ("the server saw" in capfd.readouterr().err) == printed


def test_a_signal_that_ends_the_command_is_its_status() -> None:
    code = f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"

    assert with_command("--journal", "never", "--", sys.executable, "-c", code) == 128 + 9


def test_scenario_and_cassette_are_what_the_server_does(capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "import os, urllib.request as u;"
        "print(u.urlopen(os.environ['COMFYUI_URL'] + '/__fake__/').read().decode())"
    )

    status = with_command(
        "--scenario", "ws-silent", "--cassette", "all-cached", "--", sys.executable, "-c", code
    )

    out = capfd.readouterr().out
    assert status == 0
    assert '"cassette": "all-cached"' in out
    assert "ws-silent" in out


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are adopted on Linux only")
def test_what_the_command_leaves_behind_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "pid"

    status = with_command("--", "sh", "-c", f"sleep 60 & echo $! > {file}")

    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)
    assert status == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_a_signal_is_passed_on_to_the_command() -> None:
    code = (
        "import signal, sys, time;"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print('up', flush=True);"
        "signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-m", "comfyrec", "with", "--", sys.executable, "-c", code],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()

    assert process.returncode == 5


REFUSED = {
    "no command": ([], "write it after '--'"),
    "a command that is not there": (["--", "no-such-command"], "'no-such-command' does not exist"),
    "an unknown scenario": (["--scenario", "sucess", "--", "true"], "did you mean 'success'?"),
    "a cassette that is not there": (["--cassette", "none.crec", "--", "true"], "none.crec"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_said_in_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, words = REFUSED[name]

    status = with_command(*arguments)

    err = capsys.readouterr().err
    assert status == 2
    assert words in err
    assert err.count("\n") == 1
