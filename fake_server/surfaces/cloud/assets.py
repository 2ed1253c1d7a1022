"""``/api/assets`` where Comfy Cloud takes more than the server behind: any tags or none, an id of
the client's own, and an address in the place of a file."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from comfyrec.http.forms import BadForm, FormField, parameters
from comfyrec.http.request import loads_or_none
from fake_server.http.responses import json_response
from fake_server.source import Request, Response
from fake_server.surfaces.cloud.answers import bad_request
from fake_server.surfaces.cloud.passing import pass_on
from fake_server.surfaces.surface import Asking

__all__ = ["CloudAssets"]

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FOLDERS: Final = ("input", "output", "models")
OWN_IDS_MAX: Final = 10_000


class CloudAssets:
    """Assets of Comfy Cloud over those of the server behind."""

    def __init__(self) -> None:
        self._own: dict[str, str] = {}
        """An id that a client chose -> that of the server behind."""

    def clear(self) -> None:
        """Forget the ids that clients chose."""
        self._own.clear()

    def ask(self, request: Request) -> Asking[Response]:
        """What is asked of assets, in the ids of clients."""
        parts = request.parts
        words = [self._own.get(word, word) for word in parts.segments]
        if words != list(parts.segments):
            query = f"?{parts.raw_query}" if parts.raw_query else ""
            request = request.with_target(f"/api/{'/'.join(words)}{query}")
        return self._named((yield from pass_on(request)))

    def upload(self, request: Request) -> Asking[Response]:
        """``POST /api/assets``."""
        if request.header("Content-Type").lower().startswith("application/json"):
            raise bad_request("this server fetches nothing from other hosts; upload the file")
        request = request.in_memory()
        try:
            fields = request.form()
        except (BadForm, LookupError, UnicodeDecodeError) as error:
            raise bad_request(f"the form cannot be read: {error}") from None
        id = _text(fields, "id").lower()
        if id and not _UUID.fullmatch(id):
            raise bad_request("'id' has to be a UUID")
        if id in self._own:
            there = yield from self.ask(Request("GET", f"/api/assets/{id}", request.headers))
            known = loads_or_none(there.body)
            if there.status == 200 and isinstance(known, dict):
                return json_response({**known, "created_new": False})
        answer = yield from pass_on(_with_folder(request, fields))
        made = loads_or_none(answer.body)
        if id and answer.status in (200, 201) and isinstance(made, dict):
            self._own[id] = str(made.get("id"))
            while len(self._own) > OWN_IDS_MAX:
                del self._own[next(iter(self._own))]
        return self._named(answer)

    def _named(self, answer: Response) -> Response:
        """An answer with the ids that clients chose."""
        if not self._own or not answer.body:
            return answer
        shown = {theirs: own for own, theirs in self._own.items()}
        value = loads_or_none(answer.body)
        return json_response(_renamed(value, shown), answer.status) if value else answer


def _renamed(value: Any, shown: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(one, shown) for one in value]
    if isinstance(value, dict):
        return {name: _renamed(one, shown) for name, one in value.items()}
    return shown.get(value, value) if isinstance(value, str) else value


def _text(fields: list[FormField], name: str) -> str:
    found = next((one.value for one in fields if one.name == name), b"")
    return found.decode("utf-8", "replace").strip()


def _with_folder(request: Request, fields: list[FormField]) -> Request:
    """The form with a tag that names a folder: where no other one does, the input folder."""
    tags = b" ".join(one.value for one in fields if one.name == "tags").decode("utf-8", "replace")
    if any(folder in re.findall(r"[\w:-]+", tags) for folder in _FOLDERS):
        return request
    kind, about = parameters(request.header("Content-Type"))
    end = f"--{about.get('boundary', '')}--".encode()
    head, found, rest = request.body.rpartition(end)
    if not kind.startswith("multipart/") or not found:
        return request
    tag = b'Content-Disposition: form-data; name="tags"\r\n\r\ninput\r\n'
    body = b"".join([head, end[:-2], b"\r\n", tag, end, rest])
    return msgspec.structs.replace(request, body=body)
