"""What the routes of jobs and of assets share."""

from __future__ import annotations

import msgspec

from fake_server.seeded import SeededRandom
from fake_server.source import Request
from fake_server.surfaces.surface import Door, Surface
from fake_server.surfaces.v2.assets import Assets
from fake_server.surfaces.v2.links import Links
from fake_server.surfaces.v2.settings import V2Settings
from fake_server.surfaces.v2.submission import IdempotencyKeys

__all__ = ["RouteContext"]


class RouteContext(msgspec.Struct, eq=False):
    """What the routes of jobs and of assets share."""

    surface: Surface
    door: Door
    settings: V2Settings
    random: SeededRandom
    assets: Assets = msgspec.field(default_factory=Assets)
    keys: IdempotencyKeys = msgspec.field(default_factory=IdempotencyKeys)

    @property
    def now(self) -> int:
        """Unix time in microseconds, on the server's clock."""
        return self.door.unix_us

    def links(self, request: Request) -> Links:
        """The addresses that the answer to a request has."""
        return Links(request, self.settings, self.door)
