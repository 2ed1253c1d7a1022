"""Comfy API v2 in front of a server: whose requests are its own, and what answers them."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final

from comfyrec.errors import BadAnswer
from fake_server.seeded import SeededRandom
from fake_server.source import Request, Response
from fake_server.surfaces.surface import Asking, Door, Surface
from fake_server.surfaces.v2.answers import V2Error, not_found, upstream_error
from fake_server.surfaces.v2.asset_routes import AssetRoutes
from fake_server.surfaces.v2.job_routes import JobRoutes
from fake_server.surfaces.v2.job_tracker import JobTracker
from fake_server.surfaces.v2.links import STORAGE
from fake_server.surfaces.v2.route_context import RouteContext
from fake_server.surfaces.v2.settings import V2Settings
from fake_server.surfaces.v2.streams import Streams

__all__ = ["ROUTES", "V2"]

_OTHER_SEED: Final = 0x7632
"""Ids differ from those that the server behind draws with the same seed."""

ROUTES: Final = (
    # method, path below /api/v2, operation of the document
    ("POST", "/assets", "postAssets"),
    ("POST", "/assets/from-hash", "assetFromHash"),
    ("HEAD", "/assets/by-hash/{hash}", "headAssetByHash"),
    ("GET", "/assets/{id}", "getAsset"),
    ("DELETE", "/assets/{id}", "deleteAsset"),
    ("GET", "/assets/{id}/content", "getAssetContent"),
    ("POST", "/jobs", "postJobs"),
    ("GET", "/jobs", "listJobs"),
    ("GET", "/jobs/{id}", "getJob"),
    ("GET", "/jobs/{id}/workflow", "getJobWorkflow"),
    ("GET", "/jobs/{id}/events", "getJobEvents"),
    ("POST", "/jobs/{id}/cancel", "cancelJob"),
)

_SEGMENTS: Final = tuple((method, path.split("/")[1:], name) for method, path, name in ROUTES)
_BASE: Final = ["api", "v2"]
_FAMILIES: Final = ("jobs", "assets")
_BEARER: Final = re.compile(r"Bearer +(.*)", re.IGNORECASE | re.DOTALL)

Answer = Callable[..., Asking[Response | None]]


class V2(Surface):
    """Comfy API v2.

    Args:
        door: to the server behind.
        settings: how it is served.
        seed: of ids.
    """

    def __init__(self, door: Door, settings: V2Settings, seed: int) -> None:
        super().__init__(door)
        self._settings = settings
        self._context = RouteContext(self, door, settings, SeededRandom(seed ^ _OTHER_SEED))
        self._streams = Streams(door, settings.throttle_ms * 1_000)
        self._assets = AssetRoutes(self._context)
        self._follower = JobTracker(self._context, self._assets, self._streams)
        self._jobs = JobRoutes(self._context, self._follower, self._streams)
        self._answers: Mapping[str, Answer] = {
            "postAssets": self._assets.upload,
            "assetFromHash": self._assets.from_hash,
            "headAssetByHash": self._assets.look_for_hash,
            "getAsset": self._assets.get,
            "deleteAsset": self._assets.delete,
            "getAssetContent": self._assets.content,
            "postJobs": self._jobs.submit,
            "listJobs": self._jobs.list,
            "getJob": self._jobs.get,
            "getJobWorkflow": self._jobs.workflow,
            "getJobEvents": self._jobs.events,
            "cancelJob": self._jobs.cancel,
        }

    # --- requests ----------------------------------------------------------------------------

    def claims(self, request: Request) -> bool:
        """``/api/v2/jobs``, ``/api/v2/assets`` and what is below them, and the storage."""
        path = request.parts.raw_path
        if path.startswith(STORAGE):
            return self._settings.content == "redirect"
        inner = request.below(self._settings.prefix)
        segments = _segments(inner) if inner is not None else []
        return segments[:2] == _BASE and len(segments) > 2 and segments[2] in _FAMILIES

    def asked(self, exchange: int, request: Request) -> None:
        """Answer a request."""
        self.door.ask(self, self._work(exchange, request), exchange)

    def _work(self, exchange: int, request: Request) -> Asking[Response | None]:
        if request.parts.raw_path.startswith(STORAGE):
            if request.method not in ("GET", "HEAD"):
                return Response(405, (("Allow", "GET, HEAD"),))
            return (yield from self._assets.stored(request, request.parts.segments[-1]))
        self._check_key(request)
        name, params = self._route(request)
        answer = self._answers[name]
        if name == "getJobEvents" and request.method == "GET":
            answer = partial(answer, exchange=exchange)
        elif name == "getJobEvents":
            answer = self._jobs.get  # a head tells whether there is a job
        return (yield from answer(request, **params))

    def _check_key(self, request: Request) -> None:
        token = self._settings.token
        if not token:
            return
        found = _BEARER.fullmatch(request.header("Authorization"))
        if found is None or not hmac.compare_digest(found[1].encode(), token.encode()):
            raise V2Error(
                401,
                "unauthorized",
                "the Authorization header has to be 'Bearer' and a valid key",
                headers=(("WWW-Authenticate", "Bearer"),),
            )

    def _route(self, request: Request) -> tuple[str, dict[str, str]]:
        inner = request.below(self._settings.prefix)
        segments = _segments(inner)[2:] if inner is not None else []
        found = [
            (method, name, params)
            for method, pattern, name in _SEGMENTS
            if (params := _fits(pattern, segments)) is not None
        ]
        if not found:
            raise not_found("there is no such route")
        # /assets/from-hash is not an id.
        found = [one for one in found if not one[2]] or found
        for method, name, params in found:
            if request.method == method or (request.method, method) == ("HEAD", "GET"):
                return name, params
        allowed = [method for method, _, _ in found]
        raise V2Error(
            405,
            "method_not_allowed",
            f"this route takes {', '.join(allowed)}",
            headers=(("Allow", ", ".join(allowed)),),
        )

    def failed(self, error: Exception) -> Response:
        """The answer where something cannot be had."""
        if isinstance(error, V2Error):
            return error.answer
        if isinstance(error, BadAnswer):
            return upstream_error().answer
        raise error

    def aborted(self, exchange: int) -> None:
        """A client has left a stream, or one that was about to begin."""
        self._streams.left(exchange)
        self._jobs.waiting.discard(exchange)

    # --- the server behind -------------------------------------------------------------------

    def accepted(self, socket: int) -> None:
        """The socket that hears of jobs is open."""
        self._follower.accepted(socket)

    def heard(self, socket: int, message: str | bytes) -> None:
        """The server said something."""
        self._follower.heard(message)

    def lost(self, socket: int) -> None:
        """The socket that hears of jobs has ended."""
        self._follower.lost()

    def woke(self) -> None:
        """Some time has passed."""
        self._follower.woke()

    # --- state -------------------------------------------------------------------------------

    def facts(self) -> Mapping[str, Any]:
        """How many jobs stand how, and how many listen."""
        counts: dict[str, int] = {}
        for job in self._follower.jobs.values():
            counts[job.state] = counts.get(job.state, 0) + 1
        return {"jobs": counts, "streams": len(self._streams)}

    def reset(self, parts: Collection[str]) -> None:
        """Forget jobs that are over with the history, others with the queue, assets with files."""
        for job in [*self._follower.jobs.values()]:
            if ("history" if job.is_over else "queue") in parts:
                self._follower.forget(job)
        if "files" in parts:
            self._context.assets.clear()
        if "counters" in parts:
            self._context.keys.clear()


def _segments(request: Request) -> list[str]:
    """Of the path, each decoded by itself, ``api`` included."""
    parts = request.parts
    return [*(("api",) if parts.prefixed else ()), *parts.segments]


def _fits(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    params: dict[str, str] = {}
    for wanted, found in zip(pattern, segments, strict=True):
        if wanted.startswith("{"):
            if not found:
                return None
            params[wanted.strip("{}")] = found
        elif wanted != found:
            return None
    return params
