"""What is noted of a server: bounded by size, the oldest forgotten first."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from comfyrec.testing import observed
from comfyrec.testing.observed import Witness
from fake_server.source import (
    Action,
    Happened,
    Request,
    RequestReceived,
    Respond,
    RespondMore,
    Response,
    Send,
    Source,
    Woke,
)


class Scripted(Source):
    """Does what it is told to do next."""

    def __init__(self) -> None:
        self.next: list[Action] = []

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        yield from self.next


@pytest.fixture
def source() -> Scripted:
    return Scripted()


@pytest.fixture
def witness(source: Scripted) -> Witness:
    return Witness(source)


def passes(witness: Witness, source: Scripted, happened: Happened, *actions: Action) -> None:
    source.next = list(actions)
    list(witness.handle(happened, 0))


def asked(exchange: int, body: bytes = b"", target: str = "/upload/image") -> RequestReceived:
    return RequestReceived(exchange, Request("POST", target, (), body))


def test_of_too_many_bytes_of_frames_the_newest_stay(
    witness: Witness, source: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "FRAMES_BYTES_MAX", 100)

    for number in range(50):
        passes(witness, source, Woke(), Send((1, 2), bytes([number]) * 10))

    assert [message[0] for _, _, message in witness.frames] == [
        number for number in range(45, 50) for _socket in (1, 2)
    ]


def test_of_too_many_frames_the_newest_stay(
    witness: Witness, source: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "FRAMES_MAX", 3)

    for number in range(9):
        passes(witness, source, Woke(), Send((1,), str(number)))

    assert [message for _, _, message in witness.frames] == ["6", "7", "8"]


def test_of_too_many_bytes_of_bodies_the_newest_requests_stay(
    witness: Witness, source: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "REQUESTS_BYTES_MAX", 100)

    for number in range(50):
        answer = Respond(number, Response(200, (), b"b" * 10))
        passes(witness, source, asked(number, b"a" * 10), answer)

    assert [request.serial for request in witness.requests] == [46, 47, 48, 49, 50]


def test_a_request_without_an_answer_stays(
    witness: Witness, source: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "REQUESTS_BYTES_MAX", 100)
    passes(witness, source, asked(0, b"a" * 50))

    for number in range(1, 50):
        passes(witness, source, asked(number, b"a" * 50), Respond(number, Response(200, (), b"")))

    assert [request.status for request in witness.requests] == [None, 200, 200]


def test_an_answer_in_pieces_counts_when_it_has_ended(
    witness: Witness, source: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "REQUESTS_BYTES_MAX", 100)

    for number in range(9):
        passes(
            witness,
            source,
            asked(number),
            Respond(number, Response(200, (), b""), more=True),
            RespondMore(number, b"b" * 60, last=True),
        )

    assert [request.answer for request in witness.requests] == [b"b" * 60]


def test_a_prompt_is_forgotten_with_its_request(
    witness: Witness, source: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"prompt": {}}).encode()
    answers = [json.dumps({"prompt_id": str(number)}).encode() for number in range(9)]
    monkeypatch.setattr(
        observed, "REQUESTS_BYTES_MAX", 3 * (len(body) * observed.PARSED + len(answers[0]))
    )

    for number, answer in enumerate(answers):
        passes(
            witness,
            source,
            asked(number, body, "/prompt"),
            Respond(number, Response(200, (), answer)),
        )

    assert [prompt.prompt_id for prompt in witness.prompts] == ["6", "7", "8"]
    assert len(witness.requests) == 3
