"""Two tables of traffic: with a secret planted in it, and with nothing in it that may change.

A row is a place, a sample, and the traffic that carries it. The rows are made of kinds: each way of
writing a name or a value in each place where it can stand.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

from PIL import Image, PngImagePlugin

from comfyrec.cassette.packed.zstandard import ZstdCompressor
from comfyrec.wire.frames import close_payload, frame_head

__all__ = ["HARMLESS", "PLANTS", "SECRET", "Row", "Said"]

SECRET = "Zk83mQ2LxV7tR9pW4bN6"
"""Of no known shape: it is told by its name, or because it was told before."""
PATTERNED = "sk-proj-4fT9xQ7mZ2vLk8WbN3rYc6Dp"

Said = tuple[str, bytes]
"""``client`` or ``server``, and the bytes of one read."""


class Row(NamedTuple):
    """One sample."""

    place: str
    sample: str
    said: list[Said]
    secret: str = SECRET


GET = b"GET /queue HTTP/1.1\r\nHost: 127.0.0.1:8188\r\n\r\n"
OK_EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
UPGRADE = (
    b"GET /ws?clientId=c1 HTTP/1.1\r\nHost: 127.0.0.1:8188\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


# --- carriers: what stands on the wire around a sample ------------------------------------------


def asked_with(line: str) -> list[Said]:
    return [
        ("client", b"GET /queue HTTP/1.1\r\nHost: h\r\n" + line.encode() + b"\r\n\r\n"),
        ("server", OK_EMPTY),
    ]


def answered_with(line: str) -> list[Said]:
    head = b"HTTP/1.1 200 OK\r\n" + line.encode() + b"\r\nContent-Length: 0\r\n\r\n"
    return [("client", GET), ("server", head)]


def target(written: str) -> list[Said]:
    return [
        ("client", f"GET {written} HTTP/1.1\r\nHost: h\r\n\r\n".encode()),
        ("server", OK_EMPTY),
    ]


def posted(body: bytes, kind: str = "application/json") -> list[Said]:
    head = f"POST /prompt HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\nContent-Length: "
    return [("client", head.encode() + b"%d\r\n\r\n" % len(body) + body), ("server", OK_EMPTY)]


def answer(body: bytes, kind: str = "application/json", coding: str = "") -> list[Said]:
    coded = f"CONTENT-ENCODING: {coding}\r\n" if coding else ""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{coded}Content-Length: {len(body)}\r\n\r\n"
    return [("client", GET), ("server", head.encode() + body)]


def in_pieces(body: bytes, size: int = 11) -> list[Said]:
    asked, (side, whole) = answer(body)
    cut = whole.index(b"\r\n\r\n") + 4
    pieces = [whole[at : at + size] for at in range(cut, len(whole), size)]
    return [asked, (side, whole[:cut]), *(("server", piece) for piece in pieces)]


def chunked(body: bytes) -> list[Said]:
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in (body[:half], body[half:]))
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return [("client", GET), ("server", head + chunks + b"0\r\n\r\n")]


def told(payload: bytes, opcode: int = 1) -> list[Said]:
    frame = frame_head(opcode, len(payload), masked=False) + payload
    return [("client", UPGRADE), ("server", SWITCH), ("server", frame)]


def told_by_client(payload: bytes, opcode: int = 1) -> list[Said]:
    frame = frame_head(opcode, len(payload), masked=True) + payload
    return [("client", UPGRADE), ("server", SWITCH), ("client", frame)]


def told_in_fragments(payload: bytes) -> list[Said]:
    pieces = [payload[at : at + 7] for at in range(0, len(payload), 7)]
    frames = []
    for number, piece in enumerate(pieces):
        first = (0x80 if number + 1 == len(pieces) else 0) | (0 if number else 1)
        frames.append(bytes((first, len(piece))) + piece)
    return [("client", UPGRADE), ("server", SWITCH), *(("server", frame) for frame in frames)]


def told_deflated(payload: bytes) -> list[Said]:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    head = frame_head(1, len(packed), masked=False)
    switch = SWITCH[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    frame = bytes((head[0] | 0x40,)) + head[1:] + packed
    return [("client", UPGRADE), ("server", switch), ("server", frame)]


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    packer = ZstdCompressor(3)
    return packer.compress(data) + packer.flush()


def filled(data: bytes) -> bytes:
    """A body with enough in it besides, so that packing it again leaves room."""
    return data + b"\n" + json.dumps({"fill": [str(n) for n in range(200)]}).encode()


def multipart(*parts: tuple[str, bytes]) -> bytes:
    body = b"".join(
        b"--b0undary\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), content)
        for head, content in parts
    )
    return body + b"--b0undary--\r\n"


def form_of(*parts: tuple[str, bytes]) -> list[Said]:
    return posted(multipart(*parts), "multipart/form-data; boundary=b0undary")


def png(**texts: str) -> bytes:
    out, info = io.BytesIO(), PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    Image.new("RGB", (8, 8), 3).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A picture with one more chunk behind its first."""
    whole = png()
    checksum = zlib.crc32(kind + data).to_bytes(4, "big")
    return whole[:33] + len(data).to_bytes(4, "big") + kind + data + checksum + whole[33:]


def jpeg(comment: bytes) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 8), 3).save(out, "JPEG", comment=comment)
    return out.getvalue()


def webp(text: str) -> bytes:
    out, exif = io.BytesIO(), Image.Exif()
    exif[0x010E] = text
    Image.new("RGB", (8, 8), 3).save(out, "WEBP", exif=exif.tobytes())
    return out.getvalue()


def mp4(text: bytes) -> bytes:
    def box(kind: bytes, data: bytes) -> bytes:
        return (len(data) + 8).to_bytes(4, "big") + kind + data

    return box(b"ftyp", b"isom\0\0\2\0isomiso2") + box(b"mdat", bytes(500)) + box(b"moov", text)


def event(kind: int, data: bytes) -> bytes:
    """A binary message of ComfyUI: its kind as a number of four bytes, then what it carries."""
    return struct.pack(">I", kind) + data


# --- plants -------------------------------------------------------------------------------------

S = SECRET
JSON_PLANTS: dict[str, Any] = {
    "key for partner nodes": {"prompt": {}, "extra_data": {"api_key_comfy_org": S}},
    "token for partner nodes": {"extra_data": {"auth_token_comfy_org": S}},
    "input of a node": {"prompt": {"3": {"class_type": "X", "inputs": {"hf_token": S}}}},
    "camel case": {"openaiApiKey": S},
    "upper case": {"CLIENT_SECRET": S},
    "kebab case": {"api-key": S},
    "pascal case": {"AccessToken": S},
    "run together": {"mytoken": S},
    "password": {"password": S, "user": "joe"},
    "passphrase": {"passphrase": S},
    "private key": {"private_key": S},
    "authorization": {"authorization": f"Bearer {S}"},
    "a hint": {"civitai": S},
    "personal token": {"github_pat": S},
    "short name of a personal token": {"pat": S},
    "personal token in words": {"log": f"pat: {S}"},
    "another hint": {"key": S},
    "session": {"session": S},
    "list of keys": {"api_keys": [S]},
    "second of a list": {"tokens": ["none", S]},
    "name and value": [{"name": "HF_TOKEN", "value": S}],
    "value and name": [{"value": S, "name": "HF_TOKEN"}],
    "name, type and value": [{"key": "api_key", "type": "string", "value": S}],
    "pair": ["X-API-Key", S],
    "pairs": {"headers": [["Accept", "*/*"], ["X-API-Key", S]]},
    "arguments": {"argv": ["main.py", "--api-key", S]},
    "one argument": {"argv": ["main.py", f"--api-key={S}"]},
    "wrapped value": {"api_key": {"__value__": S}},
    "default of an input": {"required": {"api_key": ["STRING", {"default": S}]}},
    "JSON in JSON": {"workflow": json.dumps({"api_key": S, "nested": [1]})},
    "JSON in JSON in JSON": {"w": json.dumps({"x": json.dumps({"api_key": S})})},
    "a dictionary of Python": {"traceback": f"inputs {{'api_key': '{S}'}}"},
    "quotes behind =": {"text": f"client(api_key='{S}')"},
    "an address": {"image": f"https://h/x.png?token={S}&w=3"},
    "an escaped address": {"image": quote(f"https://h/x.png?token={S}&w=3", safe="")},
    "a login": {"url": f"https://joe:{S}@host/x"},
    "settings": {"text": f"HF_TOKEN={S}\nOTHER=1"},
    "settings with export": {"text": f"export HF_TOKEN={S}"},
    "YAML": {"text": f"hf_token: {S}\nother: 1"},
    "a header in words": {"log": f"sent X-Api-Key: {S}"},
    "a scheme in words": {"log": f"header was Bearer {S}"},
    "an element": {"xml": f"<token>{S}</token>"},
}


def _json_plants() -> Iterator[Row]:
    for name, value in JSON_PLANTS.items():
        text = json.dumps(value).encode()
        yield Row("body of a request", name, posted(text))
        yield Row("body of an answer", name, answer(text))
        yield Row("message", name, told(text))
        yield Row("packed answer", name, answer(gzip.compress(filled(text)), coding="gzip"))
    for name in ("key for partner nodes", "name and value", "JSON in JSON", "settings", "pair"):
        text = json.dumps(JSON_PLANTS[name]).encode()
        yield Row("message of the client", name, told_by_client(text))
        yield Row("fragments", name, told_in_fragments(text))
        yield Row("deflated message", name, told_deflated(text))
        yield Row("pieces", name, in_pieces(text))
        yield Row("single bytes", name, in_pieces(text, 1))
        yield Row("chunked", name, chunked(text))
        yield Row("in zlib", name, answer(zlib.compress(filled(text)), coding="deflate"))
        yield Row("bare deflate", name, answer(bare_deflate(filled(text)), coding="deflate"))
        yield Row("zstd", name, answer(zstd(filled(text)), coding="zstd"))
        members = gzip.compress(b'{"a":1}') + gzip.compress(filled(text))
        yield Row("second member of gzip", name, answer(members, coding="GZIP"))
        yield Row("with a mark before it", name, answer(b"\xef\xbb\xbf" + text))
        yield Row("without a type", name, answer(text, ""))
        yield Row("stream of events", name, answer(b"data: " + text + b"\n\n", "text/event-stream"))
        yield Row("control bytes before", name, answer(b"\x1b[31m\0" + text, "text/plain"))
        yield Row("part of a form", name, form_of(('name="prompt"', text)))
        yield Row("file of a form", name, form_of(('name="f"; filename="w.json"', text)))
        picture = ('name="image"; filename="a.png"', png())
        yield Row("beside a picture", name, form_of(picture, ('name="extra"', text)))
        yield Row("picture: tEXt", name, answer(png(prompt=text.decode()), "image/png"))
        packed = b"prompt\0\0" + zlib.compress(text)
        yield Row("picture: zTXt", name, answer(png_chunk(b"zTXt", packed), "image/png"))
        packed = b"prompt\0\1\0\0\0" + zlib.compress(text)
        yield Row("picture: deflated iTXt", name, answer(png_chunk(b"iTXt", packed), "image/png"))
        yield Row("picture: comment", name, answer(jpeg(text), "image/jpeg"))
        yield Row("picture: EXIF", name, answer(webp("prompt:" + text.decode()), "image/webp"))
        yield Row("film", name, answer(mp4(text), "video/mp4"))
        yield Row("preview with metadata", name, told(_preview(text), 2))
        yield Row("binary text", name, told(event(3, struct.pack(">I", 1) + b"3" + text), 2))
        yield Row("other bytes", name, answer(b"\0\1\2\xff" + text + b"\0", "application/x"))


def _preview(metadata: bytes) -> bytes:
    return event(4, struct.pack(">I", len(metadata)) + metadata + png())


HEADERS = {
    "Bearer": f"Authorization: Bearer {S}",
    "any scheme": f"authorization: Token {S}",
    "Basic": "Authorization: Basic " + base64.b64encode(f"joe:{S}".encode()).decode(),
    "no scheme": f"Authorization: {S}",
    "of the proxy": f"Proxy-Authorization: Bearer {S}",
    "cookie": f"Cookie: sid={S}; theme=dark",
    "second cookie": f"Cookie: theme=dark; sid={S}",
    "cookie without a sign": f"Cookie: {S}",
    "X-API-Key": f"X-API-Key: {S}",
    "x-api-key": f"x-api-key:{S}",
    "Api-Key": f"Api-Key: {S}",
    "ApiKey": f"ApiKey: {S}",
    "X-Auth-Token": f"X-Auth-Token: {S}",
    "X-Passphrase": f"X-Passphrase: {S}",
    "X-Pwd": f"X-Pwd: {S}",
    "X-Password": f"X-Password: {S}",
    "X-Signature": f"X-Signature: {S}",
    "X-Session-Id": f"X-Session-Id: {S}",
    "X-Secret": f"X-Secret: {S}",
    "X-Credential": f"X-Credential: {S}",
    "X-Jwt": f"X-Jwt: {S}",
    "any key": f"X-Whatever-Key: {S}",
    "of Google": f"X-Goog-Api-Key: {S}",
    "of Amazon": f"X-Amz-Security-Token: {S}",
    "of Cloudflare": f"CF-Access-Client-Id: {S}",
    "secret of Cloudflare": f"CF-Access-Client-Secret: {S}",
    "of Azure": f"Ocp-Apim-Subscription-Key: {S}",
    "against forgery": f"X-CSRF-Token: {S}",
    "subprotocol": f"Sec-WebSocket-Protocol: chat, {S}",
    "named subprotocol": f"Sec-WebSocket-Protocol: token, {S}",
    "subprotocol with a start": f"Sec-WebSocket-Protocol: v1, bearer.{S}",
    "address of before": f"Referer: http://h/p?token={S}&x=1",
    "login": f"Origin: http://joe:{S}@host",
    "address in a field": f"X-Forwarded-Url: http://h/p?api_key={S}",
    "known shape": f"X-Whatever: {PATTERNED}",
}
TARGETS = {
    "parameter of the path": f"/view;jsessionid={S}?filename=a.png",
    "session of PHP": f"/view?phpsessid={S}",
    "token": f"/ws?clientId=abc&token={S}",
    "api_key": f"/prompt?api_key={S}&clientId=abc",
    "apikey": f"/prompt?apikey={S}",
    "key": f"/prompt?key={S}&clientId=abc",
    "access_token": f"/?access_token={S}",
    "auth": f"/?auth={S}",
    "sig": f"/view?sig={S}&se=1",
    "personal token": f"/view?pat={S}",
    "id of a session": f"/view?sid={S}",
    "signature": f"/view?Signature={S}&Expires=17&Key-Pair-Id=K",
    "policy": f"/view?Policy={S}",
    "of Amazon": f"/view?X-Amz-Signature={S}",
    "credential of Amazon": f"/view?X-Amz-Credential={S}",
    "of Google": f"/view?X-Goog-Signature={S}",
    "camel case": f"/view?secretKey={S}",
    "upper case": f"/view?API_KEY={S}",
    "session": f"/view?session_id={S}",
    "password": f"/view?password={S}",
    "escaped name": f"/view?%74oken={S}",
    "wholly escaped name": "/view?" + "".join(f"%{ord(c):02x}" for c in "token") + f"={S}",
    "escaped value": "/view?token=" + "".join(f"%{ord(c):02x}" for c in S),
    "address in an address": "/view?url=" + quote(f"http://h/p?token={S}", safe=""),
    "behind a semicolon": f"/view?a=1;token={S}",
    "login": f"http://joe:{S}@h/view",
    "known shape in a path": f"/bot/{PATTERNED}/send",
}
ANSWERS = {
    "cookie": f"Set-Cookie: sid={S}; Path=/; HttpOnly",
    "cookie of a host": f"set-cookie: __Host-session={S}; Secure",
    "challenge": f'WWW-Authenticate: Digest realm="r", nonce="{S}"',
    "place with a key": f"Location: https://a.b/c?sig={S}&y=1",
    "place with a token": f"Location: https://a.b/c?token={S}",
    "place with a fragment": f"Location: https://a.b/c#access_token={S}&x=1",
    "place with a login": f"Location: https://joe:{S}@a.b/c",
    "new token": f"X-Auth-Token: {S}",
    "refreshed": f"X-Refresh-Token: {S}",
    "link": f"Link: <https://a.b/c?token={S}>; rel=next",
}
FIELDS = {
    "plain": f"user=joe&password={S}",
    "first": f"api_key={S}&x=1",
    "escaped name": f"%61pi_key={S}",
    "escaped value": "token=" + quote(S + "+/="),
    "camel case": f"clientSecret={S}",
    "signature": f"a=1&sig={S}",
    "OAuth": f"grant_type=refresh_token&refresh_token={S}",
    "JSON in a field": "data=" + quote_plus(json.dumps({"api_key": S})),
}
PARTS = {
    "plain": f'name="api_key"\r\n\r\n{S}',
    "without quotes": f"name=api_key\r\n\r\n{S}",
    "file name first": f'filename="k.txt"; name="note"\r\n\r\napi_key={S}',
    "camel case": f'name="secretKey"\r\n\r\n{S}',
    "several lines": f'name="private_key"\r\n\r\n{S}\r\nsecond line\r\nthird',
    "with a type": f'name="token"\r\nContent-Type: text/plain\r\n\r\n{S}',
}
TEXTS = {
    "settings": f"HF_TOKEN={S}\n",
    "quoted settings": f'API_KEY="{S}"\n',
    "single quotes": f"api_key='{S}'",
    "spaces": f"api_key = {S}",
    "YAML": f"openai:\n  api_key: {S}\n",
    "ini": f"[comfy]\nsecret = {S}\n",
    "flag": f"python main.py --api-key {S} --port 1",
    "flag with a sign": f"python main.py --token={S}",
    "in colors": f"\x1b[32mINFO\x1b[0m api_key={S}\x1b[0m\n",
    "behind a NUL": f"\0\0password: {S}\n",
    "header": f"> Authorization: Bearer {S}\n",
    "login": f"cloning https://joe:{S}@git.example/x.git\n",
    "JSON line": json.dumps({"level": "info", "token": S}) + "\n",
    "repr": repr({"api_key": S}),
    "XML": f"<config><password>{S}</password></config>",
    "known shape": f"failed with {PATTERNED}\n",
    "curl": f"curl -H 'X-API-Key: {S}' http://h",
}
SHAPES = {
    "OpenAI": "sk-Very5ecretValue-9172053648",
    "OpenAI project": PATTERNED,
    "Hugging Face": "hf_" + "aB3dE6gH9jK2mN5pQ8sT1vW4",
    "GitHub": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "GitHub, new": "github_pat_" + "11ABCDEFG0a1B2c3D4e5F6_a1B2c3D4e5F6g7H8",
    "GitLab": "glpat-" + "a1B2c3D4e5F6g7H8i9J0",
    "Comfy": "comfyui-" + "0123456789abcdef" * 4,
    "Amazon": "AKIA" + "IOSFODNN7EXAMPL3",
    "Google": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "Slack": "xoxb-" + "123456789012-abcdefGHIJKL",
    "Replicate": "r8_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s",
    "Stripe": "sk_live_" + "a1B2c3D4e5F6g7H8i9J0k1L2",
    "RunPod": "rpa_" + "AB12CD34EF56GH78IJ90KL12MN34OP56QR78ST90",
    "xAI": "xai-" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "Docker": "dckr_pat_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N",
    "Supabase": "sbp_" + "a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4",
    "SendGrid": "SG." + "a1B2c3D4e5F6g7H8i9J0k1.L2m3N4o5P6q7R8s9T0u1V2w3X4y5Z6a7B8c9D0e1F2g",
    "Groq": "gsk_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
}
KEY_LINES = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PRIVATE_KEY = f"-----BEGIN PRIVATE KEY-----\n{KEY_LINES}\n{KEY_LINES}\n-----END PRIVATE KEY-----\n"

TOLD_BEFORE: list[Said] = asked_with(f"X-API-Key: {S}")
ECHOES = {
    "plain": S,
    "escaped for JSON": "".join(f"\\u{ord(c):04x}" for c in S),
    "half escaped for JSON": "".join(f"\\u{ord(c):04X}" if n % 3 else c for n, c in enumerate(S)),
    "entities": "".join(f"&#{ord(c)};" for c in S),
    "hexadecimal entities": "".join(f"&#x{ord(c):x};" for c in S),
    "half entities": "".join(f"&#{ord(c)};" if n % 2 else c for n, c in enumerate(S)),
    "percent": "".join(f"%{ord(c):02X}" for c in S),
    "half percent": "".join(f"%{ord(c):02x}" if n % 2 else c for n, c in enumerate(S)),
    "base64": base64.b64encode(S.encode()).decode(),
    "base64 inside": base64.b64encode(f"{{user:{S}}}".encode()).decode(),
    "base64 inside, shifted": base64.b64encode(f"a user:{S} b".encode()).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(f"??{S}>>".encode()).decode(),
}


def _other_plants() -> Iterator[Row]:
    for name, line in HEADERS.items():
        secret = PATTERNED if PATTERNED in line else S
        if "Basic" in line:
            secret = line.rpartition(" ")[2]
        yield Row("header", name, asked_with(line), secret)
    for name, written in TARGETS.items():
        secret = PATTERNED if PATTERNED in written else S
        if name == "escaped value":
            secret = written.rpartition("=")[2]
        yield Row("target", name, target(written), secret)
    for name, line in ANSWERS.items():
        yield Row("header of an answer", name, answered_with(line))
    for name, fields in FIELDS.items():
        yield Row("form", name, posted(fields.encode(), "application/x-www-form-urlencoded"))
    for name, part in PARTS.items():
        head, _, content = part.partition("\r\n\r\n")
        yield Row("multipart", name, form_of((head, content.encode())))
        picture = ('name="image"; filename="a.png"', png())
        yield Row("multipart with a picture", name, form_of(picture, (head, content.encode())))
        whole = form_of(picture, (head, content.encode()))
        asked = [("client", whole[0][1][at : at + 13]) for at in range(0, len(whole[0][1]), 13)]
        yield Row("multipart in pieces", name, [*asked, whole[1]])
    for name, text in TEXTS.items():
        secret = PATTERNED if PATTERNED in text else S
        yield Row("text", name, answer(text.encode(), "text/plain"), secret)
        yield Row("log", name, told(json.dumps({"type": "logs", "data": text}).encode()), secret)
    for name, key in SHAPES.items():
        yield Row("shape", name, answer(json.dumps({"text": f"use {key} here"}).encode()), key)
        yield Row("shape in a message", name, told(json.dumps([key]).encode()), key)
        yield Row("shape in bytes", name, told(event(3, b"\0\0" + key.encode()), 2), key)
    for place, carry in (
        ("body", answer),
        ("message", told),
        ("form", lambda t: form_of(('name="k"', t))),
    ):
        text = PRIVATE_KEY.encode() if place == "form" else json.dumps([PRIVATE_KEY]).encode()
        yield Row(f"private key in a {place}", "PEM", carry(text), KEY_LINES)
    yield from _spellings()
    yield from _plants_in_frames()
    yield from _echoes()
    yield from _refused()


SPELLINGS = """
    api_key apiKey APIKEY ApiKey api-key OPENAI_API_KEY HUGGING_FACE_HUB_TOKEN hfToken HF-Token
    token_hf replicate_api_token bearer_token sessionToken refreshToken accessToken client_secret
    secretAccessKey aws_secret_access_key private_key passwd pwd db_password PGPASSWORD authToken
    license_key webhook_secret xsrf_token session_cookie jwt id_token oauth_token encryption_key
    civitai_api_token apiKeyComfyOrg secret SECRET passphrase userPassword Token TOKEN api_secret
    api_key_2 password2 security_token personal_access_token shared_secret subscription_key
"""


def _spellings() -> Iterator[Row]:
    """Each spelling of a name in each kind of place."""
    for name in SPELLINGS.split():
        yield Row("spelling in JSON", name, told(json.dumps({"data": {name: S, "o": 1}}).encode()))
        yield Row("spelling in a target", name, target(f"/view?a=1&{name}={S}"))
        yield Row("spelling in a header", name, asked_with(f"{name}: {S}"))
        yield Row("spelling in a text", name, answer(f"{name}={S}\n".encode(), "text/plain"))
        yield Row(
            "spelling in a pair", name, posted(json.dumps([{"name": name, "value": S}]).encode())
        )
        file = f'filename="a.txt"; name="{name}"'
        yield Row("spelling in a form", name, form_of((file, S.encode())))


def _plants_in_frames() -> Iterator[Row]:
    for name, text in {"named": f"token={S}", "shape": PATTERNED, "scheme": f"Bearer {S}"}.items():
        secret = PATTERNED if PATTERNED in text else S
        yield Row("reason of a close", name, told(close_payload(1008, text), 8), secret)
        yield Row("ping", name, told(text.encode(), 9), secret)
        yield Row("pong", name, told_by_client(text.encode(), 10), secret)
    chunks = b"2\r\n{}\r\n0\r\nX-Api-Key: " + S.encode() + b"\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Api-Key\r\n\r\n"
    yield Row("trailers", "header", [("client", GET), ("server", head + chunks)])


def _echoes() -> Iterator[Row]:
    for name, written in ECHOES.items():
        for place, carry in CARRIERS_OF_ECHOES.items():
            yield Row(f"echo in {place}", name, TOLD_BEFORE + carry(written.encode()), written)


CARRIERS_OF_ECHOES: dict[str, Callable[[bytes], list[Said]]] = {
    "a text": lambda text: answer(b"it was " + text + b" there", "text/plain"),
    "a script": lambda text: answer(b'const a="' + text + b'";', "text/javascript"),
    "a page": lambda text: answer(b"<html><p>" + text + b"</p>", "text/html"),
    "bytes": lambda text: answer(bytes(range(99)) + text + b"\xff\0", "application/x"),
    "a ping": lambda text: told(text, 9),
    "gzip": lambda text: answer(gzip.compress(filled(text)), "text/plain", "gzip"),
}


def _refused() -> Iterator[Row]:
    """Requests that are refused: neither the cassette nor the person is told what was in them."""
    bad = {
        "folded field": f"X-Api-Key: a\r\n {S}\r\n",
        "folded first": f" {S}\r\n",
        "no colon": f"{S}\r\n",
        "space in the name": f"X Api Key: {S}\r\n",
    }
    for name, lines in bad.items():
        head = f"GET / HTTP/1.1\r\nHost: h\r\nX-Api-Key: {S}\r\n{lines}\r\n"
        yield Row("refused request", name, [("client", head.encode())])


PLANTS: list[Row] = [*_json_plants(), *_other_plants()]


# --- nothing to take out ------------------------------------------------------------------------

HARMLESS_JSON: dict[str, Any] = {
    "class named session": {"1": {"class_type": "RemBGSession+", "inputs": {"model": "u2net"}}},
    "entry named session": {"RemBGSession+": {"input": {"required": {}}, "name": "RemBGSession+"}},
    "class named token": {"TokenCounter": {"name": "TokenCounter", "output": ["INT"]}},
    "class named key": {"LoadApiKey": {"name": "LoadApiKey", "display_name": "Load API Key"}},
    "class named auth": {"BasicAuth": {"display_name": "Basic Auth", "category": "api/auth"}},
    "class named civitai": {"CivitaiLoader": {"display_name": "Civitai Loader"}},
    "class as a value": {"class_type": "LoadApiKey", "type": "TokenCounter"},
    "ids of tokens": {"bos_token_id": 49406, "eos_token_id": "49407", "civitai_model_id": "12345"},
    "civitai ids": {
        "civitai_version_id": "128713",
        "civitai": {"modelId": 12, "name": "juggernaut"},
    },
    "tokens to count": {"max_tokens": 512, "token_count": 7, "tokenizer": "clip", "tokens": 77},
    "tokens of a text": {"tokens": ["a", "photo", "of", "a", "cat"]},
    "names of tokens": {"bos_token": "<|startoftext|>", "pad_token": "<|endoftext|>"},
    "trigger": {"trigger_token": "ohwx man", "instance_token": "sks", "class_token": "dog"},
    "no authentication": {"auth": {"type": "none"}, "session": None, "token": False},
    "nothing set": {"api_key": "", "token": None, "secret": False, "auth": {}, "password": "none"},
    "placeholders": {"api_key": "disabled", "token": "default", "auth": "basic", "secret": "auto"},
    "types": {"api_key": "STRING", "token": "CLIP_TOKEN", "password": "STRING"},
    "input of a node": {"required": {"token": ["STRING", {"multiline": False, "default": ""}]}},
    "options of an input": {"api_key": ["STRING", {"default": "", "tooltip": "Your API key"}]},
    "choices": {"required": {"token_mode": [["none", "mean", "length+mean"], {}]}},
    "choice of a key": {
        "required": {"key": [["C major", "A minor", "F# minor"], {"default": "C major"}]}
    },
    "choices of models": {"auth": [["flux1-dev-fp8.safetensors", "sd_xl_base_1.0.safetensors"]]},
    "order of inputs": {"input_order": {"required": ["api_key", "model_name_v2", "seed_1"]}},
    "order of two": {"input_order": {"required": ["token", "clip_l_v2"]}},
    "links": {"inputs": {"token": ["4", 0], "api_key": ["12", 1], "password": ["7", 2]}},
    "labels": {"password": "Password", "apiKey": "API Key", "token": "Token", "auth": "Sign in"},
    "longer labels": {"forgotPassword": "Forgot password?", "apiKey": "Enter your API key here"},
    "labels of other languages": {
        "useApiKey": "Comfy API-Schl\u00fcssel",
        "password": "\u5bc6\u7801",
        "auth/weak-password": "A senha \u00e9 muito fraca. Use uma senha mais forte.",
        "token": "Gib dein Token ein",
    },
    "tooltips": {"tooltip": "The API key of the service. A token is a word: token: word."},
    "keys of other things": {"sort_key": "name", "keyframes": [1, 2], "hotkey": "ctrl+s"},
    "key bindings": {"combo": {"key": "Enter", "ctrl": True}, "commandId": "Comfy.QueuePrompt"},
    "key of a list": {"options": [{"key": "eleven_multilingual_v2", "inputs": {"required": {}}}]},
    "model under key": {"key": "wan2.1_i2v_480p_14B_fp8_e4m3fn", "text": "x"},
    "file under key": {"key": "flux1-dev-fp8.safetensors", "secret": "secret_garden.png"},
    "numbers": {"password_attempts": 3, "value": 12.5, "nodes": {"3": {"max": 20.0}}, "token": 17},
    "seeds": {"inputs": {"seed": 1125899906842624, "noise_seed": "1125899906842624"}},
    "booleans": {"secret": True, "hasPassword": False, "use_auth_token": True},
    "words behind basic": {"groups": [{"title": "Basic Sampling"}, {"title": "basic settings."}]},
    "words behind bearer": {
        "text": "a bearer instrument, bearer-independent",
        "n": "bearer things",
    },
    "cookie in a prompt": {"text": "a photo of a cookie: chocolate chips, macro"},
    "signature in a prompt": {"text": "oil painting, signature: elegant, no watermark"},
    "key in a prompt": {"text": "key: bright, low key lighting, (keyhole:1.2), token: gold"},
    "secret in a prompt": {"text": "a secret garden, secret: hidden door, password=swordfish"},
    "session in a prompt": {"text": "photo session: studio, session=evening"},
    "weights in a prompt": {"text": "(masterpiece:1.2), [auth:0.5], <lora:token_v2:0.8>"},
    "negative prompt": {"text": "text, watermark, signature, jwt, username, artist name"},
    "sigmas": {"class_type": "BasicScheduler", "inputs": {"sigmas": ["9", 0]}},
    "history": {
        "prompt": [1, "550e8400-e29b-41d4-a716-446655440000", {}, {"client_id": "c1"}, ["9"]]
    },
    "status": {
        "type": "status",
        "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": S},
    },
    "progress": {
        "type": "progress",
        "data": {"value": 3, "max": 20, "prompt_id": "p-1", "node": "3"},
    },
    "executed": {
        "type": "executed",
        "data": {"output": {"images": [{"filename": "ComfyUI_00001_.png"}]}},
    },
    "hash of a file": {
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    },
    "ids of nodes": {"id": "a3c1f2de-77b1-4a55-9f3f-0c7a1e6f1b22", "revision": 0},
    "name and value": [{"name": "sampler", "value": "euler"}, {"name": "token", "type": "STRING"}],
    "inputs of a widget": [
        {"name": "api_key", "type": "STRING", "widget": {"name": "api_key"}, "link": 3}
    ],
    "pair of names": ["api_key", "seed"],
    "pair of types": ["password", "STRING"],
    "arguments": {"argv": ["main.py", "--listen", "0.0.0.0", "--enable-cors-header", "*"]},
    "file of arguments": {
        "argv": ["--extra-model-paths-config", "key.yaml", "--front-end-root", "x"]
    },
    "extensions": ["/extensions/ComfyUI-Auth/auth.js", "/extensions/core/keybinding.js"],
    "settings": {
        "Comfy.Keybinding.NewBindings": [],
        "Comfy.TokenLimit": "256",
        "Comfy.Auth": "none",
    },
    "user data": [{"path": "workflows/token test.json", "size": 1234, "modified": 1712345678}],
    "devices": {"devices": [{"name": "cuda:0 NVIDIA", "type": "cuda", "vram_total": 25438126080}]},
    "markdown": {"text": "See [docs](https://docs.comfy.org/api?key=value#token) and `token=...`"},
    "code in a note": {
        "text": "def f(tokens, key=None):\n    return sorted(tokens, key=lambda t: t.key)"
    },
    "environment": {"text": "set HF_TOKEN in your shell, as in export HF_TOKEN=<your token>"},
    "address": {"url": "https://huggingface.co/x/resolve/main/y.safetensors?download=true"},
    "git": {"text": "git@github.com:comfyanonymous/ComfyUI.git ssh://git@github.com/x/y"},
    "names that hold such words": {
        "author": "Zoe",
        "keyword": "cat3dog4bird5",
        "monkey": "a1b2c3d4e5f6",
        "bypass": "x9y8z7w6v5",
        "compass": "n0rth1a2b3c",
        "secretary": "Ann",
        "keyboard": "k1e2y3b4o5",
        "passes": "3x4y5z6a7",
    },
    "ids under hints": {
        "key": "550e8400-e29b-41d4-a716-446655440000",
        "session": "f47ac10b-58cc-4372-a567-0e02b2c3d479",
    },
    "keys of things": {
        "cache_key": "e3b0c44298fc1c149afbf4c8996fb924",
        "public_key": "a1b2c3d4e5f6a7b8",
        "sort_key": "x1y2z3a4b5c6",
    },
    "references": {
        "api_key": "$OPENAI_API_KEY",
        "token": "${HF_TOKEN}",
        "password": "{{password}}",
        "secret": "YOUR_SECRET",
    },
    "masks": {
        "api_key": "********",
        "password": "\u2022\u2022\u2022\u2022",
        "token": "xxxxxxxx",
        "secret": "...",
    },
    "a trained word": {"inputs": {"token": "ohwx man", "text": "photo of ohwx man"}},
    "words where credentials stand, too": {
        "inputs": {"bearer": "armor bearer, knight", "license_key": "agree"}
    },
    "a model by its address": {"air": "urn:air:sd1:checkpoint:civitai:4384@128713"},
    "a model and its version": {"text": "civitai:328553@368189, <lora:tokenizer_v3:0.8>"},
    "a stub of a key": {
        "tooltip": "looks like sk-xxxxxxxxxxxxxxxxxxxxxxxx or hf_xxxxxxxxxxxxxxxxxxxxxx"
    },
    "log of keys": {
        "log": "cache key: a1b2c3d4e5f6a7b8 lora_key: lora_te1_text_model_encoder_layers_0"
    },
    "log of tokens": {
        "log": "12345678 tokens in 3.2 s, token: loaded, tokens: 77, session started"
    },
    "Chinese": {"display_name": "\u52a0\u8f7d\u5bc6\u94a5", "token": ""},
}
HARMLESS_TARGETS = {
    "view": "/view?filename=ComfyUI_00001_.png&subfolder=&type=output",
    "view of a file named so": "/view?filename=secret_garden.png&type=input",
    "token in a value": "/view?filename=token.png&subfolder=api_key&type=temp",
    "socket": "/ws?clientId=550e8400-e29b-41d4-a716-446655440000",
    "sorted": "/api/jobs?sort_key=created&sort_by=token_count",
    "no token": "/queue?token=&auth=none&api_key=null",
    "limit": "/history?max_items=64&offset=-1&max_tokens=12",
    "class": "/object_info/LoadApiKey",
    "class with a sign": "/object_info/RemBGSession%2B",
    "user data": "/api/userdata/workflows%2Fsecret%20garden.json?overwrite=true",
    "random": "/view?filename=a.png&rand=0.8412234&t=1712345678901",
    "hash": "/assets/index-C2hnmN5U.js?v=abc123",
    "key of a list": "/api/settings?keys=Comfy.Keybinding",
}
HARMLESS_LINES = {
    "type": "Content-Type: application/json; charset=utf-8",
    "etag": 'ETag: W/"5f2b-18f3c1d2a40"',
    "agent": "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "accept": "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8",
    "origin": "Origin: http://127.0.0.1:8188",
    "referer": "Referer: http://127.0.0.1:8188/?workflow=secret_garden",
    "place": "Location: /view?filename=ComfyUI_00001_.png&type=output",
    "other place": "Location: https://storage.example/outputs/ComfyUI_00001_.png?x=1",
    "disposition": 'Content-Disposition: inline; filename="secret_garden.png"',
    "cache": "Cache-Control: no-store, must-revalidate",
    "cors": "Access-Control-Allow-Headers: Content-Type, Authorization, X-Api-Key",
    "cors credentials": "Access-Control-Allow-Credentials: true",
    "handshake": "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "accepted": "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "subprotocol": "Sec-WebSocket-Protocol: chat, superchat, graphql-transport-ws",
    "challenge": 'WWW-Authenticate: Basic realm="ComfyUI", charset="UTF-8"',
    "no scheme": "Authorization: Bearer",
    "counts": "X-Token-Count: 12",
    "number": "X-Ratelimit-Remaining-Tokens: 149984",
    "requested with": "X-Requested-With: XMLHttpRequest",
    "user": "Comfy-User: default",
    "range": "Range: bytes=0-1023",
    "date": "Date: Mon, 30 Nov 2026 23:38:15 GMT",
    "same site": "Sec-Fetch-Site: same-origin",
    "cache key": "X-Cache-Key: e3b0c44298fc1c149afbf4c8996fb924",
    "id of a key": "X-Api-Key-Id: 12345678abcdef90",
    "idempotency": "Idempotency-Key: 8e03978e-40d5-43dd-bc93-6894a57f9324",
}
CODE = {
    "names": 'const token = "abc123def456ghi7"; let api_key = cfg["api_key"] ?? "";',
    "object": 'var e={token:"t0ken1234567890abc",password:"Pa55word12345",auth:{type:"none"}};',
    "regular expression": r"const re=/Bearer\s+([\w.~+\/=-]{8,})/;x='Authorization: Bearer '+t",
    "query": 'fetch("/api?key=K3yValue1234567890&token="+t,{headers:{"X-Api-Key":key0123456789}})',
    "shape": 'placeholder:"sk-proj-aB3dE6gH9jK2mN5pQ8sT1vW4",hint:"hf_aB3dE6gH9jK2mN5pQ8"',
    "login": 'u="https://user:pass1234@example.com/x"',
}


def _harmless() -> Iterator[Row]:
    for name, value in HARMLESS_JSON.items():
        text = json.dumps(value).encode()
        yield Row("body of a request", name, posted(text))
        yield Row("body of an answer", name, answer(text))
        yield Row("message", name, told(text))
    for name in ("entry named session", "labels", "secret in a prompt", "pair of names", "choices"):
        text = json.dumps(HARMLESS_JSON[name]).encode()
        yield Row("pieces", name, in_pieces(text))
        yield Row("fragments", name, told_in_fragments(text))
        yield Row("deflated message", name, told_deflated(text))
        yield Row("gzip", name, answer(gzip.compress(text), coding="gzip"))
        yield Row("JSON in JSON", name, answer(json.dumps({"w": text.decode()}).encode()))
        yield Row("picture", name, answer(png(prompt=text.decode()), "image/png"))
        yield Row("packed in a picture", name, answer(
            png_chunk(b"zTXt", b"prompt\0\0" + zlib.compress(text)), "image/png"
        ))  # fmt: skip
        yield Row("part of a form", name, form_of(('name="prompt"', text)))
        yield Row("binary text", name, told(event(3, struct.pack(">I", 1) + b"3" + text), 2))
    for name, written in HARMLESS_TARGETS.items():
        yield Row("target", name, target(written))
    for name, line in HARMLESS_LINES.items():
        yield Row("header", name, asked_with(line))
        yield Row("header of an answer", name, answered_with(line))
    for name, code in CODE.items():
        yield Row("script", name, answer(code.encode(), "text/javascript"))
        page = f"<!doctype html><script>{code}</script>".encode()
        yield Row("page", name, answer(page, "text/html"))
        yield Row("style", name, answer(code.encode(), "text/css"))
        whole = {"version": 3, "sources": ["a.ts"], "sourcesContent": [code], "mappings": "AAAA"}
        yield Row("source map", name, answer(json.dumps(whole).encode()))
    upload = ('name="image"; filename="secret_garden.png"', png())
    yield Row("upload", "picture", form_of(upload, ('name="type"', b"input")))
    mask = ('name="image"; filename="token.png"\r\nContent-Type: image/png', png())
    yield Row("upload", "picture with a type", form_of(mask, ('name="overwrite"', b"true")))
    yield Row("upload", "no key", form_of(('name="api_key"', b""), ('name="token"', b"none")))
    yield Row("preview", "JPEG", told(event(1, struct.pack(">I", 1) + jpeg(b"")), 2))
    yield Row("preview", "PNG with metadata", told(_preview(b'{"node_id": "3"}'), 2))
    yield Row("close", "reason", told(close_payload(1001, "going away: session over"), 8))
    yield Row("close", "no reason", told(close_payload(1000, ""), 8))
    yield Row("ping", "text", told(b"keepalive", 9))
    yield Row("film", "MP4", answer(mp4(b"\0\0\0\x10mvhdtoken\0\0\0"), "video/mp4"))
    yield Row(
        "form",
        "words",
        posted(b"type=input&overwrite=true&token=", "application/x-www-form-urlencoded"),
    )


HARMLESS: list[Row] = list(_harmless())
