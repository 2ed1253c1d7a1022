"""A specimen that lives on: ``python -m tests.comfyrec.fuzz.specimen late_socket``.

A name with a capital is one of the mutations; a fact's name is the client that depends on it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from comfyrec.fuzz.adapter import Job, answer_lines
from tests.comfyrec.check.specimens import mutations
from tests.comfyrec.check.specimens.matrix import specimen
from tests.comfyrec.check.specimens.of_one_version import CLIENTS as OF_ONE_VERSION

NAME = sys.argv[1]
CLIENT = (
    OF_ONE_VERSION[NAME]
    if NAME in OF_ONE_VERSION
    else getattr(mutations, NAME)
    if NAME[0].isupper()
    else specimen(NAME)
)


async def run(job: Job) -> dict[str, Any]:
    client = CLIENT(job["url"])
    told = await client.run(json.loads(json.dumps(job["workflow"])), images_of(job))
    save(job, client.files)
    return told


def images_of(job: Job) -> dict[str, bytes]:
    beside = Path(job["workflow_file"]).parent.glob("*.png") if "workflow_file" in job else ()
    return {path.name: path.read_bytes() for path in beside}


def save(job: Job, files: dict[str, bytes]) -> None:
    for name, content in files.items() if "out" in job else ():
        Path(job["out"], Path(name).name).write_bytes(content)


if __name__ == "__main__":
    answer_lines(run, saves=True)
