"""What a test reads of its server's hints."""

from __future__ import annotations

import pytest

from comfyrec.testing.running_server import hint_for_a_test

NAMED = (
    ": name a file that uses it, as in @pytest.mark.comfyui(workflow='FILE'), or give "
    "unknown_nodes='accept'"
)
HINTS = {
    "a class": (
        "'A' is not in the catalogue: start with --learn WORKFLOW.json or --unknown-nodes accept",
        f"'A' is not in the catalogue{NAMED}",
    ),
    "a picture": (
        "'a.png' is not in the input folder: upload it first, or start with --learn WORKFLOW.json",
        f"'a.png' is not in the input folder{NAMED}",
    ),
    "another API": (
        "GET /api/v2/jobs is of another API: start with --surface v2",
        "GET /api/v2/jobs is of another API: start it with @pytest.mark.comfyui(surface='v2')",
    ),
    "another form": (
        'the body is the workflow: send it as {"prompt": WORKFLOW}',
        'the body is the workflow: send it as {"prompt": WORKFLOW}',
    ),
}


@pytest.mark.parametrize("said, read", HINTS.values(), ids=HINTS)
def test_a_hint_names_what_a_test_can_do(said: str, read: str) -> None:
    assert hint_for_a_test(said) == read
