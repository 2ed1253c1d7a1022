"""A recording proxy between a client in this process and its server (``comfyrec run --record``)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from typing import Final

from comfyrec.cassette.files import Writer, create_cassette
from comfyrec.cassette.redact.redactor import Redactor, check_classes
from comfyrec.client.address import Address, parse
from comfyrec.client.formatting import printable
from comfyrec.client.redaction import SECRET_VARIABLES
from comfyrec.client.settings import settle
from comfyrec.errors import CassetteExists, NoServer, SecretKept
from comfyrec.proxy import Recorder, Relay, parse_upstream
from comfyrec.proxy.recorder import now_us
from comfyrec.proxy.upstream import tls_context
from comfyrec.wording import plural, reason

__all__ = ["recorded"]

_PAUSE_S: Final = 0.2


@contextlib.asynccontextmanager
async def recorded(
    where: Address, arguments: Namespace, *, secrets: Sequence[str]
) -> AsyncIterator[Address]:
    """Record everything that is said to ``where`` into ``--record``; gives the proxy's address.

    Raises:
        NoServer: nothing listens there, as long as a client waits for a server to start.
        CassetteError: the file exists already, or cannot be written.
    """
    limit_s = settle(os.environ, connect_timeout_s=arguments.connect_timeout).connect_timeout_s
    await _listens(where, limit_s)
    upstream = parse_upstream(where.origin)
    context = tls_context(arguments.ca_file, insecure=arguments.insecure) if upstream.tls else None
    known = [*secrets, where.password, *(os.environ.get(name, "") for name in SECRET_VARIABLES)]
    redactor = Redactor(
        known_secrets=tuple(filter(None, known)), classes=check_classes(arguments.redact)
    )
    try:
        writer = create_cassette(
            arguments.record,
            upstream=upstream.url,
            redacted=redactor.classes,
            clock_us=now_us,
            redactor=redactor,
        )
    except CassetteExists as there:
        raise CassetteExists(there.path, "give --record another name") from None
    recorder = Recorder(writer, redactor, say=_say, first_conn=1)
    try:
        relay = Relay(
            upstream,
            recorder,
            say=_say,
            context=context,
            rewrite=upstream.rewriter([], rewrite_host=None),
        )
        host, port = await relay.start("127.0.0.1", 0)
        try:
            yield _through(where, host, port)
        finally:
            await relay.stop()
    finally:
        _close(writer, recorder)
    _say(f"recorded {plural(writer.written, 'record')} into {arguments.record}")


async def _listens(where: Address, limit_s: float) -> None:
    """Wait for the server: to a client of the proxy it would seem to answer."""
    until = time.monotonic() + limit_s
    while True:
        try:
            async with asyncio.timeout(limit_s):
                _, writer = await asyncio.open_connection(where.host, where.port)
        except OSError as trouble:
            if time.monotonic() >= until:
                raise NoServer(str(where), reason(trouble)) from None
            await asyncio.sleep(_PAUSE_S)
        else:
            writer.close()
            return


def _close(writer: Writer, recorder: Recorder) -> None:
    """Bring the cassette to its end; what goes wrong with that must not hide how the run went."""
    sentence = writer.keep_place()
    if sentence:
        _say(sentence)
    try:
        why = writer.close(lost=recorder.unnoted)
    except OSError as trouble:
        why = f"its end could not be written ({trouble.strerror or trouble})"
    except SecretKept as kept:
        _say(str(kept))
        return
    if why:
        _say(f"{writer.path} stays as it was while recording: {why}; it reads all the same")


def _through(where: Address, host: str, port: int) -> Address:
    """The proxy's address, with the base path and the login of the server's."""
    through = parse(f"http://{host}:{port}{where.path}")
    return Address(through.scheme, host, port, where.path, where.user, where.password)


def _say(sentence: str) -> None:
    print(printable(f"comfyrec run: {sentence}"), file=sys.stderr, flush=True)
