"""How a client finds its server, step by step."""

from __future__ import annotations

from typing import Any

import pytest

from comfyrec.client.address import parse
from comfyrec.client.http.exchange import HttpRequest, HttpResponse, Unanswered
from comfyrec.client.http.startup import AwaitMessage, AwaitSocket, SocketWaited, start_up

SECOND = 1_000_000
HERE = parse("127.0.0.1:8188", where="server")
DEADLINE = 10 * SECOND
OPEN = SocketWaited(connected=True, now=0)
CLOSED = SocketWaited(connected=False, now=0)
TOO_LATE = SocketWaited(connected=False, now=DEADLINE)


def played(*answers: Any) -> tuple[list[Any], Any]:
    """All steps, and the address that was found in the end."""
    conversation = start_up(HERE, deadline=DEADLINE)
    steps = [next(conversation)]
    for answer in answers:
        try:
            if isinstance(answer, Unanswered):
                steps.append(conversation.throw(answer))
            else:
                steps.append(conversation.send(answer))
        except StopIteration as end:
            return steps, end.value
    raise AssertionError(f"it goes on with {steps[-1]}")


def test_an_open_websocket_is_enough_and_its_first_message_is_awaited() -> None:
    steps, address = played(OPEN, None)

    assert steps == [AwaitSocket(DEADLINE), AwaitMessage()]
    assert address == HERE


def test_a_server_that_refuses_the_websocket_is_used_by_http() -> None:
    steps, address = played(CLOSED, HttpResponse(status=200))

    assert steps[1] == HttpRequest(path=HERE.url("/queue"), timeout_s=10.0)
    assert address == HERE


@pytest.mark.parametrize("status, path", [(200, "/api"), (404, "")])
def test_the_routes_may_be_below_api_only(status: int, path: str) -> None:
    steps, address = played(CLOSED, HttpResponse(status=404), HttpResponse(status=status))

    assert steps[2].path == HERE.below("/api").url("/queue")
    assert address.path == path


def test_a_server_that_is_starting_is_awaited() -> None:
    steps, address = played(
        CLOSED, Unanswered("refused"), CLOSED, HttpResponse(status=503), OPEN, None
    )

    assert [type(step) for step in steps] == [
        AwaitSocket, HttpRequest, AwaitSocket, HttpRequest, AwaitSocket, AwaitMessage,
    ]  # fmt: skip
    assert address == HERE


def test_a_server_that_still_starts_at_the_deadline_is_used_all_the_same() -> None:
    _, address = played(TOO_LATE, HttpResponse(status=503))

    assert address == HERE


def test_a_server_that_never_answers_is_given_up_at_the_deadline() -> None:
    with pytest.raises(Unanswered, match="refused"):
        played(CLOSED, Unanswered("refused"), TOO_LATE, Unanswered("refused"))
