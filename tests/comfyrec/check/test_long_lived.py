"""Clients that live on, hang, end, print and never speak: what each is reported as."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from comfyrec.check import long_lived
from comfyrec.check.long_lived import Clients, Job, LongLived
from comfyrec.check.process_tree import children_of
from comfyrec.errors import UsageError

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
        (
            "import sys; sys.exit('no module x')",
            "it printed: no module x; see docs/fuzzing.md, or write {url} into the command to",
        ),
        ('print(\'{"comfyrec": {"ready": 9}}\', flush=True)', "speaks version 9"),
        ("import time; time.sleep(60)", "does not speak the line protocol"),
    ],
)
def test_a_command_that_does_not_speak_is_one_sentence(
    code: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_lived, "READY_S", 1.0)
    with (
        LongLived([sys.executable, "-S", "-c", code]) as client,
        pytest.raises(UsageError) as caught,
    ):
        client.run(JOB, time.monotonic)

    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_client_that_ended_behind_its_answer_is_started_anew() -> None:
    once = speaks('say(outcome="success")', "break")
    with LongLived(once) as client:
        first = client.run(JOB, time.monotonic)
        assert client._process is not None
        client._process.wait()
        second = client.run(JOB, time.monotonic)
        assert client.starts == 2

    assert (first.outcomes, second.outcomes) == (("success",), ("success",))


def test_what_it_prints_in_a_run_is_of_that_run() -> None:
    said = speaks(
        "print(f\"of {job['run']}\", file=sys.stderr, flush=True)", 'say(outcome="error")'
    )
    with LongLived(said) as client:
        reports = [client.run(JOB, time.monotonic) for _ in range(3)]

    assert [report.last_words for report in reports] == ["of 1", "of 2", "of 3"]
    assert "of 2" not in reports[2].text


def test_a_second_outcome_is_told() -> None:
    twice = speaks(
        'one = json.dumps({"comfyrec": {"run": job["run"], "outcome": "success"}}) + "\\n"',
        "os.write(1, 2 * one.encode())",
    )
    with LongLived(twice) as client:
        outcomes = [client.run(JOB, time.monotonic).outcomes for _ in range(2)]

    assert outcomes == [("success", "success")] * 2


def test_a_job_ends_when_all_is_to_stop() -> None:
    stop = threading.Event()
    with LongLived(speaks("time.sleep(60)"), stop=stop) as client:
        client.start()
        stop.set()
        report = client.run(JOB, time.monotonic)

    assert report.at_s is None


def test_several_jobs_at_a_time_have_a_process_each() -> None:
    slow = speaks('say(outcome="success", error=str(os.getpid()))', "time.sleep(0.01)")
    with Clients(slow) as clients:
        clients.start()
        with ThreadPoolExecutor(2) as pool:
            reports = list(pool.map(lambda number: clients.run(JOB, time.monotonic), range(20)))

    assert 1 <= len({report.last_words for report in reports}) <= 2
    assert {report.outcomes for report in reports} == {("success",)}
