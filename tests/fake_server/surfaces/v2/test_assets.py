"""Assets of v2: upload, hashes, records over shared bytes, ranges, signed URLs on another host."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from fake_server.storage.blake3 import blake3
from tests.support.source_client import png
from tests.support.v2_client import PICTURE, V2Client, check_answer, code, v2_source

DATA = png()
HASH = f"blake3:{blake3(DATA)}"


def client(*scenarios: str, **settings: Any) -> V2Client:
    return V2Client(v2_source(*scenarios, **settings))


def load(id: str, **info: str) -> dict[str, Any]:
    reference = {"__type": "core/ASSET", "info": {"id": id, **info}}
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": reference}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "y"}},
    }


def test_new_bytes_are_201_and_known_ones_200_over_the_same_bytes() -> None:
    asking = client()

    first, second = asking.upload(DATA), asking.upload(DATA, "other.png")

    check_answer("postAssets", first)
    one, other = json.loads(first.body), json.loads(second.body)
    assert (first.status, one["created_new"], one["hash"]) == (201, True, HASH)
    assert (second.status, other["created_new"], other["hash"]) == (200, False, HASH)
    assert one["id"] != other["id"]
    assert (one["size_bytes"], one["content_type"]) == (len(DATA), "image/png")


def test_an_uploaded_asset_can_be_used_in_a_workflow() -> None:
    asking = client()
    id = json.loads(asking.upload(DATA, "faces/me.png").body)["id"]

    job = asking.job(asking.submit(load(id, hash="blake3:0", file_path="elsewhere.png")))

    assert job.status == "succeeded"
    _, shown = asking.read("GET", f"/jobs/{job.id}/workflow")
    assert shown["workflow"]["1"]["inputs"]["image"] == "faces/me.png"


def test_an_output_can_be_the_input_of_the_next_job() -> None:
    asking = client()
    [output] = asking.job(asking.submit(PICTURE)).outputs

    job = asking.job(asking.submit(load(output.id)))

    assert job.status == "succeeded"


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({"expected_hash": HASH}, 201, None),
        ({"expected_hash": HASH.upper().replace("BLAKE3", "blake3")}, 201, None),
        ({"expected_hash": f"blake3:{'0' * 64}"}, 409, "hash_mismatch"),
        ({"expected_hash": "md5:1"}, 422, "invalid_request"),
        ({"kind": ""}, 422, "invalid_body"),
        ({"path": ""}, 422, "invalid_body"),
        ({"path": "../x.png"}, 422, "invalid_request"),
        ({"path": "/etc/passwd"}, 422, "invalid_request"),
        ({"path": "a\x18b.png"}, 422, "invalid_request"),
        ({"kind": "picture"}, 422, "invalid_body"),
        ({"kind": "text/plain; charset=utf-8"}, 201, None),
        ({"expires_in": "59"}, 422, "invalid_request"),
        ({"expires_in": "604801"}, 422, "invalid_request"),
        ({"expires_in": "soon"}, 422, "invalid_request"),
        ({"expires_in": "60"}, 201, None),
    ],
)
def test_a_form_is_checked(more: dict[str, str], status: int, said: str | None) -> None:
    answer = client().upload(DATA, **more)

    check_answer("postAssets", answer)
    assert answer.status == status
    assert said is None or code(answer) == said


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data"),
        (b"junk", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\nno name\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nno end",
            "multipart/form-data; boundary=x",
        ),
        (b"{}", "application/json"),
        (b"file=x", "application/x-www-form-urlencoded"),
    ],
)
def test_a_broken_form_is_refused(body: bytes, kind: str) -> None:
    answer = client().ask("POST", "/assets", body, Content_Type=kind)

    assert (answer.status, code(answer)) == (422, "invalid_body")


@pytest.mark.parametrize(("content", "status"), [("direct", 201), ("redirect", 422)])
def test_the_type_has_to_come_before_the_bytes_where_they_are_kept_elsewhere(
    content: str, status: int
) -> None:
    body = (
        b"--x\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\nabc\r\n"
        b"--x\r\nContent-Disposition: form-data; name=content_type\r\n\r\nimage/png\r\n"
        b"--x\r\nContent-Disposition: form-data; name=file_path\r\n\r\na.png\r\n--x--\r\n"
    )

    kind = "multipart/form-data; boundary=x"
    answer = client(content=content).ask("POST", "/assets", body, Content_Type=kind)

    assert answer.status == status


def test_a_key_is_good_for_one_upload_and_comes_back_after_a_failure() -> None:
    failing = client("upload-413")
    asking = client()

    refused = failing.upload(DATA, key="k")
    again = failing.upload(DATA, key="k")
    first, second = asking.upload(DATA, key="k"), asking.upload(DATA, key="k")

    assert (refused.status, again.status) == (500, 500)
    assert (first.status, code(second)) == (201, "idempotency_key_reuse")


def test_known_bytes_need_no_upload() -> None:
    asking = client()
    unknown = asking.ask("HEAD", f"/assets/by-hash/{HASH}")
    missing = asking.ask("POST", "/assets/from-hash", {"hash": HASH})
    first = json.loads(asking.upload(DATA).body)

    known = asking.ask("HEAD", f"/assets/by-hash/{HASH}")
    minted = asking.read("POST", "/assets/from-hash", {"hash": HASH, "file_path": "b.png"})
    same = asking.read("POST", "/assets/from-hash", {"hash": HASH, "file_path": "photo.png"})

    assert [unknown.status, missing.status, known.status] == [404, 404, 200]
    assert code(missing) == "blob_not_found"
    assert (minted[0], minted[1]["created_new"]) == (201, False)
    assert (same[0], same[1]["id"]) == (200, first["id"])
    for body in (b"{", {}, {"hash": 7}, {"hash": "x"}, {"hash": HASH, "expires_in": 1}):
        assert code(asking.ask("POST", "/assets/from-hash", body)) == "blob_not_found"


def test_bytes_stay_as_long_as_a_record_needs_them() -> None:
    asking = client()
    one, other = (json.loads(asking.upload(DATA, name).body)["id"] for name in ("a.png", "b.png"))

    assert asking.ask("DELETE", f"/assets/{one}").status == 204
    assert asking.ask("DELETE", f"/assets/{one}").status == 404
    assert asking.ask("GET", f"/assets/{other}/content").body == DATA
    assert asking.ask("DELETE", f"/assets/{other}").status == 204
    assert asking.ask("HEAD", f"/assets/by-hash/{HASH}").status == 404


def test_what_a_job_needs_that_is_not_over_cannot_be_deleted() -> None:
    asking = client("worker-dead")
    id = json.loads(asking.upload(DATA).body)["id"]
    job = asking.submit(load(id))

    held = asking.ask("DELETE", f"/assets/{id}")
    asking.ask("POST", f"/jobs/{job}/cancel")

    assert (held.status, code(held)) == (409, "asset_in_use")


def test_an_asset_expires() -> None:
    asking = client()
    id = json.loads(asking.upload(DATA, expires_in="60").body)["id"]
    asking.wait(59)
    there = asking.ask("GET", f"/assets/{id}").status
    asking.wait(2)

    assert (there, asking.ask("GET", f"/assets/{id}").status) == (200, 404)


@pytest.mark.parametrize("path", ["photo.png", "models/checkpoints/x.safetensors"])
@pytest.mark.parametrize(
    ("range", "status", "part"),
    [
        ("", 200, slice(None)),
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=4-", 206, slice(4, None)),
        ("bytes=-3", 206, slice(-3, None)),
        (f"bytes=0-{len(DATA) + 100}", 206, slice(None)),
        (f"bytes={len(DATA)}-", 416, slice(0, 0)),
        ("bytes=3-1", 416, slice(0, 0)),
    ],
)
def test_bytes_are_had_by_ranges(path: str, range: str, status: int, part: slice) -> None:
    asking = client()
    id = json.loads(asking.upload(DATA, path).body)["id"]
    headers = {"Range": range} if range else {}

    answer = asking.ask("GET", f"/assets/{id}/content", **headers)

    assert (answer.status, answer.body) == (status, DATA[part])
    fields = {name.lower(): value for name, value in answer.headers}
    if status == 206:
        first, _, _ = part.indices(len(DATA))
        assert fields["content-range"].startswith(f"bytes {first}-")
    if status == 416:
        assert fields["content-range"] == f"bytes */{len(DATA)}"
    else:
        assert fields["content-type"] == "image/png"


def test_a_redirect_leads_to_a_signed_url_on_another_host_that_needs_no_key() -> None:
    asking = client(content="redirect", token="t")
    key = {"Authorization": "Bearer t"}
    body = {"workflow": PICTURE}
    id = json.loads(asking.ask("POST", "/jobs", body, **key).body)["id"]
    [output] = asking.read("GET", f"/jobs/{id}", **key)[1]["outputs"]

    away = asking.ask("GET", f"/assets/{output['id']}/content", **key)
    target = urlsplit(dict(away.headers)["Location"])
    there = asking.ask("GET", f"{target.path}?{target.query}")
    part = asking.ask("GET", f"{target.path}?{target.query}", Range="bytes=0-3")
    forged = asking.ask("GET", f"{target.path}?{target.query[:-1]}")
    asking.wait(3_601)
    late = asking.ask("GET", f"{target.path}?{target.query}")

    assert away.status == 302
    assert target.netloc == "localhost:8189"
    assert output["url"].startswith("http://localhost:8189/")
    assert (there.status, part.status, part.body) == (200, 206, there.body[:4])
    assert (forged.status, late.status) == (403, 403)


def test_texts_that_nodes_show_are_outputs_too() -> None:
    asking = client()
    workflow = {"1": {"class_type": "PreviewAny", "inputs": {"source": "hello"}}}

    [output] = asking.job(asking.submit(workflow)).outputs

    assert (output.type, output.content_type) == ("text", "text/plain; charset=utf-8")
    assert asking.ask("GET", f"/assets/{output.id}/content").body == b"hello"


def test_an_output_whose_file_is_gone_is_told_as_that() -> None:
    asking = client("view-404")
    [output] = asking.job(asking.submit(PICTURE)).outputs

    answer = asking.ask("GET", f"/assets/{output.id}/content")

    assert (answer.status, code(answer)) == (404, "output_unavailable")


@pytest.mark.parametrize("content", ["direct", "redirect"])
def test_an_output_that_breaks_off_ends_its_connection(content: str) -> None:
    asking = client("view-truncated", content=content)
    [output] = asking.job(asking.submit(PICTURE)).outputs

    answer = asking.ask("GET", f"/assets/{output.id}/content")
    if content == "redirect":
        target = urlsplit(dict(answer.headers)["Location"])
        answer = asking.ask("GET", f"{target.path}?{target.query}")

    # Else a client that counts the bytes waits for ever.
    assert (len(answer.body), answer.close) == (40, True)
