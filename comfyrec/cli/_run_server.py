"""``comfyrec run --continuous``: a workflow over HTTP until a signal comes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from comfyrec.client.shells.printer import ProgressPrinter
from comfyrec.client.workflow import Workflow
from comfyrec.errors import UsageError
from comfyrec.wording import reason

if TYPE_CHECKING:
    from comfyrec.client.shells.aio import Client

__all__ = ["on_signals", "served"]


async def served(arguments: argparse.Namespace, client: Client, flow: Workflow) -> int:
    """Serve the workflow until SIGINT or SIGTERM.

    Raises:
        UsageError: the address cannot be listened on.
    """
    from aiohttp import web

    from comfyrec.client.shells.middleware import Middleware

    host, port = _listen_address(arguments.listen or "127.0.0.1:8190")
    printer = (
        None
        if arguments.no_progress
        else ProgressPrinter(sys.stderr, format="text", redact=client.redaction)
    )
    middleware = Middleware(
        client,
        flow,
        on_event=printer,
        run_on_upload=arguments.run_on_upload,
        compat=arguments.compat,
    )
    runner = web.AppRunner(middleware.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as wrong:
            raise UsageError(
                f"--listen: cannot listen on {host}:{port} ({reason(wrong)}); give a free port, or "
                f"0 to have one picked"
            ) from None
        bound = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        print(
            f"Running {arguments.workflow} for {client.called} on http://{shown}:{bound}",
            flush=True,
        )
        stopped = asyncio.Event()
        with on_signals(stopped.set):
            await stopped.wait()
    finally:
        await runner.cleanup()
    return 0


def _listen_address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen: {text!r} is not HOST:PORT; give one such as 127.0.0.1:8190")
    return host, int(port)


@contextlib.contextmanager
def on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` for SIGINT and SIGTERM, where the loop can handle them."""
    loop = asyncio.get_running_loop()
    handled = []
    for name in (signal.SIGINT, signal.SIGTERM):
        # Not on Windows, nor outside the main thread; there Ctrl-C ends the command at once.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(name, stop)
            handled.append(name)
    try:
        yield
    finally:
        for name in handled:
            loop.remove_signal_handler(name)
