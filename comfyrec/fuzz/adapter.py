"""The line protocol for a client in Python; it imports nothing but the standard library.

    from comfyrec.fuzz.adapter import answer_lines

    def run(job):
        result = my_client(job["url"], job["workflow"])
        return {"outcome": "success", "prompt_id": result.prompt_id, "outputs": result.outputs}

    answer_lines(run)

``run`` may be a coroutine function. What it raises is reported as a crash.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import IO, Any

__all__ = ["Job", "answer_lines"]

Job = Mapping[str, Any]
"""``url``, ``ws_url``, ``workflow`` (API format), ``timeout_s``, and ``run``, its number.

In a check also ``token`` (a key), ``workflow_file`` (beside it lie the images that the workflow
loads) and ``out`` (an empty folder).
"""
Told = Mapping[str, Any]
"""``outcome``, and if known ``prompt_id``, ``outputs`` (by node, as in the history), ``error``."""


def answer_lines(
    run: Callable[[Job], Told | Awaitable[Told]],
    *,
    saves: bool = False,
    stdin: IO[str] | None = None,
    stdout: IO[str] | None = None,
) -> None:
    """Take jobs from standard input until it ends, and answer each on standard output.

    Args:
        run: your client: does one job and says what became of it.
        saves: your client saves the files of its outputs in the job's folder ``out``.
        stdin: where jobs come from, if not from standard input.
        stdout: where answers go, if not to standard output.
    """
    jobs, answers = stdin or sys.stdin, stdout or sys.stdout

    def say(told: Mapping[str, Any]) -> None:
        answers.write(json.dumps({"comfyrec": told}) + "\n")
        answers.flush()

    with asyncio.Runner() as runner:
        say({"ready": 1, **({"saves": True} if saves else {})})
        for line in jobs:
            job = _job(line)
            if job is not None:
                say({"run": job["run"], **_told(run, job, runner)})


def _job(line: str) -> Job | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    job = value.get("comfyrec") if isinstance(value, dict) else None
    return job if isinstance(job, dict) and "run" in job else None


def _told(
    run: Callable[[Job], Told | Awaitable[Told]], job: Job, runner: asyncio.Runner
) -> Mapping[str, Any]:
    try:
        told = run(job)
        if isawaitable(told):
            told = runner.run(_awaited(told))
    except Exception as error:  # whatever a client under test raises is what we want to know
        frame = traceback.extract_tb(error.__traceback__)[-1]
        name = frame.filename.replace("\\", "/").rpartition("/")[2]
        kind = type(error).__name__
        return {"crash": f"{kind}: {error}" if str(error) else kind, "at": f"{name}:{frame.lineno}"}
    return told


async def _awaited(told: Awaitable[Told]) -> Told:
    return await told
