"""Every message of every recording at hand: decodes, fits, comes back, and stands in order."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from comfyrec.events import (
    KNOWN,
    BinaryMisfit,
    Misfit,
    Unknown,
    check,
    decode,
    decode_text,
    encode,
)
from tests.support.recorded_frames import RECORDINGS, heard_in, messages_in, stream_in

pytestmark = pytest.mark.skipif(not RECORDINGS, reason="needs ../shared/recordings or cassettes/")
NAMES = [f"{path.parent.name}/{path.stem}" for path in RECORDINGS]


@pytest.mark.parametrize("recording", RECORDINGS, ids=NAMES)
def test_every_message_fits_and_comes_back_byte_for_byte(recording: Path) -> None:
    for message in messages_in(recording):
        event = decode(message)

        assert not isinstance(event, Misfit | BinaryMisfit)
        assert not getattr(getattr(event, "data", None), "misfits", None)
        assert encode(event) == message
        if isinstance(message, str):
            assert isinstance(event, KNOWN.get(event.type, Unknown))
            assert encode(decode_text(message.encode())) == message


@pytest.mark.parametrize("recording", RECORDINGS, ids=NAMES)
def test_events_written_anew_say_the_same(recording: Path) -> None:
    for message in messages_in(recording):
        event = decode(message)

        again = decode(encode(msgspec.structs.replace(event, kept=None)))

        assert repr(again) == repr(event)


@pytest.mark.parametrize("recording", RECORDINGS, ids=NAMES)
def test_no_recording_breaks_a_rule(recording: Path) -> None:
    assert check(stream_in(recording)) == []


def test_the_recordings_are_not_empty() -> None:
    heard = sum(1 for recording in RECORDINGS for _ in heard_in(recording))

    assert heard > 500


def test_messages_are_objects_of_a_type_and_data() -> None:
    for recording in RECORDINGS:
        for message in messages_in(recording):
            if isinstance(message, str):
                assert list(json.loads(message)) == ["type", "data"]
