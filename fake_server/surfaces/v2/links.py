"""Where things are: addresses as a client has to use them, and signed ones on another host."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from comfyrec.events import v2
from fake_server.source import Request
from fake_server.surfaces.surface import Door, elsewhere
from fake_server.surfaces.v2.answers import moment
from fake_server.surfaces.v2.assets import URL_US, Asset
from fake_server.surfaces.v2.jobs import JobRecord
from fake_server.surfaces.v2.settings import V2Settings

__all__ = ["STORAGE", "Links", "is_signed"]

STORAGE: Final = "/comfyrec-storage/"
"""Below it lie the bytes that signed URLs name."""


class Links:
    """Addresses as one request has to be answered with: a client is sent where it came to.

    Args:
        request: which says under which name the server was found.
        settings: of the surface.
        door: which knows the time.
    """

    def __init__(self, request: Request, settings: V2Settings, door: Door) -> None:
        self._origin = request.origin
        self._settings, self._door = settings, door

    def of_job(self, id: str) -> Mapping[str, str]:
        """``urls`` of a job."""
        root = self._origin if self._settings.links == "absolute" else ""
        here = f"{root}{self._settings.prefix}/api/v2/jobs/{id}"
        return {"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel"}

    def output(self, asset: Asset) -> v2.Output:
        """An asset as a job's output."""
        return asset.as_output(self.of_asset(asset), self._door.unix_us)

    def job(self, job: JobRecord) -> v2.Job:
        """The job object."""
        return job.show(self.of_asset, self.of_job(job.id), self._door.unix_us)

    def of_asset(self, asset: Asset) -> str:
        """Where its bytes are, for an hour."""
        if self._settings.content == "redirect":
            return self.signed(asset)
        return f"{self._origin}{self._settings.prefix}/api/v2/assets/{asset.id}/content"

    def signed(self, asset: Asset) -> str:
        """A URL that opens to whoever has it, in the form of Google's storage."""
        date = moment(self._door.unix_us).strftime("%Y%m%dT%H%M%SZ")
        query = {
            "X-Goog-Algorithm": "GOOG4-HMAC-SHA256",
            "X-Goog-Date": date,
            "X-Goog-Expires": str(URL_US // 1_000_000),
            "X-Goog-SignedHeaders": "host",
            "X-Goog-Signature": _signature(asset.id, date),
        }
        return f"{elsewhere(self._origin)}{STORAGE}{asset.id}?{urlencode(query)}"


def is_signed(request: Request, asset: Asset, now: int) -> bool:
    """Whether a URL of the storage is valid, and still is."""
    date = request.first("X-Goog-Date") or ""
    given = request.first("X-Goog-Signature") or ""
    known = hmac.compare_digest(given.encode(), _signature(asset.id, date).encode())
    earliest = moment(now - URL_US).strftime("%Y%m%dT%H%M%SZ")
    return known and earliest <= date


def _signature(id: str, date: str) -> str:
    # Nothing is protected by it: it only has to differ when something else was asked for.
    return hashlib.sha256(f"comfyrec {id} {date}".encode()).hexdigest()
