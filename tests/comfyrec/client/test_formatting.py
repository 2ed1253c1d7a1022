"""A line of JSON, and callbacks in a chain."""

from __future__ import annotations

import math
from typing import Any

import pytest

from comfyrec.client import chain_callbacks
from comfyrec.client.formatting import json_line
from comfyrec.client.progress_event import ProgressEvent
from tests.support.tracker_sim import a_run


@pytest.mark.parametrize("depth, kept", [(90, 90), (150, 99), (5_000, 99)])
def test_a_line_of_json_is_strict_and_no_deeper_than_can_be_read(depth: int, kept: int) -> None:
    value: Any = math.nan
    for _ in range(depth):
        value = [value]

    line = json_line({"outputs": value})

    assert line == '{"outputs":' + "[" * kept + "null" + "]" * kept + "}"


RUN = a_run()


def test_callbacks_that_raise_are_all_called_and_all_reported():
    def fail(told: ProgressEvent) -> None:
        raise LookupError("no")

    seen: list[str] = []
    with pytest.raises(ExceptionGroup) as caught:
        chain_callbacks(fail, fail, lambda told: seen.append(told.type))(RUN[0])

    assert len(caught.value.exceptions) == 2
    assert seen == ["submitted"]
