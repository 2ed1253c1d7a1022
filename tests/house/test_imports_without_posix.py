"""Where a system has less than POSIX, importing still works: only what needs more fails there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.paths import ROOT

# What Windows has not, as Python's documentation says. Other packages are imported before.
PROGRAM = """
import asyncio, multiprocessing, subprocess, tempfile, os, pkgutil, signal, sys
import aiohttp, hypothesis, msgspec, PIL.Image, pytest, rich.progress, websockets.sync.client

for name in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "fork", "geteuid", "getuid", "killpg",
             "pidfd_open", "pread", "preadv", "setsid"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1"):
    delattr(signal, name)

import comfyrec, fake_server

for package in (comfyrec, fake_server):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name not in ("comfyrec.__main__", "comfyrec.bench_adapter"):
            __import__(module.name)
print("imported")
"""


@pytest.mark.slow
def test_every_module_is_imported_where_posix_is_not() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=120
    )

    assert done.stdout == "imported\n", done.stderr[-2000:]
