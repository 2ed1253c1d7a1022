"""Uploads under the name of their content, and files on another host."""

from __future__ import annotations

import json
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from fake_server.source import Request, RequestReceived, Response
from fake_server.storage.pictures import picture
from fake_server.surfaces.cloud import files
from tests.support.cloud_client import HOST, KEY, CloudRig

PICTURE = picture(width=8, height=8, seed=1)


def form(**fields: bytes | tuple[str, bytes]) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """A form's body and header."""
    parts = []
    for name, value in fields.items():
        filename, content = value if isinstance(value, tuple) else ("", value)
        also = f'; filename="{filename}"' if filename else ""
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"{also}\r\n\r\n'
        parts.append(head.encode() + content + b"\r\n")
    return b"".join([*parts, b"--b--\r\n"]), (("Content-Type", "multipart/form-data; boundary=b"),)


def uploaded(rig: CloudRig, path: str, **fields: bytes | tuple[str, bytes]) -> Response:
    body, headers = form(**fields)
    return rig.ask(f"/api/upload/{path}", body, headers=headers)


def output(rig: CloudRig) -> str:
    """The query of a file that a job made."""
    id = rig.submit()
    rig.rest()
    (image,) = rig.json(f"/api/jobs/{id}")["outputs"]["9"]["images"]
    return urlencode({name: image[name] for name in ("filename", "subfolder", "type")})


def fetch(rig: CloudRig, location: str, *, method: str = "GET", **fields: str) -> Response:
    """Ask the storage, without a key."""
    parts, number = urlsplit(location), rig.number()
    headers = (("Host", parts.netloc), *((n.replace("_", "-"), v) for n, v in fields.items()))
    request = Request(method, f"{parts.path}?{parts.query}", headers)
    rig.happen(RequestReceived(number, request))
    return rig.answers.pop(number)


def test_what_is_viewed_lies_on_another_host_and_opens_without_a_key() -> None:
    rig = CloudRig()
    answer = rig.ask(f"/api/view?{output(rig)}")
    location = dict(answer.headers)["Location"]

    assert answer.status == 302
    assert urlsplit(location).netloc == "localhost:8188"
    assert KEY not in location
    assert fetch(rig, location).body.startswith(b"\x89PNG")
    assert fetch(rig, location, Range="bytes=1-3").body == b"PNG"
    assert fetch(rig, location, method="HEAD").status == 200
    assert fetch(rig, location, method="POST").status == 405


def test_links_are_those_of_the_proxy_in_front() -> None:
    rig = CloudRig()
    told = (("X-Forwarded-Proto", "https"),)

    location = dict(rig.ask(f"/api/view?{output(rig)}", headers=told).headers)["Location"]

    assert location.startswith("https://localhost:8188/storage.googleapis/")
    assert fetch(rig, location).status == 200


@pytest.mark.parametrize("change", ["X-Goog-Signature", "filename", "X-Goog-Expires"])
def test_a_url_that_was_changed_does_not_open(change: str) -> None:
    rig = CloudRig()
    location = urlsplit(dict(rig.ask(f"/api/view?{output(rig)}").headers)["Location"])
    query = urlencode({**dict(parse_qsl(location.query)), change: "9"})
    answer = fetch(rig, location._replace(query=query).geturl())

    assert answer.status == 403
    assert b"SignatureDoesNotMatch" in answer.body
    assert fetch(rig, "http://localhost/storage.googleapis/x?").status == 403


def test_a_url_opens_only_for_its_time() -> None:
    rig = CloudRig(url_s=60)
    location = dict(rig.ask(f"/api/view?{output(rig)}").headers)["Location"]
    rig.now += 62_000_000

    assert b"ExpiredToken" in fetch(rig, location).body


def test_a_file_that_is_not_there_is_not_found_and_a_channel_comes_directly() -> None:
    rig = CloudRig()
    query = output(rig)
    missing = rig.ask("/api/view?filename=none.png")
    channel = rig.ask(f"/api/view?{query}&channel=alpha")

    assert json.loads(missing.body) == {"code": "NOT_FOUND", "message": "file not found"}
    assert (channel.status, channel.body[:4]) == (200, b"\x89PNG")


def test_an_upload_has_the_name_of_its_content_whatever_it_was_called() -> None:
    rig = CloudRig()
    name = f"{sha256(PICTURE).hexdigest()}.png"
    first = uploaded(rig, "image", image=("mine.PNG", PICTURE), subfolder=b"some/where")
    again = uploaded(rig, "image", image=("other.png", PICTURE), type=b"input", overwrite=b"true")

    assert json.loads(first.body) == {"name": name, "subfolder": "some/where", "type": "input"}
    assert json.loads(again.body) == {"name": name, "subfolder": "", "type": "input"}
    assert rig.ask(f"/api/view?filename={name}&type=input").status == 302


def test_a_mask_says_whose_it_is_and_its_layers_are_found() -> None:
    rig = CloudRig()
    original = json.loads(uploaded(rig, "image", image=("a.png", PICTURE)).body)["name"]
    ref = json.dumps({"filename": original, "subfolder": "", "type": "input"}).encode()
    mask = json.loads(
        uploaded(rig, "mask", image=("m.png", picture(width=8, height=8, seed=2)),
                 original_ref=ref).body
    )  # fmt: skip

    assert mask["metadata"]["is_mask"] is True
    assert mask["metadata"]["original_hash"] == original
    layers = rig.json(f"/api/files/mask-layers?filename={mask['name']}")
    assert layers == {"mask": mask["name"], "paint": None, "painted": None, "painted_masked": None}
    assert rig.ask(f"/api/files/mask-layers?filename={original}").status == 404


REFUSED = {
    "no picture": ("image", {"type": b"input"}),
    "a text for a picture": ("image", {"image": b"x"}),
    "no such kind": ("image", {"image": ("a.png", PICTURE), "type": b"models"}),
    "a mask of nothing": ("mask", {"image": ("a.png", PICTURE)}),
    "a mask of no JSON": ("mask", {"image": ("a.png", PICTURE), "original_ref": b"{"}),
}


@pytest.mark.parametrize("path, fields", REFUSED.values(), ids=REFUSED)
def test_uploads_that_cannot_be_used_are_bad_requests(path: str, fields: dict[str, bytes]) -> None:
    answer = uploaded(CloudRig(), path, **fields)

    assert answer.status == 400
    assert json.loads(answer.body)["code"] == "BAD_REQUEST"


def test_an_upload_that_is_too_large_is_a_bad_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "UPLOAD_BYTES_MAX", 10)

    assert b"larger than" in uploaded(CloudRig(), "image", image=("a.png", PICTURE)).body


def test_the_storage_is_there_under_either_name_of_the_machine() -> None:
    rig = CloudRig()
    query = output(rig)
    number = rig.number()
    for given, other in (("localhost:1", "127.0.0.1:1"), ("cloud.test", "cloud.test")):
        request = Request("GET", f"/api/view?{query}", (("Host", given), ("X-API-Key", KEY)))
        rig.happen(RequestReceived(number, request))
        location = dict(rig.answers.pop(number).headers)["Location"]
        assert urlsplit(location).netloc == other
    assert HOST[1] == "127.0.0.1:8188"
