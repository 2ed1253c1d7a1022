"""A server with a control plane, which is loaded when it is asked for: most servers never are."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from comfyrec.control.controlled import Controlled
from comfyrec.http.request import Request
from comfyrec.testing.handle import ComfyUI
from comfyrec.testing.make_source import make_source
from comfyrec.testing.settings import PluginSettings
from fake_server.server.server import CONTROL_PATH
from fake_server.source import Response, Source

if TYPE_CHECKING:
    from comfyrec.control.plane import Plane

__all__ = ["controlled"]


def controlled(
    settings: PluginSettings,
    *,
    make: Callable[[PluginSettings], Source] = make_source,
    host: str = "127.0.0.1",
    port: int = 0,
    **serving: Any,
) -> ComfyUI:
    """Start a server with a control plane.

    Args:
        settings: what it does.
        make: settings -> a fresh source, for this server and those that it makes.
        host: where it listens.
        port: 0 picks a free one; those that it makes have a free one each.
        serving: of ``fake_server.server.thread.serve``.

    Raises:
        ComfyrecError: something in the settings cannot be used, or the port is taken.
    """

    def start(settings: PluginSettings, port: int) -> ComfyUI:
        return ComfyUI(settings, make=make, host=host, port=port, **serving)

    server, another = start(settings, port), partial(start, port=0)
    url = urlsplit(server.url)
    _attach(Controlled(server, another, f"{url.scheme}://{url.netloc}{CONTROL_PATH}", _attach))
    return server


def _attach(controlled: Controlled) -> None:
    controlled.server.handle.server.control = _LatePlane(controlled).answer


class _LatePlane:
    """The control plane of a server, from the first request below ``/__fake__`` on."""

    def __init__(self, controlled: Controlled) -> None:
        self._controlled = controlled
        self._plane: Plane | None = None

    def answer(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        if self._plane is None:
            from comfyrec.control.plane import Plane

            self._plane = Plane(self._controlled)
        return self._plane.answer(request)
