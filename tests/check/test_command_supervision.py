"""Commands under supervision: they end, their output is bounded, and nothing of them is left."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from comfyrec.check import command
from comfyrec.check.command import KEEP_BYTES, find_command, run_command
from comfyrec.check.reported import Ran
from comfyrec.errors import UsageError

BOUND_S = 20.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "GRACE_S", 0.2)


def ran(code: str, *, timeout_s: float = BOUND_S) -> Ran:
    return run_command([sys.executable, "-c", code], env=os.environ, timeout_s=timeout_s)


def is_gone(pid: int) -> bool:
    """A process ends within the bound; its parent may be slow to take notice."""
    end = time.monotonic() + BOUND_S
    while time.monotonic() < end:
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] in "ZX":
            return True
        os.sched_yield()
    return False


def test_status_and_output_come_back() -> None:
    found = ran("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")

    assert (found.status, found.stdout, found.stderr) == (3, "out\n", "err\n")


def test_a_command_that_never_ends_is_stopped() -> None:
    found = ran("import signal; signal.pause()", timeout_s=0.3)

    assert found.status is None
    assert found.signal == ""


def test_a_command_that_ignores_sigterm_is_killed() -> None:
    code = "import signal; signal.signal(15, signal.SIG_IGN); print('on', flush=True)\nwhile 1: signal.pause()"  # noqa: E501

    found = ran(code, timeout_s=0.5)

    assert found.status is None
    assert found.stdout == "on\n"


def test_a_signal_that_was_not_ours_is_named() -> None:
    found = ran("import os; os.kill(os.getpid(), 11)")

    assert (found.status, found.signal) == (None, "SIGSEGV")


def test_endless_output_is_bounded_to_its_beginning_and_end() -> None:
    code = "import sys; sys.stdout.write('a' * 10**7); print('the end')"

    found = ran(code)

    assert len(found.stdout) < KEEP_BYTES + 100
    assert found.stdout.startswith("aaa")
    assert "bytes left out" in found.stdout
    assert found.stdout.endswith("the end\n")


def test_output_that_is_no_text_is_read_all_the_same() -> None:
    assert "\N{REPLACEMENT CHARACTER}" in ran("import os; os.write(1, bytes(range(256)))").stdout


CHILDREN = {
    "in its group": "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']); print(p.pid)",  # noqa: E501
    "in a session of its own": "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], start_new_session=True); print(p.pid)",  # noqa: E501
}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize("code", CHILDREN.values(), ids=CHILDREN)
def test_children_that_are_left_behind_are_ended(code: str) -> None:
    found = ran(code)

    assert found.status == 0
    assert is_gone(int(found.stdout))


def test_a_command_that_does_not_exist_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"^the command '/no/such/thing' does not exist"):
        find_command(["/no/such/thing"])


def test_a_file_that_is_no_program_is_one_sentence(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"\x00\x01")
    nothing.chmod(0o755)

    with pytest.raises(UsageError, match="cannot be started"):
        run_command([str(nothing)], env=os.environ, timeout_s=BOUND_S)
