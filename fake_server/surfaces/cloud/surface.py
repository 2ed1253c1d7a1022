"""Comfy Cloud's first API in front of a server: whose requests are its own, and who hears what.

Each user has a socket of the surface's own to the server behind, under which jobs are submitted;
what it hears goes to all sockets of the user. Their own sockets are let in by the server as well,
which greets them and tells them of its queue.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.events import comfy_json
from comfyrec.events.frames import text_frame
from fake_server.http.responses import json_response
from fake_server.seeded import SeededRandom
from fake_server.source import (
    Abort,
    Action,
    Close,
    Disconnected,
    Request,
    Respond,
    Response,
    Send,
    UpgradeRequested,
)
from fake_server.surfaces.cloud.answers import (
    Refused,
    bad_request,
    in_plain_text,
)
from fake_server.surfaces.cloud.assets import CloudAssets
from fake_server.surfaces.cloud.files import STORAGE, Files
from fake_server.surfaces.cloud.frames import data_of, prompt_of, to_cloud
from fake_server.surfaces.cloud.job_requests import JobRequests
from fake_server.surfaces.cloud.jobs import Jobs
from fake_server.surfaces.cloud.passing import pass_on, without_keys
from fake_server.surfaces.cloud.routes import route_of
from fake_server.surfaces.cloud.settings import CloudSettings
from fake_server.surfaces.cloud.users import User, Users
from fake_server.surfaces.surface import Asking, Door, Surface

__all__ = ["Cloud"]

_OTHER_SEED: Final = 0x636C
"""Ids differ from those that the server behind draws with the same seed."""
_PUBLIC: Final = ("/system_stats",)
_NEWER: Final = "v2"
"""``/api/v2`` is another API."""
_FLAGS: Final = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}


class Cloud(Surface):
    """Comfy Cloud v1.

    Args:
        door: to the server behind.
        settings: how it is served.
        seed: of session ids and signatures.
    """

    def __init__(self, door: Door, settings: CloudSettings, seed: int) -> None:
        super().__init__(door)
        self._settings = settings
        self._random = SeededRandom(seed ^ _OTHER_SEED)
        self._users = Users(settings.key)
        self._jobs = Jobs()
        self._requests = JobRequests(door, settings, self._jobs)
        self._files = Files(door, settings, seed)
        self._assets = CloudAssets()

    # --- requests ----------------------------------------------------------------------------

    def claims(self, request: Request) -> bool:
        """``/api/*`` but for newer versions, ``/ws``, and the storage."""
        parts = request.parts
        if parts.raw_path.startswith(STORAGE) or parts.path == "/ws":
            return True
        return parts.prefixed and parts.segments[:1] != (_NEWER,)

    def asked(self, exchange: int, request: Request) -> None:
        """Answer a request."""
        self.door.ask(self, self._work(request), exchange)

    def _work(self, request: Request) -> Asking[Response | None]:
        if request.parts.raw_path.startswith(STORAGE):
            return (yield from self._files.stored(request))
        if request.path in _PUBLIC:
            route_of(request)
            return (yield from pass_on(request))
        try:
            user = self._users.of(request)
        except Refused as refused:
            if request.parts.segments[:1] == ("userdata",):
                return in_plain_text(refused.answer)
            raise
        name, id = route_of(request)
        match name:
            case "executePrompt":
                self._listen(user)
                return (yield from self._requests.submit(user, request))
            case "getPromptInfo":
                return self._requests.info(user)
            case "getJobStatus":
                return (yield from self._requests.status(user, id))
            case "getJobDetail":
                return (yield from self._requests.detail(user, id))
            case "listJobs":
                return (yield from self._requests.list(user, request))
            case "getHistory":
                return (yield from self._requests.history(user, request))
            case "getHistoryForPrompt":
                return (yield from self._requests.history_of(user, id))
            case "manageHistory":
                return (yield from self._requests.forget(user, request))
            case "getQueueInfo":
                return (yield from self._requests.queue(user))
            case "manageQueue":
                return (yield from self._requests.change_queue(user, request))
            case "interruptJob":
                return (yield from self._requests.interrupt(user))
            case "getUser":
                return json_response({"status": "active"})
            case _:
                return (yield from self._about_files(name, request))

    def _about_files(self, name: str, request: Request) -> Asking[Response | None]:
        match name:
            case "viewFile":
                return (yield from self._files.view(request))
            case "uploadImage" | "uploadMask":
                return (yield from self._files.upload(request))
            case "getMaskLayers":
                return self._files.mask_layers(request)
            case "uploadAsset":
                return (yield from self._assets.upload(request))
            case "" if request.path.startswith("/assets"):
                return (yield from self._assets.ask(request))
            case "getRemoteAssetMetadata" | "createAssetDownload":
                raise bad_request("this server fetches nothing from other hosts")
            case _:
                return (yield from pass_on(request))

    def failed(self, error: Exception) -> Response:
        """The answer to what is refused."""
        if isinstance(error, Refused):
            return error.answer
        raise error

    # --- sockets -----------------------------------------------------------------------------

    def knocked(self, socket: int, request: Request) -> None:
        """Let a socket in that has a token; its ``clientId`` counts for nothing."""
        try:
            user = self._users.of_socket(request)
        except Refused as refused:
            self.door.do(Respond(socket, refused.answer))
            return
        self._listen(user)
        user.sockets[socket] = None
        target = f"/ws?clientId={self._random.uuid()}"
        native = msgspec.structs.replace(request, target=target, headers=without_keys(request))
        self.door.forward(UpgradeRequested(socket, native))

    def _listen(self, user: User) -> None:
        """Have an ear for what the server says of a user's jobs."""
        if user.ear is None:
            user.ear = self.door.connect(self, user.client_id)

    def accepted(self, socket: int) -> None:
        """An ear is open."""
        if self._settings.previews == "metadata":
            self.door.say(socket, comfy_json(_FLAGS))

    def heard(self, socket: int, message: str | bytes) -> None:
        """Something is said about a user's jobs: all sockets of the user hear it."""
        user = self._users.of_ear(socket)
        name, data = data_of(message)
        if user is None or name == "status" or self._jobs.is_hidden(prompt_of(data)):
            return
        self._jobs.heard(name, data, self.door.unix_us)
        job = self._jobs.get(prompt_of(data) or "")
        if name == "execution_start" and job is not None:
            job.started = True
        self._say(user, to_cloud(message, self._settings))

    def _say(self, user: User, frames: Sequence[str | bytes]) -> None:
        for frame in frames if user.sockets else ():
            self.door.do(Send(tuple(user.sockets), frame))

    def shown(self, action: Action) -> Sequence[Action]:
        """What the server itself says to a user's socket: how long the queue is, and the end."""
        if isinstance(action, Abort | Close):
            self._gone(action.socket)
        if isinstance(action, Respond):
            self._gone(action.exchange)  # an upgrade that was refused
        if not isinstance(action, Send):
            return (action,)
        shown: list[Action] = []
        others = []
        for socket in action.sockets:
            user = self._users.with_socket(socket)
            if user is None:
                others.append(socket)
            elif (frame := self._status(user, action.message)) is not None:
                shown.append(Send((socket,), frame))
        return [*shown, Send(tuple(others), action.message)] if others else shown

    def _status(self, user: User, message: str | bytes) -> str | None:
        name, data = data_of(message)
        if name != "status":
            return None
        status = data.get("status")
        info = status.get("exec_info") if isinstance(status, dict) else None
        told = info.get("queue_remaining") if isinstance(info, dict) else None
        if not isinstance(told, int) or not isinstance(message, str):
            return message if isinstance(message, str) else None
        remaining = min(told, len(self._jobs.open(user.number)))
        return text_frame(
            "status", {**data, "status": {"exec_info": {"queue_remaining": remaining}}}
        )

    def left(self, socket: int) -> None:
        """A socket of a client has ended."""
        self._gone(socket)

    def _gone(self, socket: int) -> None:
        user = self._users.with_socket(socket)
        if user is not None:
            del user.sockets[socket]

    def lost(self, socket: int) -> None:
        """An ear has ended: so do the sockets that heard by it."""
        user = self._users.of_ear(socket)
        if user is None:
            return
        user.ear = None
        for one in [*user.sockets]:
            self._gone(one)
            self.door.do(Abort(one))
            self.door.forward(Disconnected(one))

    # --- state -------------------------------------------------------------------------------

    def facts(self) -> Mapping[str, Any]:
        """How many users, and how their jobs stand."""
        counts: dict[str, int] = {}
        for job in self._jobs:
            told = job.end or ("started" if job.started else "waiting")
            counts[told] = counts.get(told, 0) + 1
        return {"cloud": {"users": sum(1 for _ in self._users), "jobs": counts}}

    def reset(self, parts: Collection[str]) -> None:
        """Forget jobs that are over with the history, others with the queue, masks with files."""
        for job in self._jobs:
            if ("history" if job.end is not None else "queue") in parts:
                self._jobs.forget(job.id)
        if "files" in parts:
            self._files.clear()
            self._assets.clear()
