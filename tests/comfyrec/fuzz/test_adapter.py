"""The adapter for clients in Python: each job is answered, whatever the client does."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from typing import Any

from comfyrec.check.lines import Answer, Ready, job_line, line_read
from comfyrec.fuzz.adapter import Job, answer_lines


def answered(run: Any, *lines: str) -> list[object]:
    out = StringIO()
    answer_lines(run, stdin=StringIO("".join(lines)), stdout=out)
    return [line_read(line.encode()) for line in out.getvalue().splitlines()]


def job(number: int) -> str:
    return job_line(number, url="http://h", ws_url="", workflow={}, timeout_s=1).decode()


def succeeds(job: Job) -> dict[str, Any]:
    return {"outcome": "success", "error": job["url"]}


async def succeeds_later(job: Job) -> dict[str, Any]:
    return succeeds(job)


def raises(job: Job) -> dict[str, Any]:
    raise LookupError("no such node")


def test_jobs_are_answered_in_turn() -> None:
    expected = [Ready(1), *(Answer(run=n, outcome="success", error="http://h") for n in (1, 2))]

    assert answered(succeeds, job(1), job(2)) == expected
    assert answered(succeeds_later, job(1), job(2)) == expected


def test_what_a_client_raises_is_a_crash_with_its_place() -> None:
    _, crashed = answered(raises, job(7))

    assert isinstance(crashed, Answer)
    assert (crashed.run, crashed.crash) == (7, "LookupError: no such node")
    assert crashed.at.startswith("test_adapter.py:")


def test_other_lines_are_left_alone() -> None:
    assert answered(succeeds, "\n", "no\n", "[1]\n", '{"comfyrec": {}}\n') == [Ready(1)]


def test_it_loads_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; import comfyrec.fuzz.adapter; import json;"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout

    assert {"aiohttp", "msgspec", "hypothesis"} & set(json.loads(loaded)) == set()
