"""Files: uploads go under the name of their content, and what is viewed lies on another host."""

from __future__ import annotations

import hashlib
import hmac
import posixpath
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from comfyrec.http.forms import BadForm, FormField
from comfyrec.http.request import loads_or_none
from fake_server.http.responses import json_response
from fake_server.source import Request, Response
from fake_server.surfaces.cloud.answers import bad_request, not_found, translated
from fake_server.surfaces.cloud.settings import CloudSettings
from fake_server.surfaces.surface import Asking, Door, elsewhere

__all__ = ["STORAGE", "Files"]

STORAGE: Final = "/storage.googleapis/"
"""Below it lie the bytes that signed URLs name."""
UPLOAD_BYTES_MAX: Final = 50 * 1024 * 1024
_ENDING: Final = re.compile(r"\.[a-z0-9]{1,10}")
_LOCAL: Final = (("Host", "127.0.0.1"),)
_MASKS_MAX: Final = 10_000
_LAYERS: Final = ("mask", "paint", "painted", "painted_masked")


class Files:
    """What is uploaded and fetched.

    Args:
        door: to the server behind.
        settings: of the surface.
        seed: of the signatures.
    """

    def __init__(self, door: Door, settings: CloudSettings, seed: int) -> None:
        self._door, self._settings = door, settings
        self._secret = f"comfyrec-{seed}".encode()
        self._masks: dict[str, None] = {}

    def clear(self) -> None:
        """Forget which uploads were masks."""
        self._masks.clear()

    # --- up ----------------------------------------------------------------------------------

    def upload(self, request: Request) -> Asking[Response]:
        """``POST /api/upload/image`` and ``/api/upload/mask``."""
        fields = _fields(request)
        image = fields.get("image")
        if image is None or not image.filename:
            raise bad_request("the form has no file 'image'")
        if len(image.value) > UPLOAD_BYTES_MAX:
            raise bad_request("the image is larger than 50 MB")
        ending = posixpath.splitext(image.filename)[1].lower()
        name = hashlib.sha256(image.value).hexdigest() + (
            ending if _ENDING.fullmatch(ending) else ""
        )
        texts = {
            key: field.value.decode("utf-8", "replace")
            for key, field in fields.items()
            if key in ("type", "original_ref")
        }
        is_mask = request.path == "/upload/mask"
        kind = texts.setdefault("type", "input")
        if is_mask and "original_ref" not in texts:
            raise bad_request("the form has no 'original_ref'")
        answer = yield _form_request(request.path, name, image.value, {**texts, "overwrite": "1"})
        kept = loads_or_none(answer.body)
        if answer.status != 200 or not isinstance(kept, dict):
            status = 400 if answer.status in (400, 413, 500) else answer.status
            return translated(msgspec.structs.replace(answer, status=status))
        subfolder = fields["subfolder"].value.decode() if "subfolder" in fields else ""
        name = str(kept.get("name", name))  # where a scenario has it stored otherwise
        told: dict[str, Any] = {"name": name, "subfolder": subfolder, "type": kind}
        if is_mask:
            told["metadata"] = self._mask(name, texts["original_ref"])
        return json_response(told)

    def _mask(self, name: str, original_ref: str) -> dict[str, Any]:
        self._masks[name] = None
        while len(self._masks) > _MASKS_MAX:
            del self._masks[next(iter(self._masks))]
        ref = loads_or_none(original_ref.encode())
        original = ref.get("filename") if isinstance(ref, dict) else None
        about = {"is_mask": True, "mask_type": "painted_masked", "related_files": {"mask": name}}
        return about | ({"original_hash": original} if isinstance(original, str) else {})

    def mask_layers(self, request: Request) -> Response:
        """``GET /api/files/mask-layers``."""
        name = request.first("filename")
        if name not in self._masks:
            raise not_found("mask")
        return json_response(dict.fromkeys(_LAYERS) | {"mask": name})

    # --- down --------------------------------------------------------------------------------

    def view(self, request: Request) -> Asking[Response]:
        """``GET /api/view``: a redirect to a signed URL, or one channel of a picture."""
        query = {name: values[0] for name, values in request.query.items()}
        if not query.get("filename"):
            raise bad_request("the query has no 'filename'")
        if "channel" in query:
            query["channel"] = "a" if query["channel"] == "alpha" else query["channel"]
            answer = yield _view(query, request)
            return translated(answer)
        named = {n: query[n] for n in ("filename", "subfolder", "type") if query.get(n)}
        there = yield _view(named, None)
        if there.status != 200:
            raise not_found("file")
        return Response(302, (("Location", self._signed(request, named)),))

    def stored(self, request: Request) -> Asking[Response]:
        """What a signed URL gives: the file to whoever has the URL."""
        if request.method not in ("GET", "HEAD"):
            return Response(405, (("Allow", "GET, HEAD"),))
        query = {name: values[0] for name, values in request.query.items()}
        signature = query.pop("X-Goog-Signature", "")
        if not hmac.compare_digest(signature.encode(), self._signature(query).encode()):
            return _refusal(403, "SignatureDoesNotMatch", "Access denied.")
        if _seconds(self._door.unix_us) > int(query["X-Goog-Expires"]):
            return _refusal(400, "ExpiredToken", "Invalid argument.")
        named = {name: value for name, value in query.items() if not name.startswith("X-Goog-")}
        answer = yield _view(named, request)
        if answer.status == 404:
            return _refusal(404, "NoSuchKey", "The specified key does not exist.")
        return answer

    def _signed(self, request: Request, named: Mapping[str, str]) -> str:
        query = {
            **named,
            "X-Goog-Algorithm": "GOOG4-HMAC-SHA256",
            "X-Goog-Expires": str(_seconds(self._door.unix_us) + self._settings.url_s),
        }
        query["X-Goog-Signature"] = self._signature(query)
        path = f"{STORAGE}{quote(named['filename'], safe='')}"
        return f"{elsewhere(request.origin)}{path}?{urlencode(query)}"

    def _signature(self, query: Mapping[str, str]) -> str:
        signed = urlencode(sorted(query.items())).encode()
        return hmac.new(self._secret, signed, hashlib.sha256).hexdigest()


def _seconds(unix_us: int) -> int:
    return unix_us // 1_000_000


def _view(query: Mapping[str, str], request: Request | None) -> Request:
    """A question to ``/view``; with the fields of the client's about ranges and copies."""
    fields = ("range", "if-range", "if-none-match", "if-modified-since")
    kept = [(n, v) for n, v in request.headers if n.lower() in fields] if request else []
    method = request.method if request is not None else "GET"
    return Request(method, f"/view?{urlencode(query)}", (*_LOCAL, *kept))


def _fields(request: Request) -> dict[str, FormField]:
    try:
        fields = request.in_memory().form()
    except (BadForm, LookupError, UnicodeDecodeError) as error:
        raise bad_request(f"the form cannot be read: {error}") from None
    found: dict[str, FormField] = {}
    for field in fields:
        found.setdefault(field.name, field)
    return found


def _form_request(path: str, name: str, image: bytes, texts: Mapping[str, str]) -> Request:
    # A picture does not hold its own hash.
    boundary = f"c-{name.partition('.')[0]}"
    head = f"--{boundary}\r\nContent-Disposition: form-data; name="
    parts = [f'{head}"{key}"\r\n\r\n{text}\r\n'.encode() for key, text in texts.items()]
    parts += [f'{head}"image"; filename="{name}"\r\n\r\n'.encode(), image]
    body = b"".join([*parts, f"\r\n--{boundary}--\r\n".encode()])
    kind = f"multipart/form-data; boundary={boundary}"
    return Request("POST", path, (*_LOCAL, ("Content-Type", kind)), body)


def _refusal(status: int, code: str, message: str) -> Response:
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}"
    headers = (("Content-Type", "application/xml; charset=UTF-8"),)
    return Response(status, headers, f"{body}</Message></Error>".encode())
