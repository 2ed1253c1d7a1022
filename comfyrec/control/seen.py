"""Operations on what a server saw: requests, prompts, uploads, sockets, frames, the journal."""

from __future__ import annotations

import base64
import hashlib
import json
from fnmatch import fnmatchcase
from typing import Any, Final

from comfyrec.control.controlled import Controlled
from comfyrec.control.operation import Empty, Operation
from comfyrec.control.shapes import (
    Complaints,
    FrameList,
    FrameQuery,
    JournalAnswer,
    JournalQuery,
    PromptList,
    PromptQuery,
    RequestList,
    RequestQuery,
    SeenFrame,
    SeenPromptAnswer,
    SeenRequestAnswer,
    SeenSocketAnswer,
    SeenUpload,
    SocketList,
    SocketQuery,
    Unused,
    UploadedFile,
    UploadList,
)
from comfyrec.http.forms import BadForm, fields_of
from comfyrec.testing.observed import SeenPrompt, SeenRequest, SeenSocket
from fake_server.server.hold import check_hold, matches

__all__ = ["SEEN", "body_of", "shown_request", "shown_socket"]


def body_of(seen: SeenRequest) -> Any:
    """The body as JSON; None when it is not JSON."""
    try:
        return json.loads(seen.body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(constant: str) -> Any:
    # Python reads NaN and infinities, and whoever reads our answer may not.
    raise ValueError(constant)


def shown_request(seen: SeenRequest) -> SeenRequestAnswer:
    """A request in plain values."""
    return SeenRequestAnswer(
        serial=seen.serial,
        t_us=seen.t,
        method=seen.method,
        path=seen.path,
        query=seen.query,
        headers=list(seen.headers),
        size_bytes=len(seen.body),
        text=_text(seen.body),
        json=body_of(seen),
        status=seen.status,
    )


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def shown_socket(seen: SeenSocket) -> SeenSocketAnswer:
    """A socket in plain values."""
    return SeenSocketAnswer(
        socket=seen.number,
        client_id=seen.client_id,
        open=seen.open,
        opened_us=seen.opened_t,
        closed_us=seen.closed_t,
        received=[one if isinstance(one, str) else None for one in seen.received],
    )


def _journal(controlled: Controlled, query: JournalQuery) -> JournalAnswer:
    journal = controlled.server.handle.server.journal
    entries = list(journal.entries(after=query.after, what=query.what or ""))
    return JournalAnswer(entries=entries, forgotten=journal.forgotten)


def _requests(controlled: Controlled, query: RequestQuery) -> RequestList:
    found = [
        shown_request(seen)
        for seen in controlled.server.requests
        if seen.serial > query.after
        and query.method in (None, seen.method)
        and (query.path is None or fnmatchcase(seen.path, query.path))
        and query.status in (None, seen.status)
    ]
    return RequestList(requests=found)


def _prompts(controlled: Controlled, query: PromptQuery) -> PromptList:
    found = [
        _prompt(seen)
        for seen in controlled.server.prompts
        if query.prompt_id in (None, seen.prompt_id) and query.client_id in (None, seen.client_id)
    ]
    return PromptList(prompts=found)


def _prompt(seen: SeenPrompt) -> SeenPromptAnswer:
    return SeenPromptAnswer(
        serial=seen.request.serial,
        t_us=seen.request.t,
        prompt_id=seen.prompt_id,
        client_id=seen.client_id,
        graph=seen.graph,
        extra_data=seen.extra_data,
    )


def _uploads(controlled: Controlled, _: Empty) -> UploadList:
    return UploadList(uploads=[_upload(seen) for seen in controlled.server.uploads])


def _upload(seen: SeenRequest) -> SeenUpload:
    kind = next((value for name, value in seen.headers if name.lower() == "content-type"), "")
    try:
        parts = fields_of(kind, seen.body)
    except BadForm:  # a scenario may accept anything
        parts = []
    return SeenUpload(
        serial=seen.serial,
        t_us=seen.t,
        path=seen.path,
        fields={
            part.name: part.value.decode("utf-8", "replace")
            for part in parts
            if part.filename is None
        },
        files=[
            UploadedFile(
                field=part.name,
                filename=part.filename,
                content_type=part.content_type,
                size_bytes=len(part.value),
                sha256=hashlib.sha256(part.value).hexdigest(),
                base64=base64.b64encode(part.value).decode(),
            )
            for part in parts
            if part.filename is not None
        ],
    )


def _sockets(controlled: Controlled, query: SocketQuery) -> SocketList:
    found = [
        shown_socket(seen)
        for seen in controlled.server.sockets
        if query.client_id in (None, seen.client_id) and query.open in (None, seen.open)
    ]
    return SocketList(sockets=found)


def _frames(controlled: Controlled, query: FrameQuery) -> FrameList:
    if query.type is not None:
        check_hold(query.type, {})
    found = [
        _frame(t, socket, message)
        for t, socket, message in controlled.server.frames
        if query.socket in (None, socket)
        and (query.type is None or matches(message, query.type, {}))
    ]
    return FrameList(frames=found)


def _frame(t: int, socket: int, message: str | bytes) -> SeenFrame:
    if isinstance(message, bytes):
        return SeenFrame(t_us=t, socket=socket, type="binary", text=None, size_bytes=len(message))
    try:
        read = json.loads(message)
    except (ValueError, RecursionError):  # a scenario may send anything
        read = None
    kind = read.get("type") if isinstance(read, dict) else None
    size = len(message.encode("utf-8", "replace"))
    return SeenFrame(t_us=t, socket=socket, type=str(kind or ""), text=message, size_bytes=size)


def _complaints(controlled: Controlled, _: Empty) -> Complaints:
    return Complaints(complaints=controlled.server.complaints)


def _unused(controlled: Controlled, _: Empty) -> Unused:
    return Unused(unused=controlled.server.unused)


SEEN: Final = (
    Operation(
        "journal", "GET", "/journal",
        "Requests, answers, frames, holds and faults in order, secrets hidden.",
        _journal, JournalAnswer, query=JournalQuery,
    ),
    Operation(
        "requests", "GET", "/requests",
        "HTTP requests, whole: what a client sent as a secret is shown, too.",
        _requests, RequestList, query=RequestQuery,
    ),
    Operation(
        "prompts", "GET", "/prompts", "Prompts that were accepted.",
        _prompts, PromptList, query=PromptQuery,
    ),
    Operation(
        "uploads", "GET", "/uploads", "Uploads that were accepted, with their files.",
        _uploads, UploadList,
    ),
    Operation(
        "sockets", "GET", "/sockets", "Websockets, open and closed.",
        _sockets, SocketList, query=SocketQuery,
    ),
    Operation(
        "frames", "GET", "/frames", "Frames that were sent, once for each socket.",
        _frames, FrameList, query=FrameQuery,
    ),
    Operation(
        "complaints", "GET", "/complaints", "What was to happen and did not.",
        _complaints, Complaints,
    ),
    Operation(
        "unused", "GET", "/unused", "What the cassette holds and the client never requested.",
        _unused, Unused,
    ),
)  # fmt: skip
