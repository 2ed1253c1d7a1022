"""What all routes share: the server they answer for, and how the real handlers fail."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from comfyrec.http.request import NotJson, NotText
from comfyrec.versions import Era
from fake_server.http.responses import text
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.seeded import SeededRandom
from fake_server.simulator.engine import Engine
from fake_server.source import Request, Response
from fake_server.storage.assets import Assets
from fake_server.storage.memory import Folders, inside

__all__ = [
    "LOG_LINES_MAX",
    "BodyNotJson",
    "ConsoleLine",
    "Context",
    "Handler",
    "HandlerFailed",
    "HttpError",
    "UnknownUser",
    "below",
    "extension",
    "keys_of",
    "listed",
    "read_json",
    "user_of",
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
    random: SeededRandom
    users: dict[str, str] = msgspec.field(default_factory=lambda: {"default": "default"})
    log: deque[ConsoleLine] = msgspec.field(default_factory=lambda: deque(maxlen=LOG_LINES_MAX))
    subscribers: dict[str, None] = msgspec.field(default_factory=dict)
    """Client ids that want ``logs`` frames, in the order they came."""
    tasks: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    """What became of each export of assets, by its id."""
    size_sent: bool = False
    """Whether the size of the terminal was sent; it is sent once."""

    @property
    def era(self) -> Era:
        """The version of ComfyUI."""
        return self.options.era

    @property
    def catalogue(self) -> Catalogue:
        """The node classes."""
        return self.engine.worker.catalogue

    @property
    def assets(self) -> Assets:
        """The assets of the server's files."""
        return self.engine.worker.assets

    @property
    def epoch_us(self) -> int:
        """Unix time at virtual time 0, in microseconds."""
        return self.options.epoch_us

    @property
    def now(self) -> int:
        """Virtual time in microseconds."""
        return self.engine.time.now


class HandlerFailed(Exception):
    """Here the real handler raises: the client gets the 500 of aiohttp.

    ``hint`` says beside that answer how a person goes on, where that is known.
    """

    hint = ""


class UnknownUser(HandlerFailed):
    """``comfy-user`` names an unknown user."""


class BodyNotJson(HandlerFailed):
    """Here it raises because the body is not JSON, which some handlers are ready for."""


class HttpError(Exception):
    """Here the real handler raises an HTTP error, which passes the middleware untouched."""

    def __init__(self, status: int, message: str | None = None, *, allow: str = "") -> None:
        super().__init__(status)
        more = (("Allow", allow),) if allow else ()
        self.answer = text(message or f"{status}: {_REASONS[status]}", status, more)


def below(context: Context, kind: str, *parts: str) -> str | None:
    """A path in one of the server's folders, None when it leads out of it."""
    return inside(*parts, root=f"{context.engine.options.base_directory}/{kind}")


def read_json(request: Request) -> Any:
    """The body as JSON; it belongs to all who look at the request, so nobody changes it.

    Raises:
        BodyNotJson: it is text, and not JSON.
        HandlerFailed: it is not even text, or nests too deeply.
    """
    try:
        return request.read_json()
    except NotJson as error:
        raise BodyNotJson(str(error)) from None
    except (NotText, RecursionError) as error:
        raise HandlerFailed(str(error)) from None


def keys_of(request: Request) -> Mapping[str, Any]:
    """A body in which the server looks for ``clear`` and ``delete``: lists and texts have none.

    Raises:
        HandlerFailed: a body without keys to look for, or one that is not JSON.
    """
    body = read_json(request)
    if isinstance(body, dict):
        return body
    if isinstance(body, (list, str)) and "clear" not in body and "delete" not in body:
        return {}
    raise HandlerFailed("the body is not an object")


def listed(body: Mapping[str, Any], name: str) -> list[Any]:
    """What a body lists under a name.

    Raises:
        HandlerFailed: it cannot be iterated over.
    """
    try:
        return list(body.get(name, ()))
    except TypeError as error:
        raise HandlerFailed(str(error)) from None


Handler = Callable[..., Response]
"""Takes context and request, and each variable part of its path by name."""


def extension(name: str) -> str:
    """The extension with its dot, as ``os.path.splitext`` sees it: ``.bashrc`` has none."""
    found = re.search(r"(?<=[^/.])(\.[^./]*)$", name)
    return found[1] if found else ""


def user_of(context: Context, request: Request) -> str:
    """The id of the user who asks.

    Raises:
        UnknownUser: with ``--multi-user``, an id that is not registered.
    """
    user = request.header("comfy-user", "default") if context.options.multi_user else "default"
    if user not in context.users:
        raise UnknownUser(user)
    return user
