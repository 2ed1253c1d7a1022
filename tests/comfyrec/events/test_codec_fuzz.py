"""Whatever comes in: an event that can be read, or a DecodeError. Nothing else, ever.

Messages start from real ones and are damaged; plain random bytes find nothing.
``COMFYREC_FUZZ=deep`` runs 200,000 examples, which takes some minutes.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from comfyrec.errors import DecodeError
from comfyrec.events import (
    Event,
    History,
    Job,
    Jobs,
    PromptResponse,
    Queue,
    Refusal,
    SystemStats,
    UploadAnswer,
    check,
    decode,
    decode_binary,
    decode_http,
    decode_text,
    encode,
)
from tests.support.lanes import examples
from tests.support.recorded_frames import FRAMES, RECORDINGS, TEXTS, messages_in

EXAMPLES = examples(1_000, 200_000)


def fuzz(share: float) -> settings:
    """A part of all examples."""
    return settings(
        max_examples=int(EXAMPLES * share),
        suppress_health_check=list(HealthCheck),
        database=None,
    )


_RECORDED = [message for recording in RECORDINGS[::7] for message in messages_in(recording)]
SEEDS = [
    *TEXTS.values(),
    *(message for message in _RECORDED if isinstance(message, str) and len(message) < 4000),
]
FRAME_SEEDS = [
    *FRAMES.values(),
    *(message for message in _RECORDED if isinstance(message, bytes) and len(message) < 4000),
]
# What breaks parsers, to be put in anywhere.
PIECES = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"9" * 5000, b"-0", b"1.", b"01",
    b"null", b"true", b'"', b'\\"', b"\\", b"\\ud800", b"\\udc00", b"\\ud83d\\ude00", b"\\u0000",
    b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x00", b"\x1f", b"\xef\xbb\xbf",
    b"[" * 3000, b"[" * 500 + b"]" * 500, b'{"a":' * 3000, b"]", b"}", b"{", b",", b":", b"{}",
    b"[]", b'"type"', b'"data"', b'"nodes"', b'"prompt_id"', b'"(type)"', b'"(kept)"',
    b'"type": "progress_state"', b'"type": "x"', b'"data": {"nodes": 5}', b" ", b"\n",
]  # fmt: skip


def damage(message: bytes, script: bytes) -> bytes:
    """Carry out a script, six bytes a step: cut pieces out, put pieces in, swap them."""
    for start in range(0, len(script) - 5, 6):
        step, high, low, span, which, wide = script[start : start + 6]
        first = (high * 256 + low) % (len(message) + 1)
        second = min(len(message), first + span * (1 if wide < 200 else 16))
        head, middle, tail = message[:first], message[first:second], message[second:]
        piece = PIECES[which % len(PIECES)]
        message = (
            head + tail,
            head + piece + tail,
            head + piece + middle + tail,
            head + middle + middle + tail,
            head + middle,
            tail + middle + head,
        )[step % 6]
    return message


def damaged(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """A real message with up to five pieces out of place."""
    return st.builds(damage, st.sampled_from(seeds), st.binary(min_size=6, max_size=30))


ODD = [
    None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**30, 10**500, "", "\ud800", "x" * 300,
    [], {}, [[]], {"a": 1}, {"\ud800": 1}, {"type": "x"}, ["1", 2], {"nodes": 5}, [[[[[[[[1]]]]]]]],
]  # fmt: skip
NAMES = ["\ud800", "extra", "(kept)", "(type)", "misfits", "type", "data", "nodes", "sid", ""]


def twist(plain: Any, script: list[int]) -> Any:
    """Walk into a value as the script says, and put something odd there."""
    if not script or not plain or not isinstance(plain, dict | list):
        return ODD[(script or [0])[0] % len(ODD)]
    turn, *rest = script
    if isinstance(plain, list):
        place = turn % len(plain)
        return [*plain[:place], twist(plain[place], rest), *plain[place + 1 :]]
    name = list(plain)[turn % len(plain)]
    if turn % 7 == 0:
        return {other: plain[other] for other in plain if other != name}
    if turn % 7 == 1:
        return {**plain, NAMES[turn % len(NAMES)]: twist(None, rest)}
    return {**plain, name: twist(plain[name], rest)}


def read_all(event: Event) -> None:
    """Look at everything an event has."""
    assert isinstance(event.type, str)
    assert event.prompt_id is None or isinstance(event.prompt_id, str)
    for holder in (event, getattr(event, "data", None)):
        for name in dir(holder):
            if not name.startswith("_"):
                getattr(holder, name)
    repr(event)
    hash(event)
    check([event])


def survives(event: Event) -> None:
    """What was decoded can be read, compared, written, and read again."""
    read_all(event)
    again = decode(encode(event))
    assert repr(again) == repr(event)


def sorted_json(message: str | bytes) -> str:
    """JSON that can be compared: keys in order, NaN equal to itself."""
    return json.dumps(json.loads(message), sort_keys=True)


def attempt(decoder: Any, message: Any) -> Event | None:
    try:
        return decoder(message)  # type: ignore[no-any-return]  # the decoders give events
    except DecodeError as error:
        assert str(error)
        return None


@fuzz(0.3)
@given(damaged([seed.encode() for seed in SEEDS]))
@example(
    b'{"type": "executed", "data": {"node": "1", "output": {"\\ud800": NaN}, "prompt_id": ""}}'
)
@example(b'{"type": "progress_state", "data": {"prompt_id": "", "nodes": {"\\ud800": {}}}}')
@example(
    b'{"type": "progress_state", "data": {"prompt_id": "", "nodes": '
    + b"[" * 900
    + b"]" * 900
    + b"}}"
)
def test_any_text_is_an_event_or_a_decode_error(message: bytes) -> None:
    event = attempt(decode_text, message)

    if event is not None:
        survives(event)


@pytest.mark.slow
@fuzz(0.25)
@given(
    st.sampled_from([json.loads(seed) for seed in SEEDS]),
    st.lists(st.lists(st.integers(0, 255), max_size=6), min_size=1, max_size=3),
    st.booleans(),
)
def test_any_json_is_an_event_or_a_decode_error(
    plain: Any, scripts: list[list[int]], ascii_only: bool
) -> None:
    message = json.dumps(functools.reduce(twist, scripts, plain), ensure_ascii=ascii_only)

    for given_as in (message, message.encode("utf-8", "surrogatepass")):
        event = attempt(decode_text, given_as)
        if event is not None:
            survives(event)
        if event is not None and (ascii_only or given_as is message):
            assert sorted_json(encode(event)) == sorted_json(message)


@fuzz(0.14)
@given(damaged([seed.encode() for seed in SEEDS]), st.sampled_from(["surrogateescape", "replace"]))
def test_any_str_is_an_event_or_a_decode_error(message: bytes, errors: str) -> None:
    event = attempt(decode, message.decode("utf-8", errors))

    if event is not None:
        survives(event)


@fuzz(0.14)
@given(damaged(FRAME_SEEDS))
def test_any_frame_is_an_event_or_a_decode_error(frame: bytes) -> None:
    event = attempt(decode_binary, frame)

    if event is not None:
        survives(event)


@fuzz(0.01)
@given(st.binary(max_size=64) | st.text(max_size=64))
def test_anything_at_all_is_an_event_or_a_decode_error(message: bytes | str) -> None:
    attempt(decode, message)
    attempt(decode_text, message)


BODIES = {
    PromptResponse: b'{"prompt_id": "a", "number": -1.5, "node_errors": {"3": {"errors": []}}}',
    Refusal: b'{"error": {"type": "no_prompt", "message": "m"}, "node_errors": []}',
    Queue: b'{"queue_running": [[1, "a", {}, {"client_id": "c"}, ["2"]]], "queue_pending": []}',
    History: b'{"a": {"prompt": [1, "a", {}, {}, []], "outputs": {"1": {"v": [NaN]}}, "status": '
    b'{"status_str": "success", "completed": true, "messages": [["execution_start", {}]]}}}',
    Job: b'{"id": "a", "status": "failed", "execution_error": {}, "priority": 1}',
    Jobs: b'{"jobs": [], "pagination": {"offset": 0, "limit": 2, "total": 0, "has_more": false}}',
    SystemStats: b'{"system": {"os": "posix", "argv": []}, "devices": []}',
    UploadAnswer: b'{"name": "a.png", "subfolder": "", "type": "input"}',
}


@pytest.mark.parametrize("kind", BODIES, ids=str)
@fuzz(0.02)
@given(data=st.data())
def test_any_body_is_its_kind_or_a_decode_error(kind: Any, data: st.DataObject) -> None:
    body = data.draw(damaged([BODIES[kind]]))

    attempt(lambda message: decode_http(kind, message), body)
