"""One message, one event: what decodes to what, and what is told apart from what."""

from __future__ import annotations

import copy
import json
import json.encoder
import pickle
import sys
import threading
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from comfyrec.errors import DecodeError
from comfyrec.events import (
    KNOWN,
    BinaryMisfit,
    ExecInfo,
    Executed,
    ExecutedData,
    Executing,
    ExecutingData,
    ExecutionError,
    ExecutionErrorData,
    ExecutionInterrupted,
    ExecutionInterruptedData,
    ExecutionStart,
    FileEntry,
    LogEntry,
    Logs,
    Misfit,
    NodeProgress,
    Notification,
    NotificationData,
    Preview,
    PreviewWithMetadata,
    Progress,
    ProgressData,
    ProgressState,
    ProgressStateData,
    ProgressText,
    PromptTime,
    QueueStatus,
    Status,
    StatusData,
    TextEvent,
    Unknown,
    UnknownBinary,
    codec,
    comfy_json,
    decode,
    decode_binary,
    decode_text,
    encode,
    python_json,
)
from tests.support.recorded_frames import FRAMES, TEXTS, P

ENTRY = NodeProgress(0.0, 1.0, "running", "3", P, "3", None, "3")

EVENTS = {
    "status": Status(StatusData(QueueStatus(ExecInfo(1)))),
    "status with sid": Status(StatusData(QueueStatus(ExecInfo(0)), "client-a")),
    "start": ExecutionStart(PromptTime(P, 1795218919262)),
    "start of 2024": ExecutionStart(PromptTime(P)),
    "executing": Executing(ExecutingData("3", "3", P)),
    "executing of 2024": Executing(ExecutingData("1", prompt_id=P)),
    "executing null": Executing(ExecutingData(None, prompt_id=P)),
    "executing on a reconnect": Executing(ExecutingData("1")),
    "progress": Progress(ProgressData(1, 2, P, "3")),
    "progress without a node": Progress(ProgressData(1, 2, P)),
    "executed without ui": Executed(
        ExecutedData(node="9", display_node="9", output=None, prompt_id=P)
    ),
    "custom": Unknown("gt.custom-broadcast", {"text": "ping", "node": "5"}),
}


@pytest.mark.parametrize("name", EVENTS)
def test_a_message_is_its_event(name: str) -> None:
    assert decode(TEXTS[name]) == EVENTS[name]
    assert decode_text(TEXTS[name].encode()) == EVENTS[name]


@pytest.mark.parametrize("message", TEXTS.values(), ids=TEXTS)
def test_a_message_of_a_server_fits_and_comes_back(message: str) -> None:
    event = decode_text(message)

    assert isinstance(event, KNOWN.get(event.type, Unknown))
    assert event.type == json.loads(message)["type"]
    assert encode(event) == message
    assert event.raw == message


@pytest.mark.parametrize("message", [TEXTS["custom"], TEXTS["monitor"]])
def test_an_unknown_type_is_the_same_however_often_it_comes(message: str) -> None:
    events = [decode_text(message) for _ in range(4)]

    assert events == [Unknown(json.loads(message)["type"], json.loads(message)["data"])] * 4
    assert {encode(event) for event in events} == {message}


@pytest.mark.parametrize("message", TEXTS.values(), ids=TEXTS)
def test_more_fields_than_the_schema_has_are_kept(message: str) -> None:
    plain = json.loads(message)
    plain["data"]["workflow_id"] = {"new": True}
    more = json.dumps(plain)

    event = decode_text(more)

    assert not isinstance(event, Misfit)
    assert event.raw == encode(event) == more
    assert type(event) is type(decode_text(message)) or isinstance(event, Unknown)


@pytest.mark.parametrize(
    "message", ['{"data":{"a":1},"type":"x.compact"}', '{"type":"x.compact","data":[]}'] * 3
)
def test_an_unknown_message_in_another_style_keeps_every_byte(message: str) -> None:
    assert decode_text(message).raw == message


def test_the_sid_beside_the_data_is_found_too() -> None:
    data = '{"status": {"exec_info": {"queue_remaining": 0}}}'
    event = decode_text(f'{{"type": "status", "data": {data}, "sid": "abc"}}')

    assert isinstance(event, Status)
    assert event.sid == "abc"
    assert json.loads(encode(event)) == json.loads(event.raw)


@pytest.mark.parametrize("node", ["3", 3])
def test_node_ids_may_be_numbers(node: str | int) -> None:
    event = decode_text(json.dumps({"type": "executing", "data": {"node": node}}))

    assert event == Executing(ExecutingData(node))


def test_progress_state_gives_its_entries_and_what_newer_servers_add() -> None:
    message = json.loads(TEXTS["progress_state"])
    message["data"]["nodes"]["3"]["activity"] = "loading"
    event = decode_text(json.dumps(message))

    assert isinstance(event, ProgressState)
    assert list(event.data.nodes) == ["1", "3"]
    assert event.data.nodes["3"] == msgspec.structs.replace(ENTRY, activity="loading")
    assert event.data.nodes is event.data.nodes
    assert event.data.misfits == {}


def test_entries_that_do_not_fit_are_left_out_and_named() -> None:
    message = json.loads(TEXTS["progress_state"])
    message["data"]["nodes"]["1"]["value"] = "much"
    text = json.dumps(message)
    event = decode_text(text)

    assert isinstance(event, ProgressState)
    assert event.data.nodes == {"3": ENTRY}
    assert event.data.misfits == {"1": "Expected `int | float`, got `str` - at `$.value`"}
    assert event.raw == text


def test_log_entries_are_read_one_by_one_as_well() -> None:
    logs = decode_text(
        '{"type": "logs", "data": {"entries": [{"t": "1", "m": "a"}, 5], "size": null}}'
    )

    assert isinstance(logs, Logs)
    assert logs.data.entries == [LogEntry("1", "a")]
    assert list(logs.data.misfits) == ["1"]


def test_files_are_found_under_any_key() -> None:
    output = {
        "images": [{"filename": "a.png", "subfolder": "s", "type": "temp", "id": "x"}, {"text": 1}],
        "gifs": [{"filename": "b.gif"}],
        "animated": [True],
        "mesh": "none",
    }
    event = decode_text(comfy_json({"type": "executed", "data": {
        "node": "9", "display_node": "9", "output": output, "prompt_id": P}}))  # fmt: skip

    assert isinstance(event, Executed)
    assert event.data.output == output
    assert event.data.files == [FileEntry("a.png", "s", "temp"), FileEntry("b.gif")]


@pytest.mark.parametrize("name, blocked", [("error", False), ("blocked", True)])
def test_a_blocked_output_is_told_from_a_failure(name: str, blocked: bool) -> None:
    event = decode_text(TEXTS[name])

    assert isinstance(event, ExecutionError)
    assert event.data.blocked is blocked


MISFITS = {
    "field of the wrong kind": ("progress", {"value": "three", "max": 20}, "$.data.value"),
    "a flag for a number": ("progress", {"value": True, "max": 20}, "$.data.value"),
    "data is null": ("executing", None, "$.data"),
    "output is a number": ("executed", {"node": "1", "output": 5, "prompt_id": P}, "output"),
    "deep inside": ("status", {"status": {"exec_info": {"queue_remaining": "1"}}}, "remaining"),
    "not a list": ("execution_cached", {"nodes": "12", "prompt_id": P}, "nodes"),
    "flags are no object": ("feature_flags", [], "$.data"),
}


@pytest.mark.parametrize("name, data, where", MISFITS.values(), ids=MISFITS)
def test_a_payload_that_does_not_fit_says_where(name: str, data: Any, where: str) -> None:
    message = json.dumps({"type": name, "data": data})
    event = decode_text(message)

    assert isinstance(event, Misfit)
    assert (event.type, event.data, event.raw) == (name, data, message)
    assert where in event.why
    assert encode(event) == message


FIELDS = {
    f"{name} of {case}": (message, name)
    for case, message in TEXTS.items()
    for name in json.loads(message)["data"]
    if json.loads(message)["type"] in KNOWN.keys() - {"feature_flags"}
}


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("message, name", FIELDS.values(), ids=FIELDS)
def test_fields_that_are_missing_or_null_read_as_none(message: str, name: str, null: bool) -> None:
    plain = json.loads(message)
    without = {key: value for key, value in plain["data"].items() if key != name}
    plain["data"] = {**plain["data"], name: None} if null else without
    text = comfy_json(plain)

    event = decode_text(text)

    assert type(event) is KNOWN[plain["type"]]
    assert getattr(event.data, name) is None
    assert encode(event) == event.raw == text


@pytest.mark.parametrize("name", KNOWN)
def test_an_empty_payload_is_an_event_of_its_type(name: str) -> None:
    text = comfy_json({"type": name, "data": {}})

    event = decode_text(text)

    assert isinstance(event, KNOWN[name])
    assert event.prompt_id is None
    assert encode(event) == event.raw == text


def test_what_a_frame_says_deep_inside_may_be_missing_too() -> None:
    texts = ['{"status": {}}', '{"status": {"exec_info": {}}}', '{"status": null}']
    events = [decode_text(f'{{"type": "status", "data": {text}}}') for text in texts]
    entry = '{"prompt_id": "a", "nodes": {"3": {"class_type": "KSampler"}}}'
    state = decode_text(f'{{"type": "progress_state", "data": {entry}}}')

    assert all(isinstance(event, Status) for event in events)
    assert [event.queue_remaining for event in events if isinstance(event, Status)] == [None] * 3
    assert isinstance(state, ProgressState)
    assert state.data.nodes == {"3": NodeProgress()}
    assert state.data.misfits == {}


CLOUD = {
    "the least of an error": (
        '{"type": "execution_error", "data": {"prompt_id": "a", "exception_message": "no funds"}}',
        ExecutionError(data=ExecutionErrorData("a", exception_message="no funds")),
    ),
    "an error with a category": (
        '{"type": "execution_error", "data": {"prompt_id": "a", "exception_message": "full", '
        '"exception_type": "OOMError"}}',
        ExecutionError(
            data=ExecutionErrorData("a", exception_message="full", exception_type="OOMError")
        ),
    ),
    "the least of an interrupt": (
        '{"type": "execution_interrupted", "data": {"prompt_id": "a"}}',
        ExecutionInterrupted(data=ExecutionInterruptedData("a")),
    ),
    "a notification": (
        '{"type": "notification", "data": {"value": "Executing workflow..."}}',
        Notification(data=NotificationData("Executing workflow...")),
    ),
}


@pytest.mark.parametrize("message, event", CLOUD.values(), ids=CLOUD)
def test_comfy_cloud_frames_are_typed(message: str, event: TextEvent) -> None:
    decoded = decode_text(message)

    assert decoded == event
    assert decoded.raw == encode(event) == message


def test_a_known_type_without_data_is_a_misfit_and_an_unknown_one_is_not() -> None:
    known, unknown = decode_text('{"type": "progress"}'), decode_text('{"type": "x.none"}')

    assert isinstance(known, Misfit)
    assert unknown == Unknown("x.none")
    assert [encode(known), encode(unknown)] == ['{"type": "progress"}', '{"type": "x.none"}']


NO_MESSAGES = {
    "empty": b"",
    "no json": b"hello",
    "cut off": b'{"type": "progress", "data": {"value": 3',
    "an array": b"[1, 2]",
    "a text": b'"status"',
    "null": b"null",
    "NaN": b"NaN",
    "no type": b'{"data": {}}',
    "type is a number": b'{"type": 7, "data": {}}',
    "type is a number, and NaN": b'{"type": 7, "data": NaN}',
    "something behind it": b'{"type": "x"} x',
    "a byte order mark": b'\xef\xbb\xbf{"type": "x"}',
    "not UTF-8": b'{"type": "executing", "data": {"node": "\xff"}}',
    "3000 brackets": b'{"type": "x", "data": ' + b"[" * 3000,
    "3000 brackets and NaN": b'{"type": "x", "data": [NaN, ' + b"[" * 3000,
}


@pytest.mark.parametrize("message", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_what_is_no_message_raises_and_says_why(message: bytes) -> None:
    with pytest.raises(DecodeError) as raised:
        decode_text(message)

    assert raised.value.message is message
    assert raised.value.why == str(raised.value)
    assert raised.value.__cause__ is None


def test_broken_messages_leave_the_next_one_alone() -> None:
    with pytest.raises(DecodeError):
        decode_text(b"{")

    assert decode_text(TEXTS["executing"]) == EVENTS["executing"]


@pytest.mark.parametrize(
    "token, value",
    [
        ("NaN", "nan"),
        ("Infinity", "inf"),
        ("-Infinity", "-inf"),
        ("1e999", "inf"),
        ("9" * 5000, "inf"),
    ],
    ids=["NaN", "Infinity", "-Infinity", "too large", "5000 digits"],
)
def test_numbers_that_only_python_reads_are_taken(token: str, value: str) -> None:
    message = f'{{"type": "progress", "data": {{"value": {token}, "max": 1, "node": "3"}}}}'
    event = decode_text(message)

    assert isinstance(event, Progress)
    assert str(float(event.data.value)) == value
    assert encode(event) == message


def test_what_is_not_utf8_inside_a_free_part_reads_as_a_mark() -> None:
    event = decode_text(b'{"type": "x.bytes", "data": {"a": "\xff"}}')

    assert isinstance(event, Unknown)
    assert event.data == {"a": "\ufffd"}


def test_a_lone_surrogate_comes_back_as_it_was() -> None:
    message = '{"type": "x.path", "data": {"file": "bad\\udcff.png"}}'
    event = decode_text(message)

    assert isinstance(event, Unknown)
    assert event.data == {"file": "bad\udcff.png"}
    assert encode(event) == message


# --- binary ----------------------------------------------------------------------------------


def test_binary_frames_are_their_events() -> None:
    preview = decode(FRAMES["preview"])
    text = decode(FRAMES["text"])
    rich = decode(FRAMES["preview with metadata"])
    other = decode(FRAMES["kind 77"])

    assert isinstance(preview, Preview)
    assert (preview.image_type, preview.format) == ("image/jpeg", 1)
    assert text == ProgressText("12", "width: 8 \u732b")
    assert isinstance(rich, PreviewWithMetadata)
    assert (rich.prompt_id, rich.metadata.node_id, rich.image_type) == (P, "3", "image/jpeg")
    assert other == UnknownBinary(77, memoryview(b"extension"))


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_binary_frame_comes_back_byte_for_byte(frame: bytes) -> None:
    event = decode_binary(frame)

    assert encode(event) == frame
    assert encode(msgspec.structs.replace(event, kept=None)) == frame
    assert decode_binary(bytearray(frame)) == event


def test_pictures_are_not_copied() -> None:
    frame = FRAMES["preview"]
    preview = decode_binary(frame)

    assert isinstance(preview, Preview)
    assert preview.image.obj is frame


def test_a_buffer_that_changes_later_does_not_change_the_event() -> None:
    buffer = bytearray(FRAMES["preview"])
    event = decode_binary(memoryview(buffer))
    buffer[8:12] = b"----"

    assert event == decode_binary(FRAMES["preview"])


TORN = {
    "nothing": b"",
    "three bytes": b"\x00\x00\x00",
    "no format": b"\x00\x00\x00\x01",
    "half a length": b"\x00\x00\x00\x03\x00\x00",
    "length beyond the end": b"\x00\x00\x00\x04\x00\x00\x00\x09{}",
    "length of four gigabytes": b"\x00\x00\x00\x03\xff\xff\xff\xff1",
}


@pytest.mark.parametrize("frame", TORN.values(), ids=TORN)
def test_a_torn_header_raises(frame: bytes) -> None:
    with pytest.raises(DecodeError, match="torn"):
        decode_binary(frame)


BINARY_MISFITS = {
    "text is not UTF-8": b"\x00\x00\x00\x03\x00\x00\x00\x011\xff",
    "metadata is not JSON": b"\x00\x00\x00\x04\x00\x00\x00\x01{",
    "metadata lacks a field": b'\x00\x00\x00\x04\x00\x00\x00\x0f{"node_id":"1"}',
}


@pytest.mark.parametrize("frame", BINARY_MISFITS.values(), ids=BINARY_MISFITS)
def test_a_binary_payload_that_does_not_fit_is_kept(frame: bytes) -> None:
    event = decode_binary(frame)

    assert isinstance(event, BinaryMisfit)
    assert event.why
    assert encode(event) == frame


@pytest.mark.parametrize("wrong", [None, 5, ["status"]])
def test_what_is_neither_text_nor_bytes_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError):
        decode(wrong)


# --- built by hand, changed, copied --------------------------------------------------------------


def test_built_events_are_written_as_a_server_writes() -> None:
    nodes = {"3": ENTRY}

    assert encode(Executing(ExecutingData(None, prompt_id=P))) == TEXTS["executing null"]
    assert json.loads(encode(ProgressState(ProgressStateData(P, nodes))))["data"]["nodes"] == {
        "3": json.loads(TEXTS["progress_state"])["data"]["nodes"]["3"]
    }
    assert encode(Unknown("x", [float("nan"), "\u00e9"])) == (
        '{"type": "x", "data": [NaN, "\\u00e9"]}'
    )


@pytest.mark.parametrize("name", ["executing", "progress without a node", "progress_state"])
def test_a_changed_event_is_written_anew(name: str) -> None:
    event = decode_text(TEXTS[name])
    changed = msgspec.structs.replace(
        event, data=msgspec.structs.replace(event.data, prompt_id="other")
    )

    assert json.loads(encode(changed))["data"]["prompt_id"] == "other"
    assert changed.prompt_id == "other"
    assert encode(event) == TEXTS[name]


@pytest.mark.parametrize("message", [*TEXTS.values(), *FRAMES.values()], ids=[*TEXTS, *FRAMES])
def test_events_survive_copying_and_pickling(message: str | bytes) -> None:
    event = decode(message)
    copies = [copy.copy(event), copy.deepcopy(event), pickle.loads(pickle.dumps(event))]

    assert [encode(each) for each in copies] == [message] * 3
    assert {hash(each) for each in copies} == {hash(event)}
    assert repr(copies[2]) == repr(event)


def test_events_are_frozen_and_shown_by_what_they_say() -> None:
    event = decode_text(TEXTS["progress_state"])

    with pytest.raises(AttributeError):
        event.data = None  # type: ignore[misc]  # it is what is tested
    assert repr(event).startswith(f"ProgressState(data=ProgressStateData(prompt_id='{P}', nodes={{")
    assert event == decode_text(TEXTS["progress_state"].encode())
    assert event != decode_text(TEXTS["progress"])


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=12,
)


@pytest.mark.slow
@given(_anything)
@example({"a": [1, 2.5, float("-inf"), None, True], "\u732b": "\udcff"})
def test_comfy_json_is_what_python_dumps(value: object) -> None:
    assert comfy_json(value) == json.dumps(value)


def test_comfy_json_writes_the_same_on_a_python_without_its_encoder_in_c(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = {"a": [1, 2.5, float("nan")], "b": decode_text(TEXTS["progress_state"])}
    written = comfy_json(value)
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)

    assert python_json._encoder()(value) == written


# --- bounds --------------------------------------------------------------------------------------


def test_a_server_that_makes_up_types_does_not_grow_the_memory() -> None:
    for number in range(3 * codec.MET_MAX):
        message = json.dumps({"type": f"made-up-{number}", "data": {"n": number}})
        for _ in range(3):
            assert decode_text(message) == Unknown(f"made-up-{number}", {"n": number})

    assert len(codec._learned) <= codec.LEARNED_MAX
    assert len(codec._met) <= codec.MET_MAX


def test_threads_decode_at_once() -> None:
    messages = [json.dumps({"type": f"thread-{n % 40}", "data": n}) for n in range(400)]
    results: list[list[Any]] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait(10)
        results.append([decode_text(message).data for message in messages])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert results == [list(range(400))] * 4


def test_the_room_is_light_to_import() -> None:
    import subprocess

    code = "import sys, comfyrec.events; print(sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    for heavy in ("asyncio", "aiohttp", "websockets", "hypothesis", "comfyrec.events.http'"):
        assert f"'{heavy}" not in loaded
