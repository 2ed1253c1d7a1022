"""One connection of a client and its connection to the upstream: bytes, ends, refusals.

Each accepted connection has one connection of its own to the upstream, dialled when the first whole
request is there. For each chunk: the tap reads it, the recorder writes down what was seen, then the
bytes go on. Ends are passed on as what they are: a half-close, a close, a reset. A side that does
not read holds the other one up, and nobody else; the recorder holds up nobody.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import struct
from functools import partial
from typing import Final

from comfyrec.cassette.records import Side
from comfyrec.proxy.connections import Connections
from comfyrec.proxy.link_halves import ServerHalf
from comfyrec.wire.tap import Step, Stop

__all__ = ["NO_MORE_FILES", "ProxyLink", "apart_from_upgrade", "reason"]

CONNECT_S: Final = 10.0
"""How long the upstream may take to accept; a person waits no longer for a 504."""
LINGER_S: Final = 2.0
"""How long a refused client may go on sending before its connection is cut. Cutting it at once
would throw away the answer that it has not read yet (RFC 9112 section 9.6)."""
CLOSE_S: Final = 1.0
"""How long the upstream may take to end a connection that the client wanted to end."""
ORPHAN_S: Final = 60.0
"""How long a client may keep its half open when the upstream has closed; as long as Linux keeps
such a connection (tcp_fin_timeout)."""
APART_S: Final = 0.002
"""How long the first frames are held behind the 101: until a client has read it by itself."""
NO_MORE_FILES: Final = (
    "no more connections can be opened, since this process may open no more files; "
    "raise the limit, as with 'ulimit -n 4096'"
)

_PHRASES: Final = {
    400: "Bad Request",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    502: "Bad Gateway",
    504: "Gateway Timeout",
    508: "Loop Detected",
    505: "HTTP Version Not Supported",
}


class ProxyLink:
    """One client connection and its upstream connection."""

    def __init__(self, relay: Connections, client: asyncio.Transport) -> None:
        self._relay, self._recorder = relay, relay.recorder
        self._tap = relay.new_tap()
        self._client = client
        self._server: asyncio.Transport | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._waiting: list[bytes] = []
        self._client_ended = self._server_ended = False
        self._client_full = self._server_full = False
        self._heard = False
        self._deaf = False  # what the client sends is thrown away
        self._over = False  # nothing is passed on any more
        self._client_told = False  # the client knows that nothing more comes
        self._refusal: Stop | None = None  # to be said when everything before is answered
        self._reset_when_drained = False
        self._timer: asyncio.TimerHandle | None = None
        self._held: list[bytes] = []  # frames that wait for the 101 to be read
        # With no slack, a side is held up as soon as the other one's socket is full, and the
        # transport says when the last byte is out.
        client.set_write_buffer_limits(high=0)
        relay.opened(self)
        self._number = self._recorder.new_conn()
        self._peername = peer = client.get_extra_info("peername") or ("",)
        self._dialled_from: object = None
        self._peer = ":".join(str(part) for part in peer[:2])
        self._recorder.opened(self._number, self._peer)

    # --- bytes -----------------------------------------------------------------------------

    def client_said(self, data: bytes) -> None:
        if not self._deaf:
            try:
                step = self._tap.client(data)
            except Exception as fault:
                step = self._blind(fault, data, of_client=True)
            self._go_on(step)

    def _go_on(self, step: Step) -> None:
        if step.seen:
            self._recorder.keep(self._number, Side.CLIENT, step.seen)
        if step.onward:
            self._to_server(step.onward)
        if step.stop is not None:
            self._refuse_in_turn(step.stop)

    def server_said(self, data: bytes) -> None:
        if not self._heard:
            self._heard = True
            if (
                self._relay.context is None
                and data[:1] in (b"\x15", b"\x16")
                and data[1:2] == b"\x03"
            ):
                self._unreachable("tls", "it speaks TLS; say https:// instead of http://", 502)
                return
            self._relay.answered.set()
        tap = self._tap
        try:
            step = tap.server(data)
        except Exception as fault:
            step = self._blind(fault, data, of_client=False)
        if step.seen:
            self._recorder.keep(self._number, Side.SERVER, step.seen)
        if step.onward:
            self._relay.relayed += len(step.onward)
            self._to_client(step.onward)
        if step.stop is not None:
            self._relay.say(step.stop.why)
            self._hang_up()
        elif tap.resumes or tap.finished or self._refusal is not None or self._client_ended:
            self._answered()

    def _to_client(self, data: bytes) -> None:
        """Pass on; the first frames leave a moment behind the 101, as the server had it.

        A client that reads up to the blank line and takes what it has got for the head would lose
        a frame that comes along.
        """
        if self._held:
            self._held.append(data)
            return
        head, frames = apart_from_upgrade(data)
        self._client.write(head)
        if frames is not None:
            self._held = [frames]
            asyncio.get_running_loop().call_later(APART_S, self._release)
            if self._server is not None:
                self._server.pause_reading()

    def _release(self) -> None:
        # An empty piece would keep asyncio from ever seeing its buffer empty, from Python 3.12 on.
        held, self._held = list(filter(None, self._held)), []
        if held and not self._client.is_closing():
            self._client.writelines(held)
        if self._server is not None and not self._client_full:
            self._server.resume_reading()

    def _answered(self) -> None:
        """After each step of the server: what waited for an answer may go on."""
        if self._tap.resumes:
            self._go_on(self._tap.resume())
        if self._refusal is not None and not self._tap.outstanding:
            self._refuse(self._refusal)
        elif self._client_ended and not self._tap.outstanding and not self._can_half_close():
            self._close()
        elif self._tap.finished and not self._server_ended and self._timer is None:
            # The upstream ends the connection, as it was asked to; if not, we do.
            self._timer = asyncio.get_running_loop().call_later(CLOSE_S, self._hang_up)

    def _blind(self, fault: Exception, data: bytes, *, of_client: bool) -> Step:
        """A fault of ours in the tap: from now on relay without reading."""
        self._relay.say(
            f"this connection is recorded as raw bytes: {type(fault).__name__}: {fault}"
        )
        return self._tap.give_up(data, of_client=of_client)

    def _to_server(self, data: bytes) -> None:
        self._relay.relayed += len(data)
        if self._server is not None:
            self._server.write(data)
            return
        self._waiting.append(data)
        if self._dialling is None:
            self._client.pause_reading()
            self._dialling = asyncio.get_running_loop().create_task(self._dial())

    # --- the upstream ----------------------------------------------------------------------

    async def _dial(self) -> None:
        upstream, context = self._relay.upstream, self._relay.context
        if self._peername in self._relay.dialled:
            self._unreachable("loop", "it leads back to this recorder; give the server's", 508)
            return
        connect = asyncio.get_running_loop().create_connection(
            partial(ServerHalf, self, self._relay.room),
            upstream.host,
            upstream.port,
            ssl=context,
            server_hostname=upstream.host if context is not None else None,
        )
        try:
            transport, _ = await asyncio.wait_for(connect, CONNECT_S)
        except TimeoutError:
            self._unreachable("timeout", f"no connection within {CONNECT_S:g} s", 504)
        except ssl.SSLCertVerificationError as why:
            self._unreachable(
                "tls",
                f"its certificate does not hold ({why.verify_message}); give --ca or --insecure",
                502,
            )
        except ssl.SSLError as why:
            self._unreachable(
                "tls", f"no TLS with it ({why.reason or why}); if it is plain, say http://", 502
            )
        except (OSError, UnicodeError) as why:
            if getattr(why, "errno", 0) in (errno.EMFILE, errno.ENFILE):
                self._unreachable("unreachable", NO_MORE_FILES, 502)
            elif _is_refusal(why):
                self._unreachable("refused", "it refuses the connection; is the server up?", 502)
            else:
                self._unreachable("unreachable", f"{reason(why)}; is the name right?", 502)
        else:
            self._connected(transport)

    def _connected(self, transport: asyncio.Transport) -> None:
        if self._client.is_closing():
            transport.abort()
            return
        self._server = transport
        self._dialled_from = transport.get_extra_info("sockname")
        self._relay.dialled.add(self._dialled_from)
        if self._relay.context is None:
            transport.set_write_buffer_limits(high=0)
        transport.writelines(self._waiting)
        self._waiting.clear()
        if self._client_ended:
            self._end_server()
        elif not self._server_full:
            self._client.resume_reading()

    def _unreachable(self, how: str, why: str, status: int) -> None:
        sentence = f"--upstream {self._relay.upstream.url}: {why}"
        self._recorder.closed(self._number, Side.SERVER, how, sentence)
        self._server_ended = True
        self._relay.say(sentence)
        self._refuse(Stop(sentence, status))

    # --- refusing --------------------------------------------------------------------------

    def _refuse_in_turn(self, stop: Stop) -> None:
        self._relay.say(f"{self._peer.rpartition(':')[0]} was refused: {stop.why}")
        self._deaf = True
        if stop.torn:
            if self._server is not None:
                _reset(self._server)
            if self._tap.begun:
                self._hang_up()
            else:
                self._refuse(stop)
        elif self._tap.outstanding:
            self._refusal = stop
        else:
            self._refuse(stop)

    def _refuse(self, stop: Stop) -> None:
        """Answer the client ourselves, and end."""
        self._refusal = None
        body = f"comfyrec record: {stop.why}\n".encode()
        head = (
            f"HTTP/1.1 {stop.status} {_PHRASES[stop.status]}\r\n"
            f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n"
        )
        self._recorder.note(self._number, "refused", f"{stop.status} {stop.why}")
        if not self._client_told:
            self._client.write(head.encode() + body)
        self._hang_up()

    def _hang_up(self) -> None:
        """End both sides; the client may read what it was sent."""
        self._deaf = self._over = True
        if self._server is not None:
            self._server.abort()
        if self._client_ended:
            self._client.close()
            return
        self._tell_client()
        self._client.resume_reading()
        self._close_after(LINGER_S)

    def _tell_client(self) -> None:
        self._client_told = True
        self._client.write_eof()

    def _close_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._close)

    def _close(self) -> None:
        self._client.close()
        if self._server is not None:
            self._server.close()

    # --- ends ------------------------------------------------------------------------------

    def _end_of_client(self) -> None:
        """Nothing more comes from the client: what waited for more of it goes on now."""
        seen, rest, _ = self._tap.client_eof()
        self._recorder.keep(self._number, Side.CLIENT, seen)
        if rest and self._server is not None and not self._over:
            self._to_server(rest)

    def _end_of_server(self) -> None:
        """The same for the server."""
        seen, rest, _ = self._tap.server_eof()
        self._recorder.keep(self._number, Side.SERVER, seen)
        if self._held:
            self._release()
        if rest and not self._over:
            self._relay.relayed += len(rest)
            self._client.write(rest)

    def client_ended(self) -> bool:
        self._client_ended = True
        self._end_of_client()
        self._recorder.closed(self._number, Side.CLIENT, "eof")
        if self._server is not None and not self._over:
            self._end_server()
        elif self._over or self._dialling is None:
            self._client.close()
        return True

    def _can_half_close(self) -> bool:
        return self._server is not None and self._server.can_write_eof()

    def _end_server(self) -> None:
        """The client will send no more: tell the upstream as far as its transport can."""
        assert self._server is not None
        if self._server_ended:
            self._close()
        elif self._server.can_write_eof():
            self._server.write_eof()
            self._close_after(ORPHAN_S)
        elif not self._tap.outstanding:
            self._close()

    def server_ended(self) -> bool:
        self._server_ended = True
        self._end_of_server()
        self._recorder.closed(self._number, Side.SERVER, "eof")
        self._pass_on_end()
        return self._relay.context is None  # TLS ends both ways at once

    def _pass_on_end(self) -> None:
        if not self._heard:
            self._relay.say(
                f"--upstream {self._relay.upstream.url}: it closed a connection without an answer; "
                f"if it speaks TLS, say https://"
            )
        if self._refusal is not None and not self._tap.begun:
            self._refuse(self._refusal)
        elif self._client_ended:
            self._close()
        else:
            self._tell_client()
            self._close_after(ORPHAN_S)

    def server_is_gone(self, trouble: Exception | None) -> None:
        if self._over or self._client.is_closing():
            return
        if trouble is None:
            if not self._server_ended:
                self.server_ended()
            return
        if self._refusal is not None and not self._tap.begun:
            self._refuse(self._refusal)
            return
        cut = self._tap.answering
        if not self._server_ended:
            self._server_ended = True
            self._end_of_server()
            self._recorder.closed(self._number, Side.SERVER, "reset", reason(trouble))
        if cut or self._client_ended:
            self._reset_client()
        else:
            # The answer is complete: let it be read, though the client may still be sending.
            self._hang_up()

    def _reset_client(self) -> None:
        if self._client_full:
            self._reset_when_drained = True
        else:
            _reset(self._client)

    def client_is_gone(self, trouble: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._client_ended:
            self._client_ended = True
            self._end_of_client()
            how = "eof" if trouble is None else "reset"
            self._recorder.closed(self._number, Side.CLIENT, how, reason(trouble))
        if self._dialling is not None:
            self._dialling.cancel()
        if self._server is not None and not self._server.is_closing():
            self._server.close() if trouble is None else _reset(self._server)
        self._relay.dialled.discard(self._dialled_from)
        self._relay.ended(self, left_out=self._tap.left_out)

    def stop(self) -> None:
        """The recording ends."""
        if not self._client_ended:
            self._end_of_client()
        if not self._server_ended and self._server is not None:
            self._end_of_server()
        self._deaf = self._over = True
        self._recorder.note(
            self._number, "stopped", "the recording ended before the connection did"
        )
        self._client_ended = self._server_ended = True
        self._client.close()
        if self._server is not None:
            self._server.abort()

    # --- flow ------------------------------------------------------------------------------

    def client_is_full(self) -> None:
        self._client_full = True
        if self._server is not None:
            self._server.pause_reading()

    def client_is_ready(self) -> None:
        self._client_full = False
        if self._reset_when_drained:
            _reset(self._client)
        elif self._server is not None and not self._held:
            self._server.resume_reading()

    def server_is_full(self) -> None:
        self._server_full = True
        self._client.pause_reading()

    def server_is_ready(self) -> None:
        self._server_full = False
        self._client.resume_reading()


def apart_from_upgrade(data: bytes) -> tuple[bytes, bytes | None]:
    """The head of a 101 answer, and the frames that came along; None: it is no such head."""
    if not data.startswith((b"HTTP/1.1 101 ", b"HTTP/1.0 101 ")):
        return data, None
    head, blank, frames = data.partition(b"\r\n\r\n")
    return head + blank, frames


def _reset(transport: asyncio.Transport) -> None:
    """End a connection so that the other end sees a reset."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _is_refusal(trouble: Exception) -> bool:
    # A name with several addresses gives one error that lists them all.
    return isinstance(trouble, ConnectionRefusedError) or (
        f"[Errno {errno.ECONNREFUSED}]" in str(trouble)
    )


def reason(trouble: BaseException | None) -> str:
    """Why a connection failed, as the system says it."""
    if trouble is None:
        return ""
    if isinstance(trouble, OSError) and trouble.strerror:
        words = trouble.strerror.partition(" (")[0]
        return words[:1].lower() + words[1:]
    return str(trouble) or type(trouble).__name__
