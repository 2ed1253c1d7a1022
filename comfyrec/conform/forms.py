"""What a server's answers and frames are made of: their fields, whatever the values.

Two servers that differ in something that no fact is about differ here: a field that nobody knows, a
new type of frame, a feature flag, a model folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from comfyrec.conform.probes import Run, Server

__all__ = ["Form", "Forms", "forms_of", "only_in"]

_DEEP_MAX: Final = 8
# Of the moment and the way, not of the server's version.
_HEADERS_OF_THE_WAY: Final = frozenset({
    "date", "server", "via", "connection", "transfer-encoding", "content-length", "etag",
    "last-modified", "keep-alive", "alt-svc", "age", "vary", "content-encoding", "accept-ranges",
})  # fmt: skip
_RECENT: Final = 20
"""Jobs that are listed, the newest first: more than are run here."""
_REFUSED: Final = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 0, "height": "x", "batch_size": 1}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}

Forms = Mapping[str, frozenset[str]]
"""Where -> the fields that are there."""


class Form(msgspec.Struct, frozen=True):
    """One field, and where it stands."""

    where: str
    field: str


def forms_of(server: Server) -> Forms:
    """What a server's answers have; what was not answered with JSON is left out."""
    found: dict[str, frozenset[str]] = {}
    for path in ("/features", "/system_stats", "/prompt", "/queue", "/object_info/EmptyImage"):
        answer = server.ask("GET", path)
        if answer.status == 200 and isinstance(answer.json, dict):
            found[f"GET {path}"] = _fields(answer.json)
    folders = server.ask("GET", "/models").json
    if isinstance(folders, list):
        found["GET /models"] = frozenset(one for one in folders if isinstance(one, str))
    refusal = server.ask("POST", "/prompt", {"prompt": _REFUSED}).json
    if isinstance(refusal, dict):
        found["a refused prompt"] = _fields(refusal)
    if server.run is not None:
        found |= dict(_of_run(server, server.run))
    return found


def _of_run(server: Server, run: Run) -> Iterator[tuple[str, frozenset[str]]]:
    yield "an accepted prompt", _fields(run.accepted)
    frames: dict[str, set[str]] = {}
    for frame in run.frames:
        frames.setdefault(str(frame.get("type")), set()).update(_fields(frame))
    yield "the frames of a prompt", frozenset(frames)
    yield from ((f"the frame {kind}", frozenset(fields)) for kind, fields in frames.items())
    yield "an entry of the history", _fields(run.history)
    job = server.ask("GET", f"/api/jobs/{run.prompt_id}")
    if job.status == 200 and isinstance(job.json, dict):
        yield "a finished job", _fields(job.json)
    jobs = server.ask("GET", f"/api/jobs?limit={_RECENT}")
    if jobs.status == 200 and isinstance(jobs.json, dict):
        # Of all that is listed this prompt alone: one that failed has other fields.
        yield "the list of jobs", _fields({**jobs.json, "jobs": _those(jobs.json, run.prompt_id)})
    for shown in run.history.get("outputs", {}).values():
        for file in shown.get("images", ()):
            path = f"/view?filename={file['filename']}&type={file['type']}"
            yield (
                "the headers of GET /view",
                (frozenset(server.ask("GET", path).headers) - _HEADERS_OF_THE_WAY),
            )


def _those(page: Mapping[str, Any], prompt_id: str) -> list[Any]:
    listed = page.get("jobs")
    entries = listed if isinstance(listed, list) else []
    return [one for one in entries if isinstance(one, Mapping) and one.get("id") == prompt_id]


def _fields(value: Any) -> frozenset[str]:
    return frozenset(_paths(value, "", _DEEP_MAX))


def _paths(value: Any, at: str, deep: int) -> Iterator[str]:
    if not deep:
        return
    inner: Iterable[tuple[str, Any]] = ()
    if isinstance(value, Mapping):
        inner = ((f"{at}.{key}" if at else str(key), one) for key, one in value.items())
    elif isinstance(value, list):
        inner = ((f"{at}[]", one) for one in value)
    for path, one in inner:
        if isinstance(value, Mapping):
            yield path
        yield from _paths(one, path, deep - 1)


def only_in(one: Forms, other: Forms) -> list[Form]:
    """The fields that one has and the other lacks, at places that both have; a field inside of one
    that is listed is not."""
    found: list[Form] = []
    for where in one:
        new = one[where] - other[where] if where in other else frozenset[str]()
        found += [Form(where, field) for field in sorted(new) if not _above(field) & new]
    return found


def _above(field: str) -> set[str]:
    parts = field.split(".")
    joined = {".".join(parts[:length]) for length in range(1, len(parts))}
    return joined | {one.rstrip("[]") for one in joined}
