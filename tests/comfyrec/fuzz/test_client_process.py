"""Whether a command lives on or is run for each job follows from its places."""

from __future__ import annotations

import sys
import time

import pytest

from comfyrec.check.long_lived import Job, LongLived
from comfyrec.errors import UsageError
from comfyrec.fuzz.client_process import OncePerRun, client_for

JOB = Job(url="http://127.0.0.1:1/a", ws_url="ws://127.0.0.1:1/a", workflow={}, timeout_s=10)


@pytest.mark.slow
def test_a_command_with_a_place_is_run_once_for_each() -> None:
    client = client_for(
        [sys.executable, "-S", "-c", "import sys; sys.exit(sys.argv[1] != 'x')", "{url}"]
    )

    report = client.run(JOB, time.monotonic)

    assert isinstance(client, OncePerRun)
    assert report.outcomes == ("failed",)


def test_a_command_without_a_place_lives_on() -> None:
    assert isinstance(client_for([sys.executable, "lines.py"]), LongLived)


def test_a_command_that_does_not_exist_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="does not exist"):
        client_for(["/no/such/thing"])
