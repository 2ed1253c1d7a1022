"""Each operator on a small source of its own: what passes, what does not, what it complains of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_server.scenarios.kit import (
    HISTORY,
    Operator,
    Stage,
    answer,
    any_of,
    anything,
    attempts,
    binary,
    coalesce,
    crash,
    cut,
    delay,
    drop,
    dump,
    duplicate,
    event,
    evict,
    flood,
    fragment,
    framed,
    freeze,
    hang,
    hide,
    hold,
    inject,
    knocks,
    late,
    late_accept,
    mutate,
    no_node,
    patch_outputs,
    posts,
    refuse,
    reorder,
    reword,
    route,
    some_node,
    stall,
    stranger,
    text_answer,
    thin,
    truncate,
    under_prefix,
    with_the_handshake,
)
from fake_server.scenarios.kit.matchers import look
from fake_server.source import (
    Abort,
    Accept,
    Action,
    Close,
    Freeze,
    HangUp,
    Happened,
    Listen,
    MessageReceived,
    Request,
    RequestReceived,
    Respond,
    Response,
    Send,
    SendRaw,
    UpgradeRequested,
    Wake,
    Woke,
)

START = dump("execution_start", {"prompt_id": "p", "timestamp": 1})
NODE = dump("executing", {"node": "9", "display_node": "9", "prompt_id": "p"})
EXECUTED = dump("executed", {"node": "9", "output": {"images": [{"filename": "a.png"}]}, "prompt_id": "p"})  # fmt: skip  # noqa: E501
SUCCESS = dump("execution_success", {"prompt_id": "p", "timestamp": 2})
NULL = dump("executing", {"node": None, "prompt_id": "p"})
STATUS = dump("status", {"status": {"exec_info": {"queue_remaining": 0}}})
RUN = [START, NODE, EXECUTED, SUCCESS, STATUS, NULL]
ENTRY = {"outputs": {"9": {"images": [{"filename": "a.png"}]}}, "status": {"status_str": "success"}}


class Toy:
    """A source of few words: accepts every socket, runs the one prompt a step each 10 ms."""

    def __init__(self) -> None:
        self.socket, self.left, self.over = 0, list(RUN), False

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        match happened:
            case UpgradeRequested():
                self.socket = happened.socket
                yield Accept(happened.socket)
                yield Send((happened.socket,), STATUS)
            case RequestReceived() if posts(happened.request):
                yield Respond(
                    happened.exchange, Response(200, body=b'{"prompt_id": "p", "number": 1}')
                )
                yield Wake(now + 10_000)
            case RequestReceived():
                yield Respond(happened.exchange, Response(200, body=self.answer(happened.request)))
            case MessageReceived():
                yield Send((happened.socket,), str(happened.message))
            case Woke():
                yield from self.step(now)

    def step(self, now: int) -> Iterator[Action]:
        message = self.left.pop(0)
        self.over = self.over or message == SUCCESS
        yield Send((self.socket,), message)
        if self.left:
            yield Wake(now + 10_000)

    def answer(self, request: Request) -> bytes:
        if HISTORY(request):
            return json.dumps({"p": ENTRY} if self.over else {}).encode()
        return b'{"queue_running": [], "queue_pending": []}'

    def facts(self) -> Mapping[str, Any]:
        return {"left": len(self.left)}


KNOCK = UpgradeRequested(1, Request("GET", "/ws?clientId=me"))
POST = RequestReceived(
    2, Request("POST", "/prompt", body=b'{"prompt": {"9": {}}, "client_id": "me"}')
)
ASK = RequestReceived(3, Request("GET", "/history/p"))


class Rig:
    """A stage over the toy, with what came out of it."""

    def __init__(self, *operators: Operator) -> None:
        self.stage = Stage(Toy, operators, seed=5)
        self.now = 0
        self.out: list[tuple[int, Action]] = []
        self.wakes: list[int] = []

    def feed(self, *happened: Happened) -> list[Action]:
        fresh = []
        for one in happened:
            for action in self.stage.handle(one, self.now):
                if isinstance(action, Wake):
                    self.wakes.append(action.at)
                else:
                    fresh.append(action)
        self.out += [(self.now, action) for action in fresh]
        return fresh

    def run(self) -> Rig:
        """Let time go on to the end."""
        while self.wakes:
            self.now = max(self.now, self.wakes.pop(self.wakes.index(min(self.wakes))))
            self.feed(Woke())
        return self

    @property
    def sent(self) -> list[str | bytes]:
        return [action.message for _, action in self.out if isinstance(action, Send)]

    def times(self, message: str) -> list[int]:
        return [at for at, a in self.out if isinstance(a, Send) and a.message == message]

    def kinds(self) -> list[type]:
        return [type(action) for _, action in self.out]


def played(*operators: Operator) -> Rig:
    """A whole run of the toy under operators."""
    rig = Rig(*operators)
    rig.feed(KNOCK, POST)
    return rig.run()


def test_a_stage_without_operators_is_the_source_itself() -> None:
    assert played().sent == [STATUS, *RUN]


STREAMS = {
    "drop": (drop(event("executed"), "it"), [STATUS, START, NODE, SUCCESS, STATUS, NULL]),
    "drop after": (drop(anything, "it", after=event("execution_start")), [STATUS, START]),
    "drop twice": (drop(anything, "it", times=2), [NODE, EXECUTED, SUCCESS, STATUS, NULL]),
    "duplicate": (duplicate(event("execution_success"), "it", n=2), [STATUS, *RUN[:3], SUCCESS, *RUN[3:]]),  # noqa: E501
    "reorder": (reorder(event("executed"), event("execution_success"), "it"), [STATUS, START, NODE, SUCCESS, EXECUTED, STATUS, NULL]),  # noqa: E501
    "inject": (inject(["x"], "it", at=some_node), [STATUS, START, NODE, "x", *RUN[2:]]),
    "inject before": (inject(["x"], "it", at=some_node, before=True), [STATUS, START, "x", *RUN[1:]]),  # noqa: E501
    "coalesce": (coalesce(event("execution_start"), "it"), [STATUS, START + NODE, *RUN[2:]]),
    "mutate": (mutate(event("execution_start"), "it", lambda data: None), [STATUS, dump("execution_start", None), *RUN[1:]]),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_an_operator_changes_the_stream(name: str) -> None:
    operator, expected = STREAMS[name]

    rig = played(operator)

    assert rig.sent == expected
    assert rig.stage.finish() == []


def test_delay_sends_later_and_lets_the_rest_pass() -> None:
    rig = played(delay(event("executed"), "it", ms=1_000))

    assert rig.sent[-1] == EXECUTED
    assert rig.times(EXECUTED) == [1_030_000]


def test_stall_holds_everything_back_and_lets_it_go_in_one_burst() -> None:
    rig = played(stall("it", at=event("execution_start"), for_ms=500))

    assert rig.sent == [STATUS, *RUN]
    assert {rig.times(message)[-1] for message in RUN[1:]} == {520_000}


def test_cut_aborts_or_closes_and_nothing_is_sent_to_the_dead() -> None:
    assert played(cut("it", at=some_node)).out[-1][1] == Abort(1)
    assert played(cut("it", at=some_node, code=1011)).out[-1][1] == Close(1, 1011)


def test_hold_keeps_the_source_still_until_the_client_reacts() -> None:
    rig = played(hold("it", at=some_node))

    before = list(rig.sent)
    rig.feed(RequestReceived(9, Request("GET", "/view?filename=a")))
    still = list(rig.run().sent)
    rig.feed(ASK)
    rig.run()

    assert before == still == [STATUS, START, NODE]
    assert rig.sent == [STATUS, *RUN]


def test_freeze_goes_dead_without_a_word() -> None:
    rig = played(freeze("it", at=event("execution_start")))

    assert rig.out[-1][1] == Freeze(1)


def test_evict_lets_one_connection_have_its_first_frames_only() -> None:
    rig = Rig(evict("it", connection=2))
    rig.feed(KNOCK, UpgradeRequested(7, Request("GET", "/ws?clientId=me")), POST)
    rig.run()

    assert [a.sockets for _, a in rig.out if isinstance(a, Send)] == [(1,), (7,)]


def test_fragment_frames_messages_in_parts_that_join_to_the_whole() -> None:
    rig = played(fragment(event("execution_start"), "it", parts=3))

    raw = next(action for _, action in rig.out if isinstance(action, SendRaw))
    assert raw.data == framed(START, parts=3)
    assert raw.data[0] == 0x01
    assert START.encode()[-5:] == raw.data[-5:]


def test_the_first_frames_travel_with_the_accept() -> None:
    rig = Rig(with_the_handshake())

    assert rig.feed(KNOCK) == [Accept(1, first=framed(STATUS))]


def test_a_late_accept_keeps_its_frames_behind_it() -> None:
    rig = Rig(late_accept("it", ms=100))

    assert rig.feed(KNOCK) == []
    assert [type(action) for _, action in rig.run().out] == [Accept, Send]


def test_refuse_turns_away_the_first_attempts_only() -> None:
    rig = Rig(refuse("it", n=2, how=403, fits=knocks))

    answers = [rig.feed(UpgradeRequested(n, KNOCK.request))[0] for n in (1, 2, 3)]

    assert [type(one) for one in answers] == [Respond, Respond, Accept]


def test_refuse_lasts_at_least_as_long_as_it_is_told_to() -> None:
    rig = Rig(refuse("it", n=1, fits=attempts, least_ms=50))

    assert rig.feed(KNOCK) == [HangUp(1)]
    assert rig.feed(ASK) == [HangUp(3)]
    rig.run()
    assert isinstance(rig.feed(KNOCK)[0], Accept)


def test_a_crash_cuts_everything_and_a_fresh_source_comes_back() -> None:
    rig = played(crash("it", at=some_node, back_ms=100))

    assert [kind for kind in rig.kinds() if kind in (Abort, Listen)] == [Abort, Listen, Listen]
    assert rig.stage.scene.mine()[0].ending == "lost"
    assert rig.stage.facts()["left"] == len(RUN)


def test_a_crash_for_good_answers_nobody() -> None:
    rig = played(crash("it", at=some_node))

    assert rig.feed(ASK) == [HangUp(3)]


def test_a_flood_goes_on_at_its_rate() -> None:
    rig = played(flood("x", "x", at=event("execution_start"), rate_hz=100, n=5))

    assert rig.times("x") == [20_000, 30_000, 40_000, 50_000, 60_000]


def test_thin_leaves_out_what_comes_too_soon_but_never_the_last() -> None:
    rig = played(thin(any_of(event("executing"), event("executed")), "it", least_ms=1_000, last=no_node))  # noqa: E501  # fmt: skip

    assert rig.sent == [STATUS, START, NODE, SUCCESS, STATUS, NULL]


def test_reword_swallows_what_a_client_says() -> None:
    rig = Rig(reword("it", lambda said, scene: ()))

    assert rig.feed(KNOCK, MessageReceived(1, "hello"))[2:] == []


# --- HTTP ------------------------------------------------------------------------------------


def test_answer_replies_in_the_place_of_the_source() -> None:
    trouble = text_answer("trouble", 500)
    rig = Rig(answer(HISTORY, "it", trouble, times=1))

    assert rig.feed(ASK) == [Respond(3, trouble)]
    assert rig.feed(ASK)[0] != Respond(3, trouble)


def test_hang_never_answers() -> None:
    assert Rig(hang(HISTORY, "it")).feed(ASK) == []


def test_late_answers_later() -> None:
    rig = Rig(late(HISTORY, "it", ms=200))
    rig.feed(ASK)

    assert rig.run().out[0][0] == 200_000


def test_truncate_promises_more_than_it_sends() -> None:
    rig = Rig(truncate(HISTORY, "it", first=1))

    (reply,) = rig.feed(ASK)

    assert isinstance(reply, Respond)
    assert (reply.answer.body, reply.answer.close) == (b"{", True)
    assert ("Content-Length", "2") in reply.answer.headers


def test_a_hidden_entry_shows_up_behind_the_lag_and_the_reads() -> None:
    rig = played(*hide("it", lag_ms=100, reads=1))

    first, second = rig.feed(ASK), rig.run().feed(ASK)

    assert first[0].answer.body == b"{}"
    assert json.loads(second[0].answer.body) == {"p": ENTRY}


def test_patched_outputs_are_the_same_in_frames_and_history() -> None:
    more = {"text": ["a"]}
    rig = played(*patch_outputs("it", lambda node, output: {**output, **more}))

    frame = next(json.loads(m) for m in rig.sent if b"executed" in str(m).encode())
    (reply,) = rig.feed(ASK)

    assert json.loads(reply.answer.body)["p"]["outputs"]["9"] == frame["data"]["output"]
    assert frame["data"]["output"]["text"] == ["a"]


def test_under_a_prefix_there_is_nothing_else() -> None:
    rig = Rig(under_prefix("/p/"))

    assert rig.feed(ASK) == [Respond(3, Response(404))]
    assert rig.feed(RequestReceived(4, Request("GET", "/p/history/p")))[0].answer.status == 200


# --- people, journal, complaints -------------------------------------------------------------


def test_a_stranger_is_seen_and_belongs_to_nobody_here() -> None:
    rig = played(stranger("it", lambda who: who.success(), at=some_node))

    foreign = {look(message).prompt_id for message in rig.sent} - {None, "p"}
    assert len(foreign) == 1


def test_an_operator_that_matched_nothing_complains() -> None:
    rig = played(drop(event("execution_error"), "errors"))

    (complaint,) = rig.stage.finish()

    assert str(complaint) == "the operator 'drop errors' matched nothing that was sent or asked"


def test_what_a_client_may_leave_undone_is_named_only_when_nothing_else_happened() -> None:
    lonely, busy = Rig(hang(HISTORY, "it")), played(hang(HISTORY, "it"), drop(event("status"), "s"))

    assert [str(one) for one in lonely.stage.finish()] == ["the client never came to 'hang it'"]
    assert busy.stage.finish() == []


def test_the_journal_tells_who_did_what() -> None:
    rig = played()

    told = [(note.what, note.detail) for note in rig.stage.scene.journal]

    assert told[0] == ("knocked", "me")
    assert ("asked", "POST /prompt") in told
    assert ("ended", "success p") in told


def test_operators_stand_in_a_row_the_first_nearest_to_the_client() -> None:
    def both() -> tuple[Operator, Operator]:
        return drop(event("x"), "x"), inject([dump("x", {})], "x", at=some_node)

    assert dump("x", {}) not in played(*both()).sent
    assert dump("x", {}) in played(*reversed(both())).sent


@given(st.lists(st.sampled_from(RUN), max_size=6), st.integers(1, 5))
def test_fragments_join_to_the_message(messages: list[str], parts: int) -> None:
    for message in messages:
        assert joined(framed(message, parts=parts)) == message.encode()


def joined(data: bytes) -> bytes:
    """The payloads of short and medium frames, one behind the other."""
    whole = b""
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        whole, data = whole + data[start : start + size], data[start + size :]
    return whole


LOOKS = {
    "an event": ('{"type": "x", "data": {"a": NaN}}', "x"),
    "a list": ("[1]", ""),
    "no json": ("<html>", ""),
    "no type": ('{"data": 1}', ""),
    "deep": ("[" * 5_000, ""),
    "data is a list": ('{"type": "x", "data": []}', "x"),
}


@pytest.mark.parametrize("message, kind", LOOKS.values(), ids=LOOKS)
def test_a_look_never_fails(message: str, kind: str) -> None:
    assert look(message).type == kind


def test_binary_frames_are_told_apart_by_their_kind() -> None:
    frame = look(b"\x00\x00\x00\x01rest")

    assert binary(1)(frame)
    assert not binary(4)(frame)
    assert not event()(frame)
    assert route("GET /history/{}")(ASK.request)
