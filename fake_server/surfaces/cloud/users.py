"""A key -> a user: which sockets hear what is sent about their jobs."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Final

import msgspec

from fake_server.source import Request
from fake_server.surfaces.cloud.answers import Refused

__all__ = ["User", "Users"]

USERS_MAX: Final = 1_000
"""Keys that are told apart; a server that takes any key must not keep each for ever."""
_BEARER: Final = "bearer "


class User(msgspec.Struct, eq=False):
    """Whoever has one key."""

    number: int
    sockets: dict[int, None] = msgspec.field(default_factory=dict)
    """Open sockets of the user; all hear everything, in the order they came."""
    ear: int | None = None
    """The surface's own socket, which hears of the user's jobs."""

    @property
    def client_id(self) -> str:
        """Under which the server behind knows the user."""
        return f"comfy-cloud-user-{self.number}"


class Users:
    """All that have come so far.

    Args:
        key: the only one that is let in; empty: any is.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._users: dict[str, User] = {}
        self._count = 0

    def __iter__(self) -> Iterator[User]:
        return iter([*self._users.values()])

    def of(self, request: Request) -> User:
        """Who sends a request.

        Raises:
            Refused: 401.
        """
        bearer = request.header("Authorization")
        given = request.header("X-API-Key")
        if not given and bearer.lower().startswith(_BEARER):
            given = bearer[len(_BEARER) :].strip()
        return self._known(given, "an X-API-Key header or a bearer token")

    def of_socket(self, request: Request) -> User:
        """Who asks for a socket: by the ``token`` of the address, and by nothing else.

        Raises:
            Refused: 401.
        """
        return self._known(request.first("token") or "", "a token in its query")

    def of_ear(self, socket: int) -> User | None:
        """Whose jobs a socket of the surface hears of."""
        return next((user for user in self._users.values() if user.ear == socket), None)

    def with_socket(self, socket: int) -> User | None:
        """Whose socket it is."""
        return next((user for user in self._users.values() if socket in user.sockets), None)

    def _known(self, given: str, wanted: str) -> User:
        if not given:
            raise Refused(401, f"the request has to bring {wanted}")
        if self._key and not hmac.compare_digest(given.encode(), self._key.encode()):
            raise Refused(401, "the key is not valid")
        if given not in self._users:
            self._make_room()
            self._count += 1
            self._users[given] = User(self._count)
        return self._users[given]

    def _make_room(self) -> None:
        if len(self._users) < USERS_MAX:
            return
        idle = next((key for key, user in self._users.items() if not user.sockets), None)
        if idle is None:
            raise Refused(503, f"there are {USERS_MAX} users already")
        del self._users[idle]
