"""What all commands have in common: the width of what they print, and an early Ctrl-C."""

from __future__ import annotations

import subprocess
import sys

import pytest

from comfyrec.cli import COMMANDS, INTERRUPTED, info, main

COLUMNS = 80
LISTS = {
    "versions": ["serve", "--comfyui-version", "list"],
    "changes": ["drift", "0.3.10", "0.27.0"],
    "a scenario": ["scenarios", "ws-silent"],
    "a scenario with long parameters": ["scenarios", "output-kinds"],
    "a scenario of v2": ["scenarios", "v2-sse-zombie"],
    "the commands": ["--help"],
    **{command: [command, "--help"] for command in COMMANDS},
}


@pytest.mark.slow
@pytest.mark.parametrize("command", LISTS.values(), ids=LISTS)
def test_what_is_printed_fits_80_columns(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    main(command)

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 3
    assert [line for line in lines if len(line) > COLUMNS] == []


def test_an_interrupt_while_a_command_reads_its_flags_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(parser: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "add_arguments", interrupted)

    assert main(["info", "image-only"]) == INTERRUPTED
    assert capsys.readouterr() == ("", "")


INTERRUPTED_IMPORT = """
import os, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            {interrupt}

sys.meta_path.insert(0, Interrupts())
sys.argv = ["comfyrec", "info", "image-only"]
from comfyrec.__main__ import entry
entry()
"""


@pytest.mark.slow
@pytest.mark.parametrize("interrupt", ["raise KeyboardInterrupt", "os.kill(os.getpid(), 2)"])
@pytest.mark.parametrize("name", ["comfyrec.cli", "comfyrec.cli.info", "comfyrec.cassette.files"])
def test_an_interrupt_while_it_loads_is_no_traceback(name: str, interrupt: str) -> None:
    code = INTERRUPTED_IMPORT.format(name=name, interrupt=interrupt)

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)

    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


@pytest.mark.slow
def test_where_interrupts_are_ignored_they_stay_so() -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    code += INTERRUPTED_IMPORT.format(name="comfyrec.cli.info", interrupt="os.kill(os.getpid(), 2)")

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"image-only" in done.stdout
