"""Commands under supervision: they end, their output is bounded, and nothing of them is left."""

from __future__ import annotations

import os
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfyrec.check import command
from comfyrec.check.client_report import Ran
from comfyrec.check.command import KEEP_BYTES, find_command, run_command
from comfyrec.check.process_tree import adopting_orphans, children_of
from comfyrec.errors import UsageError

pytestmark = pytest.mark.long

BOUND_S = 20.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "GRACE_S", 0.2)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No thread, no descriptor and no child more than before, whatever the command did."""
    before = threads_and_descriptors()
    yield
    assert threads_and_descriptors() == before


def threads_and_descriptors() -> tuple[int, int, list[int]]:
    descriptors = Path("/proc/self/fd")
    count = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    return threading.active_count(), count, children_of(os.getpid())


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


FLOODS = {
    "text": "b'garbage ' * 8192",
    "bytes that are no text": "bytes(range(256)) * 256",
    "one endless line of an outcome": """b'{"comfyrec": {"outcome": "' * 4096""",
}


@pytest.mark.parametrize("piece", FLOODS.values(), ids=FLOODS)
def test_output_without_end_is_held_in_bounded_memory(piece: str) -> None:
    code = f"import os\npiece = {piece}\nwhile True: os.write(1, piece); os.write(2, piece)"
    tracemalloc.start()

    found = ran(code, timeout_s=0.6)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.status is None
    assert "bytes left out" in found.stdout
    assert "bytes left out" in found.stderr
    assert peak < 20 * KEEP_BYTES


def test_output_that_is_no_text_is_read_all_the_same() -> None:
    assert "\N{REPLACEMENT CHARACTER}" in ran("import os; os.write(1, bytes(range(256)))").stdout


SLEEPS = "[sys.executable, '-c', 'import signal; signal.pause()']"
CHILDREN = {
    "in its group": f"p = subprocess.Popen({SLEEPS}); print(p.pid)",
    "in a session of its own": f"""
p = subprocess.Popen({SLEEPS}, start_new_session=True)
print(p.pid)
""",
    "that holds on to the output and ignores SIGTERM": """
p = os.fork()
if p: print(p, flush=True); os._exit(0)
signal.signal(15, signal.SIG_IGN)
while True: signal.pause()
""",
    "a daemon: two forks, a session of its own, no streams": """
here, there = os.pipe()
if os.fork():
    print(os.read(here, 20).decode(), flush=True)
    os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
for number in range(3): os.close(number)
os.write(there, str(os.getpid()).encode())
signal.pause()
""",
    "that cleared its environment": f"""
p = subprocess.Popen({SLEEPS}, env={{}}, start_new_session=True, stdout=subprocess.DEVNULL)
print(p.pid, flush=True)
signal.pause()
""",
}  # fmt: skip


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize("code", CHILDREN.values(), ids=CHILDREN)
def test_children_that_are_left_behind_are_ended(code: str) -> None:
    found = ran(f"import os, signal, subprocess, sys\n{code}", timeout_s=2.0)

    assert is_gone(int(found.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_an_orphan_that_nothing_can_tell_by_is_adopted_and_ended() -> None:
    code = f"""
import os, signal, subprocess, sys
here, there = os.pipe()
if os.fork():
    print(os.read(here, 20).decode(), flush=True)
    os._exit(0)
p = subprocess.Popen({SLEEPS}, env={{}}, start_new_session=True, stderr=subprocess.DEVNULL)
os.write(there, str(p.pid).encode())
os._exit(0)
"""
    with adopting_orphans():
        found = ran(code)

    assert found.status == 0
    assert is_gone(int(found.stdout))


def test_a_command_is_stopped_when_the_check_is() -> None:
    stop = threading.Event()
    code = "import os, sys\nos.close(1)\nwhile True: pass"
    timer = threading.Timer(0.2, stop.set)
    timer.start()

    found = run_command([sys.executable, "-c", code], env=os.environ, timeout_s=BOUND_S, stop=stop)
    timer.join()

    assert found.status is None
    assert found.took_s < BOUND_S


def test_a_command_that_does_not_exist_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"^the command '/no/such/thing' does not exist"):
        find_command(["/no/such/thing"])


def test_a_file_that_is_no_program_is_one_sentence(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.write_bytes(b"\x00\x01")
    nothing.chmod(0o755)

    with pytest.raises(UsageError, match="cannot be started"):
        run_command([str(nothing)], env=os.environ, timeout_s=BOUND_S)
