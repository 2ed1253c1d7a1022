"""Two raw ends and the relay between them: bytes, ends, refusals, and what is recorded."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path

import pytest
import websockets

from comfyrec.cassette.records import AnyRecord, Closed, HttpPart, Note, Opened, Raw, Side, WsFrame
from comfyrec.proxy.link import apart_from_upgrade
from comfyrec.proxy.upstream import tls_context
from tests.support.proxy_harness import Stage, Upstream, play, reset, staged

CERTIFICATE = Path(__file__).with_name("localhost.pem")
GET = b"GET /queue HTTP/1.1\r\nHost: 127.0.0.1:8188\r\n\r\n"
BYE = b"GET /queue HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
UPGRADE = (
    b"GET /ws?clientId=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

# what the client sends, what the server answers
EXCHANGES = {
    "odd heads": (
        b"GET //a/../b?x=%2f&x= HTTP/1.1\r\nhOsT: 127.0.0.1:8188\r\n"
        b"X-b: 2\r\nX-A:1\r\nX-b:\t2\r\n\r\n",
        b"HTTP/1.1 200 All Good\r\nx-Z: \xe9\r\nSet-Cookie: b\r\nSet-Cookie: a\r\n"
        b"Content-Length: 2\r\n\r\nok",
    ),
    "chunked both ways": (
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-S\r\n\r\n"
        b"3\r\nabc\r\n0\r\nX-S: 1\r\n\r\n",
    ),
    "pipelined": (GET * 3, OK * 3),
    "interim answers": (
        b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ),
    "websocket": (UPGRADE, SWITCH + b"\x81\x02hi\x01\x01a\x89\x00\x80\x01b\x88\x02\x03\xe8"),
    "an answer that is not HTTP": (GET, b"SSH-2.0-OpenSSH\r\n\r\n"),
    "an answer with two lengths": (
        GET,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ),
}

REFUSED = {
    "no http": (b"SSH-2.0-OpenSSH_9.2\r\n", b"400"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), b"400"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
    "connect": (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: a\r\n\r\n", b"501"),
    "long head": (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, b"431"),
}


def answering(answer: bytes, *, expect: int = len(GET)) -> Upstream:
    """A server that reads so many bytes, answers, and closes."""

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(expect)
        writer.write(answer)
        writer.close()

    return upstream


def hows(stage: Stage) -> list[tuple[Side, str]]:
    return [(record.side, record.how) for record in stage.shelf.of(Closed)]


@pytest.mark.parametrize("asked, answered", EXCHANGES.values(), ids=EXCHANGES)
def test_bytes_pass_as_they_came(asked: bytes, answered: bytes) -> None:
    got = []

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readexactly(len(asked)))
        writer.write(answered)
        writer.close()

    async def scene() -> bytes:
        async with staged(upstream) as stage:
            return await stage.ask(asked)

    assert play(scene()) == answered
    assert got == [asked]


def test_a_question_and_its_answer_are_recorded_with_the_ends_of_the_connection() -> None:
    async def scene() -> list[AnyRecord]:
        async with staged(answering(OK)) as stage:
            await stage.ask(GET)
        return stage.shelf.records

    opened, asked, answered, of_server, of_client = play(scene())

    assert isinstance(opened, Opened)
    assert opened.peer.startswith("127.0.0.1:")
    assert isinstance(asked, HttpPart) and isinstance(answered, HttpPart)
    assert (asked.side, asked.exchange, asked.head) == (Side.CLIENT, 0, GET)
    assert (answered.side, answered.exchange, answered.body) == (Side.SERVER, 0, b"{}")
    assert isinstance(of_server, Closed) and isinstance(of_client, Closed)
    assert (of_server.side, of_client.side) == (Side.SERVER, Side.CLIENT)


def test_what_was_seen_is_written_down_before_it_is_passed_on() -> None:
    order: list[tuple[str, int]] = []

    async def scene() -> None:
        async with staged(answering(OK)) as stage:
            stage.shelf.before = lambda pending: order.extend(
                (type(record).__name__, stage.relay.relayed) for record in pending
            )
            await stage.ask(GET)

    play(scene())

    assert order[1:3] == [("HttpPart", 0), ("HttpPart", len(GET))]


def test_clients_do_not_mix() -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        number = head.split(b" ")[1][1:]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(number), number))
        writer.close()

    async def scene() -> tuple[list[bytes], set[int]]:
        async with staged(upstream) as stage:
            asked = [GET.replace(b"/queue", b"/%d" % i) for i in range(40)]
            answers = await asyncio.gather(*map(stage.ask, asked))
        return [a.rpartition(b"\n")[2] for a in answers], {r.conn for r in stage.shelf.of(Opened)}

    answers, conns = play(scene())

    assert answers == [b"%d" % i for i in range(40)]
    assert conns == set(range(1, 41))


@pytest.mark.parametrize("compression", ["deflate", None])
def test_an_independent_client_and_server_talk_through_it(compression: str | None) -> None:
    texts = [f'{{"type": "progress", "data": {{"value": {i}}}}}' for i in range(30)]

    async def echo(socket: websockets.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async def scene() -> tuple[list[str], list[bytes | None]]:
        async with (
            websockets.serve(echo, "127.0.0.1", 0, compression=compression) as server,
            staged_at(server.sockets[0].getsockname()[1]) as stage,
        ):
            url = "ws://{}:{}/ws".format(*stage.address)
            async with websockets.connect(url, compression=compression) as client:
                came = []
                for text in texts:
                    await client.send(text)
                    came.append(str(await client.recv()))
            frames = [f for f in stage.shelf.of(WsFrame) if f.head[0] & 15 == 1]
            return came, [f.payload if f.inflated is None else f.inflated for f in frames]

    came, recorded = play(scene())

    assert came == texts
    assert recorded == [text.encode() for text in texts for _ in range(2)]


def staged_at(port: int) -> object:
    """A relay in front of a server that runs already."""

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    return staged(upstream)


def test_a_large_body_passes_a_client_that_reads_slowly() -> None:
    body = bytes(range(256)) * 40_000
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def scene() -> tuple[bytes, list[HttpPart]]:
        async with staged(answering(head + body)) as stage:
            reader, writer = await stage.client()
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            digest = hashlib.sha256()
            while piece := await reader.read(50_000):
                digest.update(piece)
            writer.close()
        return digest.digest(), [p for p in stage.shelf.of(HttpPart) if p.side == Side.SERVER]

    digest, parts = play(scene())

    assert digest == hashlib.sha256(body).digest()
    assert b"".join(part.body for part in parts) == body
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]


# --- ends ------------------------------------------------------------------------------------


def test_a_client_that_half_closes_still_gets_its_answer() -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.write(OK)
        writer.close()

    async def scene() -> bytes:
        async with staged(upstream) as stage:
            reader, writer = await stage.client()
            writer.write(GET)
            writer.write_eof()
            return await reader.read()

    assert play(scene()) == OK


def test_a_server_that_half_closes_still_hears_the_client() -> None:
    heard = asyncio.Queue[bytes]()

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        writer.write_eof()
        heard.put_nowait(await reader.read())
        writer.close()

    async def scene() -> tuple[bytes, bytes]:
        async with staged(upstream) as stage:
            reader, writer = await stage.client()
            writer.write(UPGRADE)
            came = await reader.read()
            writer.write(b"\x88\x80abcd")
            writer.close()
            return came, await heard.get()

    assert play(scene()) == (SWITCH, b"\x88\x80abcd")


def test_a_reset_of_the_server_reaches_the_client_as_a_reset() -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH + b"\x81\x02hi")
        await writer.drain()
        await reader.readexactly(6)
        reset(writer)

    async def scene() -> list[tuple[Side, str]]:
        async with staged(upstream) as stage:
            reader, writer = await stage.client()
            writer.write(UPGRADE)
            await reader.readuntil(b"hi")
            writer.write(b"\x8a\x80abcd")
            with pytest.raises(ConnectionResetError):
                await reader.read()
            await stage.ended()
            return hows(stage)

    assert play(scene())[0] == (Side.SERVER, "reset")


def test_a_reset_of_the_client_reaches_the_server() -> None:
    ended = asyncio.Queue[str]()

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH)
        try:
            await reader.read()
            ended.put_nowait("eof")
        except ConnectionResetError:
            ended.put_nowait("reset")
        writer.close()

    async def scene() -> tuple[str, list[tuple[Side, str]]]:
        async with staged(upstream) as stage:
            reader, writer = await stage.client()
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            reset(writer)
            await stage.ended()
            return await ended.get(), hows(stage)

    assert play(scene()) == ("reset", [(Side.CLIENT, "reset")])


def test_an_answer_that_is_cut_off_looks_cut_off() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"

    async def scene() -> tuple[bytes, list[HttpPart], list[Raw | Note]]:
        async with staged(answering(answer)) as stage:
            came = await stage.ask(GET)
        parts = [p for p in stage.shelf.of(HttpPart) if p.side == Side.SERVER]
        return came, parts, [*stage.shelf.of(Note)]

    came, (part,), (note, *_) = play(scene())

    assert came == answer
    assert (part.body, part.last) == (b"half", False)
    assert isinstance(note, Note) and note.text == "the answer was cut off"


@pytest.mark.slow
def test_the_relay_ends_a_connection_that_the_client_wanted_to_end() -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.read()
        writer.close()

    async def scene() -> bytes:
        async with staged(upstream) as stage:
            return await stage.ask(BYE)

    assert play(scene()) == OK


def test_at_the_end_of_the_recording_open_connections_end() -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH + b"\x81\x7e")
        await reader.read()
        writer.close()

    async def scene() -> tuple[bytes, list[AnyRecord]]:
        async with staged(upstream) as stage:
            reader, writer = await stage.client()
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            await stage.relay.stop()
            rest = await reader.read()
            writer.close()
            return rest, stage.shelf.records

    rest, records = play(scene())

    assert rest == b"\x81\x7e"
    assert [type(record) for record in records[-2:]] == [Raw, Note]


# --- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize("asked, status", REFUSED.values(), ids=REFUSED)
def test_a_bad_request_is_answered_and_never_reaches_the_upstream(
    asked: bytes, status: bytes
) -> None:
    reached = []

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.read())
        writer.close()

    async def scene() -> tuple[bytes, Stage]:
        async with staged(upstream) as stage:
            return await stage.ask(asked), stage

    answer, stage = play(scene())

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert not reached
    assert [raw.data for raw in stage.shelf.of(Raw)] == [asked]
    assert len(stage.said) == 1


def test_a_bad_request_behind_a_good_one_is_refused_when_that_one_is_answered() -> None:
    async def scene() -> bytes:
        async with staged(slow_answer) as stage:
            return await stage.ask(GET + b"GET / HTTP/1.1\r\n\r\n")

    async def slow_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(GET))
        writer.write(OK)
        await reader.read()
        writer.close()

    answer = play(scene())

    assert answer.startswith(OK + b"HTTP/1.1 400 ")


def test_a_body_that_goes_bad_half_way_ends_both_sides() -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"abc\r\n")
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    async def scene() -> bytes:
        async with staged(upstream) as stage:
            reader, writer = await stage.client()
            writer.write(
                b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"no size\r\n")
            return await reader.read()

    assert play(scene()).startswith(b"HTTP/1.1 400 ")


def test_bytes_behind_an_answer_do_not_become_the_next_answer() -> None:
    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"HTTP/1.1 200 OK\r\n\r\npoison")
        writer.close()

    async def scene() -> bytes:
        async with staged(upstream) as stage:
            return await stage.ask(GET)

    assert play(scene()) == OK


# --- the upstream ----------------------------------------------------------------------------


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def test_an_upstream_that_refuses_is_said_to_the_client_and_recorded() -> None:
    async def scene() -> tuple[bytes, Stage]:
        async with staged(None) as stage:
            return await stage.ask(GET), stage

    answer, stage = play(scene())

    (closed, *_) = stage.shelf.of(Closed)
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert closed.how == "refused"
    assert closed.why == stage.said[0]
    assert "is the server up?" in stage.said[0]


def test_an_upstream_that_comes_back_is_used_again() -> None:
    async def scene() -> list[bytes]:
        async with staged(None) as stage:
            first = await stage.ask(GET)
            port = stage.relay.upstream.port
            server = await asyncio.start_server(answering(OK), "127.0.0.1", port)
            second = await stage.ask(GET)
            server.close()
            return [first[:12], second[:12]]

    assert play(scene()) == [b"HTTP/1.1 502", b"HTTP/1.1 200"]


@pytest.mark.parametrize("trust", ["ca", "insecure"])
def test_an_upstream_may_speak_tls(trust: str) -> None:
    context = tls_context(CERTIFICATE if trust == "ca" else None, insecure=trust == "insecure")

    async def scene() -> bytes:
        options = {"ssl": server_context()}
        async with staged(
            answering(OK), scheme="https", server_options=options, context=context
        ) as stage:
            return await stage.ask(GET)

    assert play(scene()) == OK


MISMATCHES = {
    "a certificate nobody knows": ("https", True, b"give --ca or --insecure"),
    "plain where TLS was said": ("https", False, b"say http://"),
    "TLS where plain was said": ("http", True, b"say https://"),
}


@pytest.mark.parametrize("scheme, tls, hint", MISMATCHES.values(), ids=MISMATCHES)
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio's, of a failed TLS handshake
def test_a_mismatch_of_tls_is_said_with_the_mend(scheme: str, tls: bool, hint: bytes) -> None:
    options = {"ssl": server_context()} if tls else {}

    async def scene() -> tuple[bytes, list[str]]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        async with staged(
            answering(b"SSH-2.0-x\r\n", expect=1),
            scheme=scheme,
            server_options=options,
            context=tls_context(),
        ) as stage:
            return await stage.ask(GET), stage.said

    answer, said = play(scene())

    assert hint.decode() in said[0]
    assert hint in answer or not answer  # a server that only closes gives nothing to answer


def test_a_browsers_host_and_origin_pass_and_stay_the_same() -> None:
    asked = GET[:-2] + b"Origin: http://127.0.0.1:8189\r\n\r\n"

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK if await reader.readuntil(b"\r\n\r\n") == asked else b"")
        writer.close()

    async def scene() -> bytes:
        async with staged(upstream, rewrite_host=None) as stage:
            return await stage.ask(asked)

    assert play(scene()) == OK


def test_files_of_the_frontend_are_left_out_unless_asked_for() -> None:
    async def scene(include_static: bool) -> tuple[int, int]:
        ask = GET.replace(b"/queue", b"/assets/index-1a2b.js")
        async with staged(answering(OK, expect=len(ask)), include_static=include_static) as stage:
            await stage.ask(ask)
        return len(stage.shelf.of(HttpPart)), stage.relay.left_out

    assert play(scene(False)) == (0, 1)
    assert play(scene(True)) == (2, 0)


# --- the recorder fails ----------------------------------------------------------------------


def test_a_full_disk_disturbs_nothing_and_the_loss_is_said_and_noted() -> None:
    async def scene() -> tuple[list[bytes], Stage]:
        async with staged(answering(OK)) as stage:
            stage.shelf.full = True
            lost = await stage.ask(GET)
            stage.shelf.full = False
            return [lost, await stage.ask(GET)], stage

    answers, stage = play(scene())

    (note,) = (note for note in stage.shelf.of(Note) if note.what == "lost")
    assert answers == [OK, OK]
    assert stage.shelf.records[0] is note
    assert note.count == stage.relay.recorder.lost > 0
    assert stage.said == [
        "recording has stopped: No space left on device; the traffic goes on, and what is not "
        "recorded is counted",
        f"recording goes on; {note.count} records were lost, {note.count} since it began",
    ]


def test_a_fault_of_the_reader_makes_it_raw_bytes_and_disturbs_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fault(self: object, data: bytes) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("comfyrec.wire.http1.ResponseReader.whole", fault)

    async def scene() -> tuple[bytes, list[Raw], list[str]]:
        async with staged(answering(OK)) as stage:
            return await stage.ask(GET), stage.shelf.of(Raw), stage.said

    answer, raws, said = play(scene())

    assert answer == OK
    assert [raw.data for raw in raws] == [OK]
    assert "ZeroDivisionError" in said[0]


HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
PIECES = {
    "a head alone": (HEAD, (HEAD, b"")),
    "a head with a frame": (HEAD + b"\x81\x00", (HEAD, b"\x81\x00")),
    "an older head": (HEAD.replace(b"1.1", b"1.0", 1), (HEAD.replace(b"1.1", b"1.0", 1), b"")),
    "another answer": (b"HTTP/1.1 200 OK\r\n\r\n101", (b"HTTP/1.1 200 OK\r\n\r\n101", None)),
    "frames": (b"\x81\x00", (b"\x81\x00", None)),
    "nothing": (b"", (b"", None)),
}


@pytest.mark.parametrize("data, pieces", PIECES.values(), ids=PIECES)
def test_an_upgrade_is_told_from_the_frames_behind_it(
    data: bytes, pieces: tuple[bytes, bytes | None]
) -> None:
    assert apart_from_upgrade(data) == pieces
