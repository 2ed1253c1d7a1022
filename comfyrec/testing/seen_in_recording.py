"""A recording -> what a test would have seen of its client, had the server been a fake one."""

from __future__ import annotations

from collections.abc import Iterator

from comfyrec.testing.observed import Seen, SeenPrompt, SeenRequest, SeenSocket
from comfyrec.timeline import Exchange, Side, Socket, Timeline

__all__ = ["seen_in"]


def seen_in(timeline: Timeline) -> Seen:
    """All of it; times are microseconds since the recording began."""
    start = timeline.t
    requests = {
        exchange.number: _request(exchange, start)
        for exchange in timeline.exchanges
        if exchange.status != 101 and exchange.request.start
    }
    prompts = [
        SeenPrompt(
            requests[prompt.submitted],
            prompt.prompt_id,
            prompt.graph,
            prompt.client_id,
            prompt.extra_data,
        )
        for prompt in timeline.prompts
        if prompt.submitted in requests
    ]
    sockets = [_socket(socket, start) for socket in timeline.sockets]
    frames = sorted(_frames(timeline), key=lambda frame: frame[0])
    return Seen(list(requests.values()), prompts, sockets, [frame[1:] for frame in frames])


def _request(exchange: Exchange, start: int) -> SeenRequest:
    asked = exchange.asked
    return SeenRequest(
        t=exchange.request.t - start,
        serial=exchange.request.at,
        method=exchange.method,
        path=exchange.path,
        query={name: list(values) for name, values in asked.query.items()},
        headers=exchange.request.headers,
        body=exchange.request.body,
        status=exchange.status,
        answer=exchange.response_body,
    )


def _socket(socket: Socket, start: int) -> SeenSocket:
    closing = socket.closing
    return SeenSocket(
        number=socket.number,
        opened_t=socket.upgrade.request.t - start,
        serial=socket.upgrade.request.at,
        client_id=socket.client_id,
        headers=socket.upgrade.request.headers,
        accepted=True,
        closed_t=None if closing is None else closing.t - start,
        received=[message.data for message in socket.messages if message.side is Side.CLIENT],
    )


def _frames(timeline: Timeline) -> Iterator[tuple[int, int, int, str | bytes]]:
    """(place, microseconds, socket, message) of what the clients got."""
    for socket in timeline.sockets:
        for message in socket.received:
            yield message.at, message.t - timeline.t, socket.number, message.data
