"""Real clients under ``comfyrec check``: the report shows the holes that they are known for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from comfyrec.check.result import ScenarioResult
from comfyrec.check.runner import CheckOptions, check_all
from fake_server.scenarios import select

HOME = os.environ.get("COMFY_CLIENTS_HOME", "")
PYTHON = Path(HOME, "venv", "bin", "python")
SCRIPTS = Path(__file__).with_name("real_clients")
# client -> scenario -> what the report says of it.
KNOWN = {
    "comfyapi_manager": {
        "ws-silent": "success",  # it has no socket and polls
        "execution-error": "failed, without a reason",
        "windows-paths": "failed (untrue)",  # the subfolder is left out of /view
        "reject-400": "failed, without a reason",
        "output-kinds": "success, not all outputs",
        "http-hang": "(hung)",
        "base-path": "failed, fails",  # it loses the path
    },
    "workflow_client": {
        "success-before-history": "success",  # it waits for the null
        "foreign-executing-null": "success",  # it compares the id
        "many-objects-per-frame": "failed (untrue)",
        "output-kinds": "success, not all outputs",
        "all-cached": "success",
        "ws-silent": "(hung)",
        "abrupt-close": "(hung)",
        "null-after-error": "success (untrue)",
        "interrupt": "success (untrue)",
    },
    "api_simplified": {
        "success": "success, after the POST",
        "ws-silent": "(hung)",
        "queue-zero-is-not-done": "success",  # it ends on the zero, but the outputs are there
        "output-kinds": "success, not all outputs",
        "node-errors-list": "failed, without a reason",
    },
}


def in_short(result: ScenarioResult) -> str:
    said = result.outcome or f"({result.ended})"
    failed = {verdict.invariant for verdict in result.failed}
    if result.reported == "an untruth":
        return f"{said} (untrue)"
    if "K9" in failed:
        return f"{said}, without a reason"
    if failed == {"K3"} and result.status == "fail":
        return f"{said}, fails"
    if "K5" in failed:
        return f"{said}, not all outputs"
    return f"{said}, after the POST" if "K7" in failed else said


@pytest.mark.skipif(not PYTHON.exists(), reason="COMFY_CLIENTS_HOME names no installed clients")
@pytest.mark.parametrize("client", KNOWN)
def test_a_real_client_shows_its_known_holes(client: str) -> None:
    argv = (str(PYTHON), str(SCRIPTS / f"{client}.py"), "{url}", "{workflow}", "{out}")
    options = CheckOptions(argv=argv, timeout_s=5.0)

    results = check_all(select(",".join(KNOWN[client])), options, jobs=4)

    assert {result.name: in_short(result) for result in results} == KNOWN[client]
