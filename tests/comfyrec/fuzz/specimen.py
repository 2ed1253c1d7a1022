"""A specimen that lives on: ``python -m tests.comfyrec.fuzz.specimen late_socket``.

A name with a capital is one of the mutations.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from comfyrec.fuzz.adapter import Job, answer_lines
from tests.comfyrec.check.specimens import mutations
from tests.comfyrec.check.specimens.matrix import specimen

CLIENT = getattr(mutations, sys.argv[1]) if sys.argv[1][0].isupper() else specimen(sys.argv[1])


async def run(job: Job) -> dict[str, Any]:
    return await CLIENT(job["url"]).run(json.loads(json.dumps(job["workflow"])))


if __name__ == "__main__":
    answer_lines(run)
