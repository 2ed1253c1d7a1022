"""A recording proxy beside a test: the relay on the process's loop thread, into one cassette."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from comfyrec.cassette.files import create_cassette
from comfyrec.cassette.redact.redactor import Redactor
from comfyrec.proxy.recorder import Recorder, next_conn, now_us
from comfyrec.proxy.relay import Relay
from comfyrec.proxy.upstream import parse_upstream, tls_context
from fake_server.server.thread import LoopThread, loop_thread

__all__ = ["Recording"]


class Recording:
    """Stands between a client and ``upstream`` and writes what both say into ``file``.

    Args:
        upstream: address of the real server.
        file: the cassette.
        overwrite: replace a file that is there.
        append: add another session to a file that is there.
        thread: another loop thread than the process's own.
        listen: begin at once; False leaves that to ``start``.

    Raises:
        ProxyError, UsageError: the upstream's address cannot be used.
        CassetteError: the file cannot be written.
    """

    def __init__(
        self,
        upstream: str,
        file: Path,
        *,
        overwrite: bool = False,
        append: bool = False,
        thread: LoopThread | None = None,
        listen: bool = True,
    ) -> None:
        self.file, self.troubles = file, list[str]()
        self.host, self.port = "", 0
        self._thread = thread or loop_thread()
        target = parse_upstream(upstream)
        first_conn = next_conn(file) if append else 1
        redactor = Redactor()
        self._writer = create_cassette(
            file,
            upstream=target.url,
            clock_us=now_us,
            overwrite=overwrite,
            append=append,
            redactor=redactor,
        )
        self._recorder = Recorder(
            self._writer, redactor, say=self.troubles.append, first_conn=first_conn
        )
        self._relay = Relay(
            target,
            self._recorder,
            say=self.troubles.append,
            context=tls_context(None, insecure=False) if target.tls else None,
            rewrite=target.rewriter([], rewrite_host=None),
        )
        if listen:
            self._thread.run(self.start())

    @property
    def url(self) -> str:
        """Where the client connects to, without a slash at its end."""
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Take connections; for callers in the loop's own thread, with ``listen=False``."""
        self.host, self.port = await self._relay.start("127.0.0.1", 0)

    async def stop(self) -> None:
        """End all connections; ``finish`` closes the cassette."""
        await self._relay.stop()

    def finish(self) -> None:
        """Close the cassette, after ``stop``."""
        self._writer.close(lost=self._recorder.unnoted)

    def close(self) -> None:
        """End all connections and close the cassette."""
        self._thread.run(self.stop())
        self.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
