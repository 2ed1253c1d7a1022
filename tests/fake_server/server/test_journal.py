"""The journal: what is noted, what is hidden, and what is forgotten first."""

from __future__ import annotations

from typing import Any

import pytest

from fake_server.server.journal import ENTRIES_MAX, TEXT_MAX, Journal
from fake_server.source import (
    Abort,
    Close,
    Disconnected,
    HangUp,
    Happened,
    MessageReceived,
    Request,
    RequestAborted,
    RequestReceived,
    Respond,
    Response,
    Send,
    UpgradeRequested,
    Woke,
)

ASKED = Request("POST", "/prompt?token=s3cret", (("Authorization", "Bearer s3cret"),), b"{}")

INPUTS: dict[str, tuple[Happened, dict[str, Any]]] = {
    "an upgrade": (
        UpgradeRequested(7, Request("GET", "/ws?clientId=me")),
        {"what": "upgrade", "number": 7, "target": "/ws?clientId=me"},
    ),
    "a message": (MessageReceived(7, "hi"), {"what": "received", "number": 7, "text": "hi"}),
    "a client that left": (Disconnected(7, 1001), {"what": "left", "number": 7, "code": 1001}),
    "a dropped request": (RequestAborted(3), {"what": "dropped", "number": 3}),
}
ACTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "an answer": (
        Respond(3, Response(404, (), b"no")),
        {"what": "answer", "number": 3, "status": 404, "text": "no"},
    ),
    "a message": (Send((7, 8), "hi"), {"what": "sent", "sockets": [7, 8], "text": "hi"}),
    "a binary message": (Send((7,), b"\0\1"), {"what": "sent", "head_hex": "0001"}),
    "a close": (Close(7, 1001), {"what": "closed", "number": 7, "code": 1001}),
    "a cut socket": (Abort(7), {"what": "cut", "number": 7}),
    "a cut exchange": (HangUp(3), {"what": "cut", "number": 3}),
}


@pytest.mark.parametrize(("happened", "noted"), INPUTS.values(), ids=INPUTS)
def test_what_comes_from_outside_is_noted(happened: Happened, noted: dict[str, Any]) -> None:
    journal = Journal()

    journal.happened(happened, 5)

    [entry] = journal.entries()
    assert entry.items() >= {"serial": 0, "t": 5, **noted}.items()


@pytest.mark.parametrize(("action", "noted"), ACTIONS.values(), ids=ACTIONS)
def test_what_goes_out_is_noted(action: Any, noted: dict[str, Any]) -> None:
    journal = Journal()

    journal.acted(action, 5)

    [entry] = journal.entries()
    assert entry.items() >= {"serial": 0, "t": 5, **noted}.items()


def test_the_hints_of_an_answer_are_noted_together() -> None:
    journal = Journal()
    headers = (("X-Fake-Hint", "start it"), ("X-Comfyrec-Made", "up"), ("X-Fake-Hint", "send it"))

    journal.acted(Respond(3, Response(400, headers, b"")), 5)

    [entry] = journal.entries()
    assert (entry["hint"], entry["made"]) == ("start it; send it", "up")


def test_waking_up_is_not_worth_an_entry() -> None:
    journal = Journal()

    journal.happened(Woke(), 5)

    assert list(journal.entries()) == []


def test_secrets_of_a_request_are_hidden() -> None:
    journal = Journal()

    journal.happened(RequestReceived(1, ASKED), 0)

    assert "s3cret" not in str(list(journal.entries()))


def test_a_note_of_a_test_stands_between_the_others() -> None:
    journal = Journal()
    journal.acted(Send((1,), "a"), 0)
    journal.note(0, "held", "at executing")
    journal.acted(Send((1,), "b"), 0)

    told = [(entry["what"], entry.get("text")) for entry in journal.entries()]

    assert told == [("sent", "a"), ("held", "at executing"), ("sent", "b")]


def test_messages_of_one_moment_are_entries_of_their_own() -> None:
    journal = Journal()
    for text in "abc":
        journal.acted(Send((1,), text), 9)

    assert [(e["serial"], e["t"], e["text"]) for e in journal.entries()] == [
        (0, 9, "a"), (1, 9, "b"), (2, 9, "c"),
    ]  # fmt: skip
    assert [e["text"] for e in journal.entries(after=1)] == ["c"]
    assert list(journal.entries(what="answer")) == []


def test_the_oldest_entries_are_forgotten_and_counted() -> None:
    journal = Journal()
    for number in range(ENTRIES_MAX + 10):
        journal.happened(RequestAborted(number), number)

    entries = list(journal.entries())

    assert len(entries) == ENTRIES_MAX
    assert entries[0]["number"] == journal.forgotten == 10


def test_a_long_body_is_cut_and_says_so() -> None:
    journal = Journal()

    journal.happened(MessageReceived(1, "x" * (TEXT_MAX + 1)), 0)

    [entry] = journal.entries()
    assert entry["cut"] is True
    assert entry["size_bytes"] == TEXT_MAX + 1
    assert len(entry["text"]) == TEXT_MAX


def test_serial_numbers_go_on_after_clearing() -> None:
    journal = Journal()
    journal.happened(RequestAborted(1), 0)

    journal.clear()
    journal.happened(RequestAborted(2), 0)

    assert [(e["serial"], e["number"]) for e in journal.entries()] == [(1, 2)]
