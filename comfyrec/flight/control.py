"""The recorder's own control over HTTP: keep the last minutes, and say how it stands.

It has a port of its own, so that no path of the server behind the recorder is taken. A page in a
browser cannot use it: whatever has an ``Origin`` is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from comfyrec.errors import ProxyError
from comfyrec.flight.rotation import Rotation

__all__ = ["start_control"]


async def start_control(
    rotation: Rotation, host: str, port: int, *, clock_us: Callable[[], int]
) -> tuple[web.AppRunner, int]:
    """Listen; gives what stops it, and the port.

    Raises:
        ProxyError: the address cannot be listened on.
    """

    async def keep(request: web.Request) -> web.Response:
        return _json({"kept": [str(path) for path in rotation.keep_recent(clock_us())]})

    async def status(request: web.Request) -> web.Response:
        keeping = rotation.keeping
        said = {"kept": keeping.kept, "removed": keeping.removed, "dropped": keeping.dropped}
        return _json({**said, "bytes": keeping.bytes})

    application = web.Application(middlewares=[_no_pages])
    application.add_routes([web.post("/keep", keep), web.get("/status", status)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as wrong:
        await runner.cleanup()
        raise ProxyError(
            f"--control {host}:{port}: {wrong.strerror or wrong}; choose another address"
        ) from None
    return runner, int(runner.addresses[0][1])


def _json(said: dict[str, Any]) -> web.Response:
    return web.json_response(said)


@web.middleware
async def _no_pages(request: web.Request, handler: Any) -> web.StreamResponse:
    if "Origin" in request.headers:
        raise web.HTTPForbidden(text="not for pages: use a client that sends no Origin\n")
    response: web.StreamResponse = await handler(request)
    return response
