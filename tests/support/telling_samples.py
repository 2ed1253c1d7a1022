"""A table of traffic that tells of people, machines and pictures: every place of every class.

A row is a class, a place, a sample, the traffic that carries it, and what must not be found
afterwards. The places are those in which ComfyUI's clients and servers put such things.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

from PIL import Image, PngImagePlugin

from comfyrec.wire.frames import close_payload
from tests.support.redaction_samples import (
    Said,
    answer,
    answered_with,
    asked_with,
    chunked,
    event,
    filled,
    form_of,
    in_pieces,
    png_chunk,
    posted,
    target,
    told,
    told_by_client,
    told_deflated,
    told_in_fragments,
    zstd,
)

__all__ = ["TELLING", "Telling", "forms_of"]


class Telling(NamedTuple):
    """One sample."""

    redaction: str
    place: str
    sample: str
    said: list[Said]
    plant: str


USER = "zaphodbeeble"
HOST = "gpu-attic.beeblebrox.lan"
IP = "198.18.77.203"
CLIENT = "client-Qz7Kp"
UUID = "7f1c2a9e-4b7d-4e0a-9c55-d3e8f6a1b204"
SID = "9b2f4c6d8e0a1b3c5d7f9e1a3b5c7d9f"
DEVICE = "Hyperion GTX 31337"
FOLDER = f"/home/{USER}/ComfyUI/custom_nodes/x.py"
WINDOWS = rf"C:\Users\{USER}\ComfyUI\execution.py"
TEXT = "a velvet otter, na\u00efve style, over Qaanaaq"
SHORT = "otter"
TITLE = "Otters at dusk"
FILE = "velvet_otter_77.png"
MODEL = "secretottermix_v9.safetensors"
FOLDER_NAME = "otterholt"
LINE = "got prompt from Zaphod about the velvet otter"

GRAPH: dict[str, Any] = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 5, "sampler_name": "euler"}},
    "6": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": TEXT, "clip": ["4", 1]},
        "_meta": {"title": TITLE},
    },
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": f"{FOLDER_NAME}/otterpix"}},
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": MODEL}},
}
WORKFLOW: dict[str, Any] = {
    "id": UUID,
    "nodes": [
        {
            "id": 6,
            "type": "CLIPTextEncode",
            "title": TITLE,
            "inputs": [{"name": "clip", "type": "CLIP", "link": 3}],
            "properties": {"Node name for S&R": "CLIPTextEncode"},
            "widgets_values": [TEXT, SHORT],
        }
    ],
    "links": [[3, 4, 1, 6, 0, "CLIP"]],
    "groups": [{"title": TITLE}],
}
CONTENTS = (TEXT, TITLE, MODEL, "otterpix", FOLDER_NAME)

IDENTITY_LINES = {
    "Comfy-User": (f"Comfy-User: {USER}", USER),
    "Host": (f"Host: {HOST}:8188", HOST),
    "Host by number": (f"Host: {IP}:8188", IP),
    "Origin": (f"Origin: http://{HOST}:8188", HOST),
    "Referer": (f"Referer: https://{HOST}/?x=1", HOST),
    "X-Forwarded-For": (f"X-Forwarded-For: {IP}, 10.1.2.3", IP),
    "X-Forwarded-Host": (f"X-Forwarded-Host: {HOST}", HOST),
    "X-Real-IP": (f"X-Real-IP: {IP}", IP),
    "Forwarded": (f'Forwarded: for="{IP}";host={HOST};proto=https', HOST),
    "User-Agent": (f"User-Agent: Mozilla/5.0 ({USER}) AppleWebKit/537.36", USER),
    "CF-Connecting-IP": (f"CF-Connecting-IP: {IP}", IP),
    "an id anywhere": (f"X-Trace: {UUID}", UUID),
}
IDENTITY_ANSWERS = {
    "Location": (f"Location: http://{HOST}/view?filename=a.png", HOST),
    "Server": (f"Server: {USER}/1.0 Python/3.12", USER),
    "Via": (f"Via: 1.1 {HOST} (nginx)", HOST),
    "cors": (f"Access-Control-Allow-Origin: http://{HOST}:8188", HOST),
}
IDENTITY_TARGETS = {
    "clientId": (f"/ws?clientId={CLIENT}", CLIENT),
    "clientId behind another": (f"/prompt?x=1&clientId={CLIENT}", CLIENT),
    "absolute": (f"http://{HOST}:8188/queue", HOST),
    "prompt id": (f"/history/{UUID}", UUID),
    "job": (f"/api/jobs/{UUID}/cancel", UUID),
    "user": (f"/api/x?username={USER}", USER),
    "path": (f"/x?dir=/home/{USER}/pictures", USER),
    "escaped path": ("/x?dir=" + quote(f"/home/{USER}/pictures", safe=""), USER),
}
IDENTITY_JSON: dict[str, tuple[Any, str]] = {
    "client id": ({"prompt": {}, "client_id": CLIENT}, CLIENT),
    "client id in extra data": ({"extra_data": {"client_id": CLIENT}}, CLIENT),
    "usage source": ({"extra_data": {"comfy_usage_source": USER}}, USER),
    "fourth item": ({UUID: {"prompt": [1, UUID, {}, {"client_id": CLIENT}, []]}}, CLIENT),
    "key of a history": ({UUID: {"prompt": []}}, UUID),
    "create time": ({"extra_data": {"create_time": 1_712_345_678_901}}, "1712345678901"),
    "sid": ({"type": "status", "data": {"status": {}, "sid": SID}}, SID),
    "prompt id": ({"type": "executing", "data": {"node": "3", "prompt_id": UUID}}, UUID),
    "traceback": ({"traceback": [f'  File "{FOLDER}", line 3, in f\n']}, USER),
    "traceback of Windows": ({"traceback": [f'  File "{WINDOWS}", line 3\n']}, USER),
    "folder with a space": ({"traceback": [f'  File "/home/{USER} two/x.py"\n']}, USER),
    "exception": ({"exception_message": f"cannot open {FOLDER}: no such file"}, USER),
    "user of a path": ({"a": f"in {FOLDER}", "exception_message": f"{USER} may not"}, USER),
    "arguments": ({"system": {"argv": ["main.py", "--output-directory", f"/data/{USER}"]}}, USER),
    "one argument": ({"system": {"argv": ["main.py", f"--listen={IP}"]}}, IP),
    "word of arguments": ({"system": {"argv": ["main.py", "--user", USER]}}, USER),
    "os": ({"system": {"os": f"Linux {USER}"}}, USER),
    "python": ({"system": {"python_version": f"3.12.3 (main, {USER})"}}, USER),
    "device": ({"devices": [{"name": f"cuda:0 {DEVICE} : native", "type": "cuda"}]}, DEVICE),
    "users": ({"users": {f"{USER}_1": USER}}, USER),
    "consumer": ({"consumer_id": USER, "job_id": CLIENT}, USER),
    "miner": ({"miner_id": USER}, USER),
    "job": ({"job_id": CLIENT}, CLIENT),
    "mail": ({"a": f"ask {USER}@beeblebrox.example about it"}, USER),
    "address": ({"image": f"http://{HOST}:8188/view?filename=a.png"}, HOST),
    "JSON in JSON": ({"w": json.dumps({"client_id": CLIENT})}, CLIENT),
    "variable": ({"exception_message": f"USERNAME={USER} HOME=/root"}, USER),
    "version": ({"system": {"comfyui_version": f"0.27.0-{USER}"}}, USER),
    "known elsewhere": ({"client_id": CLIENT, "note": [f"<{CLIENT}>"]}, CLIENT),
}
CONTENT_JSON: dict[str, tuple[Any, tuple[str, ...]]] = {
    "prompt": ({"prompt": GRAPH}, CONTENTS),
    "workflow": ({"extra_data": {"extra_pnginfo": {"workflow": WORKFLOW}}}, (TEXT, TITLE, SHORT)),
    "JSON in JSON": ({"workflow": json.dumps(WORKFLOW)}, (TEXT, TITLE)),
    "author of a workflow": (
        {"extra_data": {"extra_pnginfo": {"workflow": {"extra": {"author": TITLE}}}}}, (TITLE,)),
    "input named so": ({"prompt": {"1": {"inputs": {"user": TEXT}, "class_type": "X"}}}, (TEXT,)),
    "parameter of an address": (
        {"result_url": "https://cdn.example/o?n=otterholt"}, (FOLDER_NAME,)),
    "any long input": ({"prompt": {"1": {"inputs": {"zz": TEXT}, "class_type": "X"}}}, (TEXT,)),
    "history": ({UUID: {"prompt": [1, UUID, GRAPH, {}, ["9"]]}}, CONTENTS),
    "queue": ({"queue_running": [[1, UUID, GRAPH, {}, ["9"]]], "queue_pending": []}, CONTENTS),
    "job": ({"id": UUID, "workflow": {"prompt": GRAPH}}, CONTENTS),
    "outputs": ({UUID: {"outputs": {"9": {"images": [
        {"filename": FILE, "subfolder": FOLDER_NAME, "type": "output"}]}}}}, (FILE, FOLDER_NAME)),
    "current inputs": ({"current_inputs": {"text": [TEXT], "name": [SHORT]}}, (TEXT, SHORT)),
    "exception": ({"exception_message": LINE}, (LINE,)),
    "refusal": ({"node_errors": {"4": {"errors": [{
        "type": "value_not_in_list", "message": "Value not in list",
        "details": f"ckpt_name: '{MODEL}' not in []",
        "extra_info": {"input_name": "ckpt_name", "received_value": MODEL}}]}}}, (MODEL,)),
    "executed": ({"type": "executed", "data": {"node": "9", "output": {
        "text": [TEXT], "images": [{"filename": FILE, "type": "temp"}]}}}, (TEXT, FILE)),
    "object info": (
        {"LoadImage": {"input": {"required": {"image": [[FILE, MODEL]]}}}}, (FILE, MODEL)),
    "task": (
        {"parameters": {"prompt": TEXT, "image": f"https://cdn.example/{FILE}"}}, (TEXT, FILE)),
    "result": ({"result_url": f"https://cdn.example/out/{FILE}?w=1"}, (FILE,)),
    "letters of others": (
        {"prompt": {"1": {"inputs": {"text": "\u4e00\u53ea\u732b\u5728\u98de"}}}},
        ("\u4e00\u53ea\u732b",)),
}  # fmt: skip
CONTENT_TARGETS = {
    "view": (f"/view?filename={FILE}&subfolder={FOLDER_NAME}&type=output", (FILE, FOLDER_NAME)),
    "escaped view": ("/api/view?filename=" + quote(f"{FOLDER_NAME} {FILE}"), (FOLDER_NAME,)),
    "user data": (f"/userdata/workflows%2F{FOLDER_NAME}.json", (FOLDER_NAME,)),
    "model": (f"/view_metadata/checkpoints?filename={MODEL}", (MODEL,)),
}


def asking(where: str, body: bytes, kind: str = "application/json") -> list[Said]:
    """A GET, and what it got."""
    asked = f"GET {where} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    return [("client", asked), *answer(body, kind)[1:]]


def _carried(redaction: str, name: str, value: Any, plants: tuple[str, ...]) -> Iterator[Telling]:
    text = json.dumps(value).encode()
    raw = json.dumps(value, ensure_ascii=False).encode()
    carriers = {
        "body of a request": posted(raw),
        "body of an answer": answer(text),
        "message": told(text),
        "packed answer": answer(gzip.compress(filled(text)), coding="gzip"),
    }
    for place, said in carriers.items():
        for plant in plants:
            yield Telling(redaction, place, f"{name} ({plant[:24]})", said, plant)


def _in_all_carriers(redaction: str, name: str, value: Any, plant: str) -> Iterator[Telling]:
    text = json.dumps(value).encode()
    raw = json.dumps(value, ensure_ascii=False).encode()
    picture = ('name="image"; filename="a.png"', _png(prompt=text.decode()))
    carriers = {
        "message of the client": told_by_client(text),
        "fragments": told_in_fragments(text),
        "deflated message": told_deflated(raw),
        "pieces": in_pieces(text),
        "chunked": chunked(raw),
        "zlib": answer(zlib.compress(filled(text)), coding="deflate"),
        "zstd": answer(zstd(filled(text)), coding="zstd"),
        "stream of events": answer(b"data: " + text + b"\n\n", "text/event-stream"),
        "field of a form": form_of(('name="prompt"', raw)),
        "file of a form": form_of(('name="f"; filename="w.json"', text)),
        "picture of a form": form_of(picture),
        "picture: tEXt": answer(_png(prompt=text.decode()), "image/png"),
        "picture: zTXt": answer(
            png_chunk(b"zTXt", b"prompt\0\0" + zlib.compress(text)), "image/png"
        ),
        "picture: iTXt": answer(
            png_chunk(b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(raw)), "image/png"
        ),
        "JPEG comment": answer(_jpeg(text), "image/jpeg"),
        "JPEG EXIF": answer(_picture("JPEG", "prompt:" + text.decode()), "image/jpeg"),
        "WebP EXIF": answer(_picture("WEBP", "workflow:" + text.decode()), "image/webp"),
        "wide EXIF": answer(_picture("JPEG", text.decode(), wide=True), "image/jpeg"),
        "film": answer(_film(text), "video/mp4"),
        "film of nobody's kind": answer(b"\x1aE\xdf\xa3\1\0\0\0" + text, "video/webm"),
        "preview with facts": told(_preview(text), 2),
        "binary text": told(event(3, struct.pack(">I", 1) + b"3" + raw), 2),
        "binary event of an extension": told(event(77, b"\0\1" + text), 2),
    }
    for place, said in carriers.items():
        yield Telling(redaction, place, name, said, plant)


def _png(**texts: str) -> bytes:
    out, info = io.BytesIO(), PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    Image.effect_noise((40, 30), 90).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def _jpeg(comment: bytes) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((40, 30), 90).save(out, "JPEG", comment=comment)
    return out.getvalue()


def _picture(kind: str, text: str, *, wide: bool = False) -> bytes:
    exif = Image.Exif()
    if wide:
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode("utf-16-be")
    else:
        exif[0x010E] = text
    out = io.BytesIO()
    Image.effect_noise((40, 30), 90).convert("RGB").save(out, kind, exif=exif.tobytes())
    return out.getvalue()


def _box(kind: bytes, data: bytes) -> bytes:
    return (len(data) + 8).to_bytes(4, "big") + kind + data


def _film(text: bytes) -> bytes:
    data = _box(b"data", b"\0\0\0\1\0\0\0\0" + text)
    told = _box(b"udta", _box(b"meta", b"\0\0\0\0" + _box(b"ilst", _box(b"\xa9cmt", data))))
    header = _box(b"mvhd", bytes(100))
    return (
        _box(b"ftyp", b"isom\0\0\2\0isomiso2") + _box(b"moov", header + told) + _box(b"mdat", text)
    )


def _preview(metadata: bytes) -> bytes:
    return event(4, struct.pack(">I", len(metadata)) + metadata + _png())


def _identity() -> Iterator[Telling]:
    for name, (line, plant) in IDENTITY_LINES.items():
        yield Telling("identity", "header", name, asked_with(line), plant)
    for name, (line, plant) in IDENTITY_ANSWERS.items():
        yield Telling("identity", "header of an answer", name, answered_with(line), plant)
    for name, (where, plant) in IDENTITY_TARGETS.items():
        yield Telling("identity", "target", name, target(where), plant)
    for name, (value, plant) in IDENTITY_JSON.items():
        yield from _carried("identity", name, value, (plant,))
    yield from _in_all_carriers("identity", "client id", {"client_id": CLIENT, "x": [1]}, CLIENT)
    yield from _in_all_carriers("identity", "path", {"traceback": [f'File "{FOLDER}"']}, USER)
    form = b"client_id=" + CLIENT.encode() + b"&x=1"
    yield Telling(
        "identity", "form", "client id", posted(form, "application/x-www-form-urlencoded"), CLIENT
    )
    reason = close_payload(1008, f"bye {UUID}")
    yield Telling("identity", "close", "reason", told(reason, 8), UUID)


def _content() -> Iterator[Telling]:
    for name, (value, plants) in CONTENT_JSON.items():
        yield from _carried("content", name, value, plants)
    for name, (where, plants) in CONTENT_TARGETS.items():
        for plant in plants:
            yield Telling("content", "target", f"{name} ({plant})", target(where), plant)
    graph = {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": TEXT}}}
    yield from _in_all_carriers("content", "prompt", graph, TEXT)
    disposition = f'Content-Disposition: inline; filename="{FILE}"'
    yield Telling("content", "header", "disposition", answered_with(disposition), FILE)
    star = f"Content-Disposition: inline; filename*=UTF-8''{quote(FOLDER_NAME + ' ' + FILE)}"
    yield Telling("content", "header", "escaped disposition", answered_with(star), FOLDER_NAME)
    upload = form_of(
        (f'name="image"; filename="{FILE}"', _png()), ('name="subfolder"', b"otterholt")
    )
    yield Telling("content", "upload", "file name", upload, FILE)
    yield Telling("content", "upload", "folder", upload, FOLDER_NAME)
    audio = form_of(('name="image"; filename="a.wav"', b"RIFF\0\0\0\0WAVE" + TEXT.encode()))
    yield Telling("content", "upload", "bytes", audio, TEXT)
    notes = form_of(('name="image"; filename="a.txt"', TEXT.encode()))
    yield Telling("content", "upload", "text", notes, TEXT)
    logs = {"entries": [{"t": "2026-01-01", "m": LINE}], "size": {"cols": 80}}
    yield Telling(
        "content", "logs", "entries", asking("/internal/logs/raw", json.dumps(logs).encode()), LINE
    )
    yield Telling(
        "content", "logs", "text", asking("/internal/logs", LINE.encode(), "text/plain"), LINE
    )
    fed = json.dumps({"type": "ext.feed", "data": {"said": TEXT, "x": SHORT}}).encode()
    yield Telling("content", "message", "text of an extension", told(fed), TEXT)
    yield Telling("content", "message", "word of an extension", told(fed), SHORT)
    yield Telling("content", "route of an extension", "text", asking("/ext/feed", fed), TEXT)
    event_logs = {"type": "logs", "data": logs}
    yield Telling("content", "logs", "event", told(json.dumps(event_logs).encode()), LINE)
    listed = json.dumps([SHORT, "ottertwo"]).encode()
    yield Telling("content", "lists", "embeddings", asking("/embeddings", listed), "ottertwo")
    yield Telling("content", "lists", "models", asking("/models/loras", listed), "ottertwo")
    userdata = json.dumps([{"path": f"workflows/{TITLE}.json", "size": 3}]).encode()
    yield Telling(
        "content", "lists", "user data", asking("/userdata?dir=workflows", userdata), TITLE
    )
    flow = json.dumps(WORKFLOW).encode()
    yield Telling(
        "content", "user data", "workflow", asking("/userdata/workflows%2Fa.json", flow), TEXT
    )
    choices = {"X": {"input": {"required": {"lora_name": ["COMBO", {"options": ["ottertwo"]}]}}}}
    described = json.dumps(choices).encode()
    yield Telling("content", "lists", "options", asking("/object_info/X", described), "ottertwo")
    form = b"text=" + quote_plus(TEXT).encode() + b"&type=input"
    yield Telling(
        "content", "form", "text", posted(form, "application/x-www-form-urlencoded"), TEXT
    )
    words = event(3, struct.pack(">I", 1) + b"3" + TEXT.encode())
    yield Telling("content", "binary text", "words", told(words, 2), TEXT)
    parameters = _png(parameters=f"{TEXT}\nSteps: 20", Comment=TITLE)
    yield Telling("content", "picture", "parameters", answer(parameters, "image/png"), TEXT)
    yield Telling("content", "picture", "comment", answer(parameters, "image/png"), TITLE)


TELLING: list[Telling] = [*_identity(), *_content()]


def forms_of(plant: str) -> set[bytes]:
    """The ways in which a value may stand somewhere."""
    return {
        plant.encode(),
        json.dumps(plant)[1:-1].encode(),
        json.dumps(json.dumps(plant)[1:-1])[1:-1].encode(),
        quote(plant, safe="").encode(),
        quote(plant).encode(),
        quote_plus(plant).encode(),
        plant.encode("latin-1", "replace"),
        plant.encode("utf-16-le"),
        plant.encode("utf-16-be"),
        json.dumps(plant)[1:-1].encode("utf-16-be"),
    }
