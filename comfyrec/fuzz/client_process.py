"""A client under test, as ``fuzz`` runs it: one that lives on, or a process for each run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from comfyrec.check.case import Report
from comfyrec.check.client_report import report_of
from comfyrec.check.command import find_command, run_command
from comfyrec.check.long_lived import Client, Job, LongLived
from comfyrec.check.runner import filled_in

__all__ = ["OncePerRun", "client_for"]


def client_for(argv: Sequence[str]) -> Client:
    """A client that is run once per job if its command has a place, else one that lives on.

    Raises:
        UsageError: there is no such command, or it cannot be started.
    """
    find_command(argv)
    placed = any(place in part for part in argv for place in ("{url}", "{ws_url}", "{port}"))
    return OncePerRun(argv) if placed else LongLived(argv)


class OncePerRun(Client):
    """The command of ``comfyrec check``, with its places, for each run."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv

    def run(self, job: Job, clock: Callable[[], float]) -> Report:
        """See ``Client``."""
        with TemporaryDirectory(prefix="comfyrec-fuzz-") as home:
            workflow, out = Path(home, "workflow.json"), Path(home, "out")
            out.mkdir()
            workflow.write_bytes(msgspec.json.encode(job.workflow))
            host, _, port = job.url.partition("://")[2].partition("/")[0].rpartition(":")
            places = {
                "url": job.url, "ws_url": job.ws_url, "host": host, "port": port,
                "workflow": str(workflow), "out": str(out), "token": "",
            }  # fmt: skip
            argv = [filled_in(part, places) for part in self._argv]
            ran = run_command(argv, env=os.environ, timeout_s=job.timeout_s)
        report = report_of(ran)
        at_s = None if report.at_s is None else clock()
        return msgspec.structs.replace(report, at_s=at_s, memory=())

    def close(self) -> None:
        """Each run has ended its own process."""
