"""An event, as callbacks read it."""

from __future__ import annotations

import pytest

from tests.support.tracker_sim import a_run

RUN = a_run()


def test_an_event_reads_like_a_mapping():
    told = RUN[0]

    assert dict(told)["type"] == told["type"] == told.type == "submitted"
    assert len(told) == len(list(told)) == len(dict(told))
    assert "detected_by" not in told
    with pytest.raises(KeyError):
        told["nope"]
