"""Record the traffic between a client and a ComfyUI server, without changing a byte."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import ipaddress
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from comfyrec.cassette.files import Writer, create_cassette
from comfyrec.cassette.records import ABOUT
from comfyrec.cassette.redact.redactor import Redactor, check_classes
from comfyrec.cli import DAMAGED, FINE
from comfyrec.cli._flight import Parts, add_flags, in_parts, parts_of
from comfyrec.cli._redaction_flags import add_header_flag, checked_headers, known_secrets
from comfyrec.cli._view_beside import add_view_flag, viewed
from comfyrec.cli._watch_flags import add_watch_flags, watching_of
from comfyrec.errors import SecretKept, UsageError
from comfyrec.proxy.link import NO_MORE_FILES
from comfyrec.proxy.probe import Probe, clients_go_first, probe
from comfyrec.proxy.recorder import Recorder, next_conn, now_us
from comfyrec.proxy.relay import Relay, listen, listen_address
from comfyrec.proxy.upstream import Upstream, parse_header, parse_upstream, tls_context
from comfyrec.wording import plural

if TYPE_CHECKING:
    from rich.live import Live

    from comfyrec.cli._watching import Watching

STATUS_PERIOD_S = 0.25
LAST_LOOK_S = 0.5
"""What the end of a short recording waits for the upstream to say which ComfyUI it is."""
_ENDS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]
"""SIGHUP comes when the terminal is closed: that ends a recording as cleanly as Ctrl-C."""
_FAULTS_MAX = 20
"""Different sentences about connections that ended badly."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec record``."""
    parser.add_argument("--upstream", required=True, metavar="URL", help="the ComfyUI server")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="FILE",
        help="the cassette: .jsonl is text, anything else is packed; a folder when in parts",
    )
    parser.add_argument(
        "--listen",
        default="127.0.0.1:8189",
        metavar="HOST:PORT",
        help="address for the client (%(default)s); port 0 picks a free one",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--append", action="store_true", help="append to an existing cassette")
    existing.add_argument("--overwrite", action="store_true", help="replace an existing cassette")
    parser.add_argument(
        "--redact",
        nargs="+",
        default=[],
        metavar="CLASS",
        help="what to replace in addition to secrets: identity, content, or both with a comma",
    )
    add_header_flag(parser)
    parser.add_argument(
        "--include-static", action="store_true", help="also record the files of the web frontend"
    )
    parser.add_argument(
        "--upstream-header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a header field that is sent to the upstream only, and never recorded",
    )
    parser.add_argument(
        "--rewrite-host",
        action=argparse.BooleanOptionalAction,
        help="set Host and Origin to the upstream (default for TLS and named upstreams)",
    )
    parser.add_argument(
        "--any-upgrade",
        action="store_true",
        help="pass on upgrades to protocols other than WebSocket (Java's HTTP client offers "
        "HTTP/2 with every request); they are refused otherwise",
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="certificates to trust (PEM)")
    parser.add_argument(
        "--insecure", action="store_true", help="do not check the upstream's certificate"
    )
    add_flags(parser)
    add_watch_flags(parser)
    add_view_flag(parser)


def run(arguments: argparse.Namespace) -> int:
    """Record until SIGINT, SIGTERM or SIGHUP; exit 3 if anything is missing at its place."""
    upstream = parse_upstream(arguments.upstream)
    fields = [parse_header(text) for text in arguments.upstream_header]
    context = None
    if upstream.tls or arguments.ca is not None:
        context = tls_context(arguments.ca, insecure=arguments.insecure)
    classes = check_classes(arguments.redact)
    headers = checked_headers(arguments.redact_header)
    first_conn = next_conn(arguments.output) if arguments.append else 1
    # Before the cassette is touched: a port that is taken must not cost a recording.
    listener = listen(*listen_address(arguments.listen))
    with listener:
        _check_own_address(listener, upstream)
        rewrite = upstream.rewriter(fields, rewrite_host=arguments.rewrite_host)
        watching = watching_of(arguments, say=_say)
        redactor = Redactor(
            known_secrets=_secrets(upstream, fields),
            classes=classes,
            headers=headers,
        )
        into: Parts | _Single
        if in_parts(arguments):
            into = parts_of(
                arguments, redactor=redactor, upstream=upstream.url, redacted=classes, say=_say
            )
        else:
            into = _Single(arguments, upstream.url, classes, redactor)
        sink = into.sink if watching is None else watching.behind(into.sink)
        recorder = Recorder(sink, redactor, say=_say, first_conn=first_conn)
        relay = Relay(
            upstream,
            recorder,
            say=_say,
            context=context,
            rewrite=rewrite,
            include_static=arguments.include_static,
            any_upgrade=arguments.any_upgrade,
        )
        look = partial(probe, upstream, context=context, rewrite=rewrite)
        with into.viewed(arguments.view):
            try:
                asyncio.run(_record(relay, listener, arguments.output, look, watching, into))
            finally:
                status = into.close(recorder)
    print(_summary(relay, recorder, into.written, into.where), flush=True)
    return status


class _Single:
    """A recording into one cassette."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        upstream: str,
        classes: Sequence[str],
        redactor: Redactor,
    ) -> None:
        self._given = str(arguments.output)
        self.sink = create_cassette(
            arguments.output,
            upstream=upstream,
            redacted=classes,
            clock_us=now_us,
            overwrite=arguments.overwrite,
            append=arguments.append,
            redactor=redactor,
        )

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        return contextlib.nullcontext()

    def viewed(self, address: str | None) -> contextlib.AbstractContextManager[None]:
        return viewed(self.sink.path, address)

    def close(self, recorder: Recorder) -> int:
        return _close(self.sink, recorder, self._given)

    @property
    def where(self) -> str:
        return self.sink.path

    @property
    def written(self) -> int:
        return self.sink.written


def _check_own_address(listener: socket.socket, upstream: Upstream) -> None:
    host, port = listener.getsockname()[:2]
    loopback = ipaddress.ip_address(host.partition("%")[0]).is_loopback
    if port == upstream.port and upstream.host in (host, "localhost" if loopback else host):
        raise UsageError(
            f"--upstream {upstream.url} is the address of the recorder itself; "
            f"give the server's, or another --listen"
        )
    if not loopback:
        _say(f"whoever reaches {host}:{port} can use {upstream.url} through this recorder")


def _secrets(upstream: Upstream, fields: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """What must not be in the cassette, wherever it occurs."""
    given = [value for _, value in fields] + [upstream.login, upstream.login.partition(":")[2]]
    given += known_secrets()
    return tuple(filter(None, given))


async def _record(
    relay: Relay,
    listener: socket.socket,
    output: Path,
    look: Callable[[], Awaitable[Probe]],
    watching: Watching | None,
    into: Parts | _Single,
) -> None:
    async with into.running():
        await _serve(relay, listener, output, look, watching)


async def _serve(
    relay: Relay,
    listener: socket.socket,
    output: Path,
    look: Callable[[], Awaitable[Probe]],
    watching: Watching | None,
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_Faults())
    _on_signals(loop, stopped.set)
    host, port = await relay.serve(listener)
    shown = f"[{host}]" if ":" in host else host
    print(
        f"Recording {relay.upstream.url} into {output}; the client's address is "
        f"http://{shown}:{port}",
        flush=True,
    )
    if watching is not None:
        watching.more = partial(_counters, relay.recorder)
        await watching.start()
    looking = loop.create_task(_look_at_upstream(relay, look))
    ticker = loop.create_task(_show_status(relay)) if sys.stderr.isatty() else None
    try:
        await stopped.wait()
        relay.answered.set()  # no client is waiting any more
        await asyncio.wait((looking,), timeout=LAST_LOOK_S)
    finally:
        beside = [looking] if ticker is None else [looking, ticker]
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await relay.stop()
        if watching is not None:
            await watching.stop()
        # An interpreter that ends gives up its handlers: a late signal would be the exit status.
        for name in _ENDS:
            signal.signal(name, signal.SIG_IGN)


def _counters(recorder: Recorder) -> dict[str, tuple[str, int]]:
    return {
        "comfyrec_records_total": ("Records in the cassette.", recorder.records),
        "comfyrec_records_lost_total": ("Records that could not be written.", recorder.lost),
    }


async def _look_at_upstream(relay: Relay, look: Callable[[], Awaitable[Probe]]) -> None:
    """Say what is odd about the upstream, and write down which ComfyUI it is."""
    await clients_go_first(relay.answered, lambda: relay.accepted)
    found = await look()
    if found.sentence:
        _say(found.sentence)
    if found.about:
        relay.recorder.note(0, ABOUT, msgspec.json.encode(found.about).decode())


def _on_signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """The first signal ends the recording; further ones change nothing about how it ends."""

    def stopped(*_: object) -> None:
        loop.call_soon_threadsafe(stop)

    for name in _ENDS:
        signal.signal(name, stopped)


class _Faults:
    """Faults in callbacks, each of which ends one connection: a person gets a sentence, once, not
    a traceback."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        trouble = context.get("exception")
        if isinstance(trouble, OSError) and trouble.errno in (errno.EMFILE, errno.ENFILE):
            sentence = NO_MORE_FILES
        else:
            sentence = f"a connection has ended badly: {trouble or context.get('message')!r}"
        if sentence not in self._said and len(self._said) < _FAULTS_MAX:
            self._said.add(sentence)
            _say(sentence)


async def _show_status(relay: Relay) -> None:
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
        while True:
            _update(live, relay)
            await asyncio.sleep(STATUS_PERIOD_S)


def _update(live: Live, relay: Relay) -> None:
    recorder = relay.recorder
    lost = f", [red]{recorder.lost} lost[/red]" if recorder.lost else ""
    live.update(
        f"{len(relay.links)} open, {plural(relay.accepted, 'connection')}, "
        f"{plural(recorder.records, 'record')}, "
        f"{relay.relayed / 1e6:.1f} MB{lost}   Ctrl-C ends the recording",
        refresh=True,
    )


def _close(writer: Writer, recorder: Recorder, given: str) -> int:
    """Bring the cassette to its end; the exit status that follows from how that went."""
    sentence = writer.keep_place()
    if sentence:
        _say(sentence)
    try:
        why = writer.close(lost=recorder.unnoted)
    except OSError as trouble:
        why = f"its end could not be written ({trouble.strerror or trouble})"
    except SecretKept as kept:
        _say(str(kept))
        return kept.status
    if why:
        _say(f"{writer.path} stays as it was while recording: {why}; it reads all the same")
    return DAMAGED if recorder.lost or writer.path != given else FINE


def _summary(relay: Relay, recorder: Recorder, written: int, where: str) -> str:
    words = [
        f"Recorded {plural(written, 'record')} of {plural(relay.accepted, 'connection')} "
        f"({relay.relayed / 1e6:.1f} MB passed on) into {where}"
    ]
    if relay.left_out:
        requests = plural(relay.left_out, "request")
        words.append(f"{requests} for files of the web frontend left out")
    if recorder.unread:
        times = plural(recorder.unread, "time")
        words.append(f"{times} something could not be read and was kept as it was")
    if recorder.lost:
        words.append(f"{plural(recorder.lost, 'record')} LOST")
    return "; ".join(words) + "."


def _say(sentence: str) -> None:
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in sentence)
    print(f"comfyrec record: {shown}", file=sys.stderr, flush=True)
