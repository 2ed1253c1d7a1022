"""Clients that live on, hang, end, print and never speak: what each is reported as."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from comfyrec.check.process_tree import children_of
from comfyrec.errors import UsageError
from comfyrec.fuzz import client_process
from comfyrec.fuzz.client_process import Job, LongLived, OncePerRun, client_for

pytestmark = pytest.mark.long

JOB = Job(url="http://127.0.0.1:1/a", ws_url="ws://127.0.0.1:1/a", workflow={}, timeout_s=10)

SPEAKS = """
import json, sys, os, time
print('{"comfyrec": {"ready": 1}}', flush=True)
for line in sys.stdin:
    job = json.loads(line)["comfyrec"]
    def say(**told):
        print(json.dumps({"comfyrec": {"run": job["run"], **told}}), flush=True)
"""


def speaks(*what: str) -> list[str]:
    return [sys.executable, "-S", "-c", SPEAKS + "".join(f"    {line}\n" for line in what)]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = children_of(os.getpid())
    yield
    assert children_of(os.getpid()) == before


def test_one_process_does_many_runs() -> None:
    with LongLived(speaks('say(outcome="success", prompt_id="p", outputs={})')) as client:
        reports = [client.run(JOB, time.monotonic) for _ in range(50)]
        assert client.starts == 1

    assert {report.outcomes for report in reports} == {("success",)}
    assert reports[0].prompt_id == "p"
    assert all(report.at_s is not None for report in reports)


def test_a_client_that_hangs_is_killed_and_started_anew() -> None:
    hangs_once = speaks('job["url"] == "hang" and time.sleep(60)', 'say(outcome="success")')
    hang = Job(url="hang", ws_url="", workflow={}, timeout_s=0.3)
    with LongLived(hangs_once) as client:
        hung, fine = client.run(hang, time.monotonic), client.run(JOB, time.monotonic)
        assert client.starts == 2

    assert (hung.at_s, hung.outcomes) == (None, ())
    assert fine.outcomes == ("success",)


def test_a_client_that_ends_has_crashed_with_its_last_words() -> None:
    with LongLived(speaks('sys.exit("out of memory")')) as client:
        first, second = (client.run(JOB, time.monotonic) for _ in range(2))
        assert client.starts == 2

    assert first.crash == second.crash == "its process ended with status 1: out of memory"


def test_what_else_it_prints_does_no_harm() -> None:
    noisy = speaks(
        'os.write(1, b"x" * 10_000_000 + b"\\n")',
        'os.write(2, b"y" * 10_000_000)',
        'print("{not json")',
        'say(outcome="error", error="why")',
    )
    with LongLived(noisy) as client:
        report = client.run(JOB, time.monotonic)

    assert report.outcomes == ("error",)
    assert "why" in report.text


def test_an_answer_to_another_run_is_passed_over() -> None:
    late = speaks('print(\'{"comfyrec": {"run": 99, "outcome": "lost"}}\')', 'say(outcome="error")')
    with LongLived(late) as client:
        assert client.run(JOB, time.monotonic).outcomes == ("error",)


def test_an_unknown_outcome_is_named() -> None:
    with LongLived(speaks('say(outcome="fine")')) as client:
        assert client.run(JOB, time.monotonic).crash.startswith("unknown outcome 'fine'")


def test_memory_is_measured_if_asked() -> None:
    grows = speaks("kept = bytearray(50_000_000)", "time.sleep(0.2)", 'say(outcome="success")')
    job = Job(url="", ws_url="", workflow={}, timeout_s=10, measured=True)
    with LongLived(grows) as client:
        memory = client.run(job, time.monotonic).memory

    if Path("/proc/self/status").exists():
        assert memory[-1][1] > 50_000_000


@pytest.mark.parametrize(
    "code, sentence",
    [
        ("print('hello')", "does not speak the line protocol: it never said"),
        ("import sys; sys.exit('no module x')", "it printed: no module x; see docs/fuzzing.md"),
        ('print(\'{"comfyrec": {"ready": 9}}\', flush=True)', "speaks version 9"),
        ("import time; time.sleep(60)", "does not speak the line protocol"),
    ],
)
def test_a_command_that_does_not_speak_is_one_sentence(
    code: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_process, "READY_S", 1.0)
    with (
        LongLived([sys.executable, "-S", "-c", code]) as client,
        pytest.raises(UsageError) as caught,
    ):
        client.run(JOB, time.monotonic)

    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_command_with_a_place_is_run_once_for_each() -> None:
    client = client_for(
        [sys.executable, "-S", "-c", "import sys; sys.exit(sys.argv[1] != 'x')", "{url}"]
    )

    report = client.run(JOB, time.monotonic)

    assert isinstance(client, OncePerRun)
    assert report.outcomes == ("failed",)


def test_a_command_that_does_not_exist_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="does not exist"):
        client_for(["/no/such/thing"])
