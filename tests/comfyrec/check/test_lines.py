"""Lines of the protocol, and lines that are something else."""

from __future__ import annotations

import json
import math

import pytest

from comfyrec.check.lines import Answer, Ready, job_line, line_read


def test_a_job_is_one_line_of_json() -> None:
    line = job_line(
        3, url="http://h:1", ws_url="ws://h:1", workflow={"1": {"inputs": {"a": "\n"}}}, timeout_s=5
    )

    assert line.count(b"\n") == 1
    assert json.loads(line)["comfyrec"] == {
        "run": 3,
        "url": "http://h:1",
        "ws_url": "ws://h:1",
        "workflow": {"1": {"inputs": {"a": "\n"}}},
        "timeout_s": 5,
    }


@pytest.mark.parametrize(
    "line, read",
    [
        (b'{"comfyrec": {"ready": 1}}', Ready(1)),
        (b' {"comfyrec":{"ready":2,"more":[]}}', Ready(2)),
        (
            b'{"comfyrec": {"run": 1, "outcome": "success", "outputs": {"9": {}}}}',
            Answer(run=1, outcome="success", outputs={"9": {}}),
        ),
        (b'{"comfyrec": {"run": 2, "outcome": "failed"}}', Answer(run=2, outcome="failed")),
        (
            b'{"comfyrec": {"run": 2, "crash": "E: no", "at": "a.py:1"}}',
            Answer(run=2, crash="E: no", at="a.py:1"),
        ),
        (
            b'{"comfyrec": {"run": 2, "outcome": "success", "outputs": {"9": [Infinity]}}}',
            Answer(run=2, outcome="success", outputs={"9": [math.inf]}),
        ),
        (b"", None),
        (b"what a client prints", None),
        (b'{"other": 1}', None),
        (b"\xff\xfe", None),
    ],
)
def test_a_line_is_read(line: bytes, read: object) -> None:
    assert line_read(line) == read


@pytest.mark.parametrize(
    "line, wrong",
    [
        (b'{"comfyrec": 1}', "a line that is not one of the protocol: Expected `object`"),
        (b'{"comfyrec": {"run": "1"}}', "Expected `int`, got `str` - at `$.run`"),
        (b'{"comfyrec": {"run": 1, "outcome": "fine"}}', "unknown outcome 'fine'; the outcomes ar"),
        (b'{"comfyrec": {"run": 1}}', "unknown outcome None; the outcomes are success, error"),
        (b'{"comfyrec": {"run": 1', "a line that is not one of the protocol"),
        (b'{"comfyrec": ' + b"[" * 5000, "a line that is not one of the protocol"),
    ],
)
def test_a_line_that_is_meant_for_us_and_wrong_says_what(line: bytes, wrong: str) -> None:
    said = line_read(line)

    assert isinstance(said, str)
    assert wrong in said
