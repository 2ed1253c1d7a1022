"""Answers on their way out: at once, in pieces, or cut.

An answer leaves in the order in which the source said so. One that comes in pieces is written piece
by piece as it is told, in chunks where the client can read chunks.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

import msgspec
from aiohttp.tcp_helpers import tcp_nodelay

from comfyrec.cassette.files.body_file import FileBody
from comfyrec.http.large_body import StoredBody, pieces_of
from fake_server.server.exchange import Exchange
from fake_server.server.http_response import chunk, head_of_pieces, whole
from fake_server.source import HangUp, Respond, RespondMore, Response

__all__ = ["answer_begun", "answer_goes_on", "answer_stored", "answer_whole", "hang_up"]

_AHEAD_BYTES: Final = 1 << 20
"""Of a body that is not sent by the system, what may wait for the client."""
_LOOK_AGAIN_S: Final = 0.002


def answer_whole(exchange: Exchange, answer: Response) -> None:
    """Write an answer that is whole."""
    if exchange.over:
        return
    request = exchange.request
    exchange.stays = request.keep_alive and not answer.close
    if request.transport is not None and not request.transport.is_closing():
        written = whole(answer, request, exchange.stays)
        request.transport.write(written)
        exchange.stays &= bool(written)
        if not written:
            request.transport.close()
    exchange.finish()


async def answer_stored(exchange: Exchange, answer: Response, body: StoredBody) -> None:
    """Write an answer whose body stands in a file, as quickly as its client reads it."""
    request = exchange.request
    transport = request.transport
    fields = (*answer.headers, ("Content-Length", str(body.size)))
    head = head_of_pieces(
        msgspec.structs.replace(answer, headers=fields), request, request.keep_alive
    )
    exchange.stays = request.keep_alive and not answer.close and bool(head.written)
    try:
        if transport is None or transport.is_closing():
            return
        transport.write(head.written)
        if not head.bodiless:
            await _send_file(transport, body)
    except (OSError, RuntimeError):
        # The client is gone, or has half an answer that cannot be mended.
        exchange.stays = False
        if transport is not None:
            transport.abort()
    finally:
        exchange.finish()


async def _send_file(transport: asyncio.Transport, body: StoredBody) -> None:
    """By the system from file to socket, where it can; else in pieces."""
    loop = asyncio.get_running_loop()
    if isinstance(body, FileBody) and transport.get_extra_info("sslcontext") is None:
        with os.fdopen(os.dup(body.file.fd), "rb", buffering=0) as file:
            for at, size in body.extents:
                await loop.sendfile(transport, file, at, size)
        return
    for piece in pieces_of(body):
        transport.write(piece)
        while transport.get_write_buffer_size() > _AHEAD_BYTES:
            if transport.is_closing():
                raise ConnectionResetError("the client is gone")
            await asyncio.sleep(_LOOK_AGAIN_S)


def answer_begun(exchange: Exchange, action: Respond) -> bool:
    """Write the head of an answer in pieces and its first piece; whether more of it may come."""
    request, answer = exchange.request, action.answer
    if exchange.over or request.transport is None or request.transport.is_closing():
        exchange.finish()
        return False
    # Each piece is to leave when it is told, not when the one before it was acknowledged.
    tcp_nodelay(request.transport, True)
    head = head_of_pieces(answer, request, request.keep_alive and not answer.close)
    exchange.begun, exchange.chunked = True, head.chunked
    exchange.stays = request.keep_alive and not answer.close and head.ends_itself
    if head.written:
        request.transport.write(head.written)
    else:
        request.transport.close()
    if head.bodiless:
        exchange.finish()
    return not head.bodiless


def answer_goes_on(exchange: Exchange, action: RespondMore, *, outgoing_max: int) -> None:
    """Write one more piece; with the last one the answer is over."""
    transport = exchange.request.transport
    if exchange.over or transport is None or transport.is_closing():
        return
    written = chunk(action.data, last=action.last) if exchange.chunked else action.data
    transport.write(written)
    if transport.get_write_buffer_size() > outgoing_max:
        # It does not read, and what waits for it must not fill the memory.
        transport.abort()
    elif action.last:
        exchange.finish()


def hang_up(exchange: Exchange, action: HangUp) -> None:
    """Cut the connection, after some bytes of an answer where there are to be some."""
    transport = exchange.request.transport
    if transport is None:
        return
    if action.answer is not None and action.first:
        transport.write(whole(action.answer, exchange.request, True)[: action.first])
        transport.close()
    elif exchange.begun:
        # What has been said is to arrive; an abort would throw it away.
        transport.close()
    else:
        transport.abort()
