"""``--metrics`` and ``--otlp``: who watches a recording; nothing is loaded without them."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from comfyrec.errors import UsageError

if TYPE_CHECKING:
    from comfyrec.cli._watching import Watching
    from comfyrec.testing.handle import ComfyUI

__all__ = ["add_watch_flags", "watched", "watching_of"]


def add_watch_flags(parser: argparse.ArgumentParser) -> None:
    """``--metrics`` and ``--otlp``."""
    group = parser.add_argument_group("to watch it from outside")
    group.add_argument(
        "--metrics",
        metavar="HOST:PORT",
        help="serve counters for Prometheus at /metrics there; port 0 picks a free one",
    )
    group.add_argument(
        "--otlp",
        metavar="URL",
        help="send a trace of each prompt to this OpenTelemetry collector, as in "
        "http://127.0.0.1:4318; OTEL_EXPORTER_OTLP_HEADERS adds header fields",
    )


def watching_of(
    arguments: argparse.Namespace,
    *,
    say: Callable[[str], None],
    clock_us: Callable[[], int] | None = None,
) -> Watching | None:
    """Who watches, as the flags say; None: nobody.

    Args:
        arguments: with ``metrics`` and ``otlp``.
        say: shows a person one sentence.
        clock_us: the clock of the records; by default that of a recorder.

    Raises:
        ComfyrecError: a flag's value cannot be used, or the port is taken.
    """
    if arguments.metrics is None and arguments.otlp is None:
        return None
    from comfyrec.cli._watching import Watching
    from comfyrec.proxy.recorder import now_us
    from comfyrec.proxy.relay import listen, listen_address

    collector = None if arguments.otlp is None else _collector(arguments.otlp)
    listener = None
    if arguments.metrics is not None:
        listener = listen(*listen_address(arguments.metrics, "--metrics"), flag="--metrics")
    return Watching(listener, collector, say=say, clock_us=clock_us or now_us)


@contextlib.contextmanager
def watched(server: ComfyUI, watching: Watching | None) -> Iterator[None]:
    """A fake server is watched as long as the block runs; None: nobody watches."""
    if watching is None:
        yield
        return
    from comfyrec.cli._watching import watched as watched_by

    with watched_by(server, watching):
        yield


def _collector(text: str) -> str:
    """Where traces go: as the specification has it, below a base address at ``/v1/traces``."""
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise UsageError(
            f"--otlp {text!r} is not the address of a collector; "
            f"give one like http://127.0.0.1:4318"
        )
    path = parts.path.rstrip("/")
    path = path if path.endswith("/v1/traces") else f"{path}/v1/traces"
    return parts._replace(path=path, fragment="").geturl()
