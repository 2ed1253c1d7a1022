"""Messages of every type and version, and damaged ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comfyrec.errors import DecodeError
from comfyrec.events import BinaryMisfit, Misfit, Unknown, UnknownBinary, decode
from comfyrec.strategies import (
    events,
    malformed_messages,
    misfit_events,
    unknown_events,
)
from comfyrec.strategies.messages import types_of
from comfyrec.versions import ERAS
from tests.support.fuzz_settings import FUZZ

STRANGE = (Unknown, UnknownBinary, Misfit, BinaryMisfit)


@pytest.mark.slow
@pytest.mark.parametrize("version", ERAS)
@FUZZ
@given(data=st.data())
def test_every_message_decodes_to_its_own_type(version: str, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([*types_of(version)]))

    event = decode(data.draw(events(version, type=kind)))

    assert event.type == kind
    assert not isinstance(event, STRANGE)
    assert not getattr(getattr(event, "data", None), "misfits", None)


@FUZZ
@given(events())
def test_messages_of_any_version_are_known(message: str | bytes) -> None:
    assert not isinstance(decode(message), STRANGE)


@FUZZ
@given(unknown_events())
def test_unknown_messages_are_unknown(message: str | bytes) -> None:
    assert isinstance(decode(message), Unknown | UnknownBinary)


@FUZZ
@given(misfit_events())
def test_misfit_messages_are_misfits(message: str | bytes) -> None:
    assert isinstance(decode(message), Misfit | BinaryMisfit)


@FUZZ
@given(malformed_messages())
def test_malformed_messages_are_none(message: str | bytes) -> None:
    with pytest.raises(DecodeError):
        decode(message)


def test_old_servers_do_not_send_new_types() -> None:
    old, new = types_of("2024-07"), types_of("0.27.0")

    assert set(new) - set(old) >= {"progress_state", "execution_success", "feature_flags", "TEXT"}
    assert set(old) <= set(new)


def test_a_type_that_is_not_sent_is_a_wrong_call() -> None:
    with pytest.raises(ValueError, match="no message of type 'progress_state'"):
        events("2024-07", type="progress_state")
