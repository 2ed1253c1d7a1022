"""Recordings that no server and no client would make: timeline, proof and replay get through."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyrec.cassette.files import bundled
from comfyrec.cassette.records import AnyRecord, HttpPart, Session, WsFrame
from comfyrec.timeline import Timeline
from fake_server.replay import replay_differences
from tests.support.lanes import DEEP
from tests.support.replay_rig import Rig, records_of
from tests.support.timeline_samples import CLIENT, SERVER, Recording, run, session

pytestmark = pytest.mark.long

ODD: list[Any] = [
    None, True, 0, -1, 3.5, "", "x", "prompt_id", "\ud800", "a/b", "../x", [], {}, [[]], [None],
    [["x", None]], {"": []}, {"a": 1}, ["1", 0], 10**30, float("nan"), float("inf"),
    {"type": 3}, {"data": []},
]  # fmt: skip
LINES = [
    b"", b"X", b"A: b", b"Content-Type: ", b"Content-Length: x", b"Content-Encoding: gzip",
    b"Transfer-Encoding: chunked", b"GET  HTTP/1.1", b"POST //[ HTTP/1.1", b"Origin: http://[",
    b"GET /ws?clientId=%00&clientId=x HTTP/1.1", b"Host: [::1", b"HTTP/1.1 abc", b"HTTP/1.1 99999",
]  # fmt: skip
PATHS = [
    "/queue", "/prompt", "/history", "/history/{}", "/history?max_items=1", "/api/jobs",
    "/api/jobs/{}", "/view?filename=a.png", "/object_info", "/object_info/X", "/system_stats",
    "/features", "/settings", "/userdata?dir=x", "/users", "/models/x", "/extensions", "/", "/ws",
]  # fmt: skip
CHANGES = [("/interrupt", b""), ("/queue", {"delete": ["{}"]}), ("/history", {"clear": True})]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    for key, one in inner.items() if isinstance(inner, dict) else ():
        yield from places(one, (*path, key))


def other_json(chance: Random, value: Any) -> Any:
    """The same with something odd, or nothing, in one place."""
    *above, last = chance.choice(list(places(value))) or (None,)
    if last is None:
        return copy.copy(chance.choice(ODD))
    holder = value
    for key in above:
        holder = holder[key]
    if chance.random() < 0.3:
        del holder[last]
    else:
        holder[last] = copy.copy(chance.choice(ODD))
    return value


def other_bytes(chance: Random, data: bytes) -> bytes:
    if chance.random() < 0.1:
        return data[: len(data) // 2]
    try:
        value = json.loads(data)
    except ValueError:
        return data[:3] + b"\xff" + data[4:] if data else b"null"
    return json.dumps(other_json(chance, value)).encode()


def other_head(chance: Random, head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    lines[chance.randrange(len(lines))] = chance.choice(LINES)
    return b"\r\n".join(lines)


def other_record(chance: Random, record: AnyRecord) -> AnyRecord:
    if isinstance(record, Session):
        about = {**record.about, "comfyui_version": copy.copy(chance.choice(ODD))}
        return msgspec.structs.replace(record, about=about)
    if isinstance(record, WsFrame):
        return msgspec.structs.replace(record, payload=other_bytes(chance, record.payload))
    assert isinstance(record, HttpPart)
    if record.head and chance.random() < 0.3:
        return msgspec.structs.replace(record, head=other_head(chance, record.head))
    return msgspec.structs.replace(record, body=other_bytes(chance, record.body))


def other_recording(chance: Random, records: list[AnyRecord]) -> list[AnyRecord]:
    """Some records changed, lost, repeated or at another place."""
    kinds = (HttpPart, WsFrame, Session)
    for _ in range(chance.choice([1, 1, 2, 4, 8])):
        number = chance.choice([n for n, one in enumerate(records) if isinstance(one, kinds)])
        records[number] = other_record(chance, records[number])
    what, number = chance.random(), chance.randrange(1, len(records))
    if what < 0.3:
        del records[number]
    elif what < 0.4:
        records.insert(number, records[chance.randrange(len(records))])
    elif what < 0.5:
        records[1], records[number] = records[number], records[1]
    return records


def use(chance: Random, rig: Rig) -> None:
    """What a client does, with every prompt there is."""
    client, ids = chance.choice(["a", None]), ["none"]
    rig.connect(client)
    for prompt in rig.timeline.prompts[:4]:
        named = {} if client is None else {"client_id": client}
        answer = rig.ask_or_hang_up("POST", "/prompt", {"prompt": prompt.graph, **named})
        ids += [prompt.prompt_id, *([] if answer is None else [_id_in(answer.body)])]
        rig.run(until=rig.now + chance.choice([0, 1_000, 1_000_000]))
    for path in chance.sample(PATHS, 8):
        rig.ask_or_hang_up("GET", path.format(chance.choice(ids)))
    rig.ask_or_hang_up("POST", *chance.choice(CHANGES))
    rig.run()


def _id_in(body: bytes) -> str:
    try:
        return str(json.loads(body)["prompt_id"])
    except (ValueError, LookupError, TypeError):
        return "none"


@settings(
    max_examples=20_000 if DEEP else 150,
)
@given(st.sampled_from(sorted(bundled())), st.randoms())
def test_whatever_stands_in_a_recording_it_is_read_and_replayed(name: str, chance: Random) -> None:
    timeline = Timeline.build(other_recording(chance, list(records_of(name))))

    assert isinstance(replay_differences(timeline), list)
    use(chance, Rig(timeline))


# --- what it has found -----------------------------------------------------------------------


def with_number(number: Any) -> Recording:
    recording = session()
    body = {"prompt": {"1": {}}, "client_id": "recorded"}
    recording.asked(2, "POST", "/prompt", body, {"prompt_id": "p1", "number": number})
    return recording


def with_origin() -> Recording:
    recording = session()
    head = b"GET /queue HTTP/1.1\r\nHost: 127.0.0.1:8188\r\nOrigin: http://[\r\n\r\n"
    recording.put(HttpPart, conn=3, side=CLIENT, exchange=0, head=head, body=b"")
    recording.answer(3, {}, status=500)
    return recording


FOUND: dict[str, Callable[[], Recording]] = {
    "a number that is a list": lambda: with_number([1]),
    "a number that is a text": lambda: with_number("x"),
    "a number that is none": lambda: with_number(float("nan")),
    "an origin that is not an address": with_origin,
}


@pytest.mark.parametrize("make", FOUND.values(), ids=FOUND)
def test_it_replays_itself(make: Callable[[], Recording]) -> None:
    assert replay_differences(Timeline.build(make().end())) == []


def test_an_upgrade_that_got_no_answer_gets_none_again() -> None:
    recording = Recording()
    recording.upgrade(7, "a")
    recording.records.pop()  # the answer
    recording.closed(7, SERVER)
    rig = Rig(Timeline.build(recording.end()))

    socket = rig.connect("a")

    assert not socket.accepted
    assert rig.answers == {socket.number: None}


def test_an_upgrade_whose_answer_was_not_recorded_is_accepted() -> None:
    recording = Recording()
    recording.upgrade(7, "a")
    recording.records.pop()

    assert Rig(Timeline.build(recording.end())).connect("a").accepted


def test_a_history_that_no_server_keeps_ends_in_its_own_error() -> None:
    recording = run(session(comfyui_version="0.27.0"))
    prompt = Timeline.build(list(recording.records)).prompts[0]
    entry = {"prompt": [0, prompt.prompt_id, {}, {}, []], "outputs": {}, "status": {"messages": 3}}
    recording.asked(3, "GET", f"/history/{prompt.prompt_id}", answer={prompt.prompt_id: entry})
    rig = Rig(Timeline.build(recording.end()))
    rig.connect("mine")
    rig.submit(prompt.graph, "mine")
    rig.run()

    assert rig.ask("GET", "/api/jobs").status == 500
    assert rig.ask("GET", "/queue").status == 200
