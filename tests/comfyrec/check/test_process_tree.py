"""The processes of a command: who they are and how much memory they take."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from comfyrec.check.process_tree import ProcessTree, children_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")

MIB = 1024 * 1024
HOARD = f"x = b'x' * (64 * {MIB})"
# Each process says that it has come so far with one write, which no other one can come between.
SAY = "os.write(1, b'taken' + bytes([10])); signal.pause()"


@contextmanager
def running(code: str, *, lines: int) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process, once it and its children have written so many lines."""
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            assert [process.stdout.readline() for _ in range(lines)] == [b"taken\n"] * lines
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


PARENT = f"""
import os, signal, subprocess, sys
code = "import os, signal; {HOARD}; {SAY}"
children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
for child in children: child.wait()
"""


def test_memory_is_measured_together_with_that_of_children() -> None:
    with running(PARENT, lines=2) as process:
        tree = ProcessTree(process.pid, "no mark")

        tree.look(1.0)

    assert [second for second, _ in tree.memory] == [1.0]
    assert tree.memory[0][1] > 128 * MIB


def test_memory_is_noted_only_when_it_has_risen() -> None:
    with running(f"import os, signal; {HOARD}; {SAY}", lines=1) as process:
        tree = ProcessTree(process.pid, "no mark")
        tree.look(1.0)
        before = list(tree.memory)

        tree.look(2.0)

    assert before
    assert tree.memory[: len(before)] == before
    assert all(size > before[-1][1] for _, size in tree.memory[len(before) :])


def test_a_tree_is_ended_with_its_children() -> None:
    with running(PARENT, lines=2) as process:
        tree = ProcessTree(process.pid, "no mark")
        tree.look(1.0)
        children = children_of(process.pid)

        tree.kill()

        assert len(children) == 2
        assert process.stdout is not None
        assert process.stdout.read() == b""  # it ends when nobody can write any more


def test_a_process_that_has_ended_takes_no_memory() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    tree = ProcessTree(ended.pid, "no mark")
    tree.look(1.0)

    assert tree.memory == []
