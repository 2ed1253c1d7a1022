"""The walk over a recording: every kind of record has somebody who looks into it."""

from __future__ import annotations

from typing import get_args

from comfyrec.cassette.records import AnyRecord, End
from comfyrec.cassette.redact.pseudonyms.pseudonymizer import Pseudonymizer


def test_every_kind_of_record_is_looked_into() -> None:
    redactor = Pseudonymizer(["identity"])

    assert redactor._by_kind.keys() == set(get_args(AnyRecord))


def test_the_end_of_a_recording_stays() -> None:
    end = End(9, 5)

    assert Pseudonymizer(["identity"]).record(end) is end
