"""What all families of routes share: the place they answer from, and how the real handlers fail."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from comfyrec.versions import Era
from fake_server.http.forms import BadForm, parameters
from fake_server.http.question import RoutedRequest, loads
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.seeded import SeededRandom
from fake_server.simulator.engine import Engine
from fake_server.source import Response
from fake_server.storage.memory import Folders, inside

__all__ = [
    "LOG_LINES_MAX",
    "ConsoleLine",
    "Context",
    "HandlerFailed",
    "HttpError",
    "below",
    "read_json",
    "text",
]

LOG_LINES_MAX: Final = 300
"""What the real server keeps of its console."""
_REASONS: Final = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed",
}  # fmt: skip


class ConsoleLine(msgspec.Struct, frozen=True):
    """One entry of the console: virtual time and text."""

    t_us: int
    text: str


class Context(msgspec.Struct):
    """What the handlers of one server work on."""

    engine: Engine
    options: ServerOptions
    folders: Folders
    chance: SeededRandom
    now: int = 0
    """Virtual microseconds."""
    users: dict[str, str] = msgspec.field(default_factory=lambda: {"default": "default"})
    log: deque[ConsoleLine] = msgspec.field(default_factory=lambda: deque(maxlen=LOG_LINES_MAX))
    subscribers: dict[str, None] = msgspec.field(default_factory=dict)
    """Client ids that want ``logs`` frames, in the order they came."""
    told_size: bool = False
    """Whether the size of the terminal was told; it is told once."""

    @property
    def era(self) -> Era:
        """The version of ComfyUI."""
        return self.options.era

    @property
    def catalogue(self) -> Catalogue:
        """The node classes."""
        return self.options.catalogue

    @property
    def shop(self) -> ServerOptions:
        """The options."""
        return self.options

    @property
    def upload_max(self) -> int | float:
        """The largest body of a request, in bytes."""
        return self.options.max_upload_size

    @property
    def epoch_us(self) -> int:
        """Unix time at virtual time 0, in microseconds."""
        return self.options.epoch_us

    @property
    def now_us(self) -> int:
        """Microseconds since 1970."""
        return self.epoch_us + self.now


class HandlerFailed(Exception):
    """Here the real handler raises: the client gets the 500 of aiohttp."""


class HttpError(Exception):
    """Here the real handler raises an HTTP error, which passes the middleware untouched."""

    def __init__(self, status: int, said: str | None = None, *, allow: str = "") -> None:
        super().__init__(status)
        more = (("Allow", allow),) if allow else ()
        self.answer = text(said or f"{status}: {_REASONS[status]}", status, more)


def text(said: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """An answer of plain text."""
    return Response(
        status, (("Content-Type", "text/plain; charset=utf-8"), *headers), said.encode()
    )


def below(place: Context, kind: str, *parts: str) -> str | None:
    """A path in one of the server's folders, None when it leads out of it."""
    return inside(*parts, root=f"{place.engine.options.base}/{kind}")


def read_json(ask: RoutedRequest) -> Any:
    """The body as JSON, in the charset that its Content-Type names.

    Raises:
        Failed: it is none.
    """
    try:
        charset = parameters(ask.header("Content-Type"))[1].get("charset", "utf-8")
        return loads(ask.body.decode(charset))
    except (BadForm, ValueError, LookupError, RecursionError) as error:
        raise HandlerFailed(str(error)) from None


Handler = Callable[[Context, RoutedRequest], Response]


def extension(name: str) -> str:
    """The extension with its dot, as ``os.path.splitext`` sees it: ``.bashrc`` has none."""
    found = re.search(r"(?<=[^/.])(\.[^./]*)$", name)
    return found[1] if found else ""
