"""What the server behind answers, in the shape of Comfy Cloud."""

from __future__ import annotations

import json

import pytest

from comfyrec.versions import era_of
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from tests.fake_server.surfaces.cloud.test_files import PICTURE, form
from tests.support.cloud_client import CloudRig

PLAIN = "text/plain; charset=utf-8"


def with_assets() -> CloudRig:
    rig = CloudRig()
    chosen = (SurfaceChoice("cloud"),)
    rig.source = scenario_source(
        [choose("success")], ServerOptions(era=era_of("0.46.0"), surfaces=chosen)
    )
    return rig


def test_assets_have_their_hash_whole_addresses_and_the_zone_of_their_times() -> None:
    rig = with_assets()
    body, headers = form(file=("a.png", PICTURE), tags=b"input", name=b"a.png")
    made = json.loads(rig.ask("/api/assets", body, headers=headers).body)
    (listed,) = rig.json("/api/assets")["assets"]

    assert made["asset_hash"].startswith("blake3:")
    assert listed["created_at"].endswith("Z")
    assert listed["preview_url"].startswith("http://127.0.0.1:8188/api/")
    assert None not in listed.values()


def test_userdata_comes_with_all_that_is_known_of_it() -> None:
    rig = CloudRig()
    kept = json.loads(rig.ask("/api/userdata/a.json", b"{}").body)
    (listed,) = rig.json("/api/userdata?dir=.&full_info=false&split=true")

    assert kept["modified"].startswith("2026-01-01T")
    assert listed["path"] == "a.json"
    assert rig.ask("/api/userdata/a.json").body == b"{}"


@pytest.mark.parametrize("path", ["/api/userdata/none.json", "/api/userdata?dir=none"])
@pytest.mark.parametrize("key, status", [("a-key-of-mine", 404), ("", 401)])
def test_errors_of_userdata_are_plain_text(path: str, key: str, status: int) -> None:
    answer = CloudRig().ask(path, key=key)

    assert (answer.status, dict(answer.headers)["Content-Type"]) == (status, PLAIN)
    assert answer.body and not answer.body.startswith(b"{")


def test_what_cannot_be_there_is_not_found() -> None:
    rig = CloudRig()

    for target in ("/api/global_subgraphs/x", "/api/experiment/models/preview/a/x/b"):
        assert rig.ask(target).status == 404
    assert rig.ask("/api/assets/no-uuid", method="DELETE").status == 404


def test_prompts_that_cannot_be_read_are_bad_requests() -> None:
    rig = CloudRig()
    broken = {"1": {"class_type": "SaveImage", "inputs": 7}}

    for body in ({"prompt": {"1": 7}}, {"prompt": broken}, {"prompt": []}, [], b"{"):
        assert rig.ask("/api/prompt", body).status == 400


OWN = "6f1c9d0e-6a4b-4a3f-9a4d-0d4d4f0f3a11"
REQUIRED = {"id", "name", "size", "created_at", "updated_at", "created_new"}
UPLOADS = {
    "a file alone": {},
    "tags that name no folder": {"tags": b"mine"},
    "a folder among its tags": {"tags": b"output", "name": b"x"},
    "an id of its own": {"id": OWN.encode(), "mime_type": b"image/png"},
}


@pytest.mark.parametrize("fields", UPLOADS.values(), ids=UPLOADS)
def test_an_upload_needs_no_more_than_a_file(fields: dict[str, bytes]) -> None:
    rig = CloudRig()
    body, headers = form(file=("a.png", PICTURE), **fields)

    answer = rig.ask("/api/assets", body, headers=headers)

    made = json.loads(answer.body)
    assert answer.status == 201
    assert made.keys() >= REQUIRED
    assert made["created_new"] is True
    assert rig.json(f"/api/assets/{made['id']}")["id"] == made["id"]


def test_an_id_of_its_own_makes_an_asset_once() -> None:
    rig = CloudRig()
    first, headers = form(file=("a.png", PICTURE), id=OWN.encode())
    other, other_headers = form(file=("b.png", PICTURE + b"x"), id=OWN.encode())

    made = json.loads(rig.ask("/api/assets", first, headers=headers).body)
    again = rig.ask("/api/assets", other, headers=other_headers)
    (listed,) = rig.json("/api/assets")["assets"]

    assert made["id"] == listed["id"] == OWN
    assert again.status == 200
    assert json.loads(again.body)["created_new"] is False
    assert rig.ask(f"/api/assets/{OWN}", method="DELETE").status == 204
    assert rig.ask(f"/api/assets/{OWN}").status == 404


REFUSED = {
    "an address": (b'{"url": "http://x/y.png", "name": "y"}', "application/json", 400),
    "another type": (b"x", "text/plain", 415),
    "no file": (b"--b\r\n\r\n--b--\r\n", "multipart/form-data; boundary=b", 400),
}


@pytest.mark.parametrize("body, kind, status", REFUSED.values(), ids=REFUSED)
def test_what_is_no_upload_is_refused_in_its_words(body: bytes, kind: str, status: int) -> None:
    answer = CloudRig().ask("/api/assets", body, headers=(("Content-Type", kind),))

    assert answer.status == status
    assert json.loads(answer.body)["code"] in ("BAD_REQUEST", "UNSUPPORTED_MEDIA_TYPE")
