"""Assets that are uploaded, changed, tagged, deleted (recording ``assets`` of 0.33.0)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.asset_server import HASH, PNG, UNKNOWN, AssetRig
from tests.support.source_client import part, png


@pytest.fixture
def rig() -> AssetRig:
    return AssetRig()


FILE = part("file", PNG, "up.png", "image/png")


def test_a_new_content_is_stored_under_its_hash(rig: AssetRig) -> None:
    made = rig.upload()

    stored = f"{HASH.removeprefix('blake3:')}.png"
    assert made == {
        "id": made["id"],
        "name": "up.png",
        "hash": HASH,
        "loader_path": stored,
        "display_name": stored,
        "asset_hash": HASH,
        "size": len(PNG),
        "mime_type": "image/png",
        "tags": ["input", "uploaded"],
        "preview_url": f"/api/view?type=input&filename={stored}",
        "user_metadata": {"filename": stored},
        "is_immutable": False,
        "metadata": {"kind": "image", "width": 4, "height": 4},
        "created_at": made["created_at"],
        "updated_at": made["updated_at"],
        "last_access_time": made["last_access_time"],
        "created_new": True,
    }
    assert rig.ask("GET", made["preview_url"]).body == PNG


def test_the_same_content_is_another_asset_of_the_same_file(rig: AssetRig) -> None:
    first = rig.upload()

    fields = [part("name", "b.png"), part("user_metadata", '{"k": 1}')]
    again = rig.form(part("tags", '["input", "mine"]'), FILE, *fields)

    made = json.loads(again.body)
    assert again.status == 200
    assert (made["name"], made["tags"], made["user_metadata"]) == (
        "b.png",
        ["input", "mine"],
        {"k": 1},
    )
    assert made["id"] != first["id"]
    assert not {"loader_path", "display_name", "preview_url"} & set(made)
    assert made["created_new"] is False


@pytest.mark.parametrize(
    "parts, status, code",
    [
        ([FILE], 400, "INVALID_BODY"),
        ([part("tags", "mine"), FILE], 400, "INVALID_BODY"),
        ([part("tags", "input,output"), FILE], 400, "INVALID_BODY"),
        ([part("tags", "models"), FILE], 400, "INVALID_BODY"),
        ([part("tags", "models,model_type:nope"), FILE], 400, "INVALID_BODY"),
        ([part("tags", "input")], 400, "MISSING_INPUT"),
        ([part("hash", "blake3:" + "0" * 64)], 400, "MISSING_INPUT"),
        ([part("hash", "md5:1"), FILE], 400, "INVALID_BODY"),
        ([part("hash", "blake3:" + "0" * 64), part("tags", "input"), FILE], 400, "HASH_MISMATCH"),
        ([part("tags", "input"), part("user_metadata", "[]"), FILE], 400, "INVALID_BODY"),
        ([part("tags", "input"), part("user_metadata", "{"), FILE], 400, "INVALID_BODY"),
    ],
)
def test_an_upload_that_does_not_fit_is_refused(
    rig: AssetRig, parts: list[bytes], status: int, code: str
) -> None:
    answer = rig.form(*parts)

    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (status, code)
    assert rig.get("/api/assets")["total"] == 0


def test_an_upload_that_is_not_a_form_of_files_is_refused(rig: AssetRig) -> None:
    assert rig.error("POST", "/api/assets", {"name": "x"}) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_model_goes_into_the_folder_that_its_tag_names(rig: AssetRig) -> None:
    file = part("file", b"weights", "m.safetensors", "application/octet-stream")

    answer = rig.form(part("tags", "models,model_type:loras"), file)

    made = json.loads(answer.body)
    assert answer.status == 201
    assert made["tags"] == ["model_type:loras", "models", "uploaded"]
    assert rig.server.context.folders.has("models/loras", "", made["loader_path"])


def test_a_known_hash_needs_no_file(rig: AssetRig) -> None:
    rig.upload()

    by_form = rig.form(part("hash", HASH), part("name", "f.png"))
    by_json = rig.says("POST", "/api/assets/from-hash", {"hash": HASH.upper(), "tags": " a, b"})
    unknown = rig.error("POST", "/api/assets/from-hash", {"hash": "blake3:" + "0" * 64})

    assert (by_form.status, json.loads(by_form.body)["name"]) == (200, "f.png")
    assert (by_json[0], by_json[1]["tags"]) == (201, ["a", "b"])
    assert unknown == (404, "ASSET_NOT_FOUND")


@pytest.mark.parametrize("body, code", [({}, "INVALID_BODY"), ({"hash": "x"}, "INVALID_BODY"),
                                        (b"{", "INVALID_JSON"), ([], "INVALID_BODY")])  # fmt: skip
def test_a_hash_that_is_none_is_refused(rig: AssetRig, body: Any, code: str) -> None:
    assert rig.error("POST", "/api/assets/from-hash", body) == (400, code)


@pytest.mark.parametrize(
    "written, status", [(HASH, 200), ("blake3:" + "0" * 64, 404), ("nope", 400)]
)
def test_a_client_may_ask_for_a_hash_before_it_uploads(
    rig: AssetRig, written: str, status: int
) -> None:
    rig.upload()

    assert rig.ask("HEAD", f"/api/assets/hash/{written}").status == status


def test_the_content_comes_as_a_download_or_in_the_page(rig: AssetRig) -> None:
    made = rig.upload(part("name", "häuser.png"))["id"]

    sent = [
        rig.ask("GET", f"/api/assets/{made}/content{query}")
        for query in ("", "?disposition=inline", "?disposition=nope")
    ]

    assert {answer.body for answer in sent} == {PNG}
    named = [dict(answer.headers)["Content-Disposition"] for answer in sent]
    assert [one.partition(";")[0] for one in named] == ["attachment", "inline", "attachment"]
    assert named[0].endswith("filename*=UTF-8''h%C3%A4user.png")


def test_content_whose_file_is_gone_is_not_found(rig: AssetRig) -> None:
    made = rig.upload()["id"]
    rig.server.context.folders.clear("input")

    assert rig.error("GET", f"/api/assets/{made}/content") == (404, "FILE_NOT_FOUND")


def test_an_asset_can_be_renamed_and_described(rig: AssetRig) -> None:
    made = rig.upload()["id"]

    changed = rig.says("PUT", f"/api/assets/{made}", {"name": "n", "user_metadata": {"a": 2}})

    assert changed[0] == 200
    assert (changed[1]["name"], changed[1]["user_metadata"]) == ("n", {"a": 2})
    assert rig.get(f"/api/assets/{made}") == changed[1]


def test_another_asset_may_be_its_preview(rig: AssetRig) -> None:
    text = rig.form(part("tags", "input"), part("file", b"text", "t.txt", "text/plain"))
    made, picture = json.loads(text.body)["id"], rig.upload()["id"]

    changed = rig.says("PUT", f"/api/assets/{made}", {"preview_id": picture})
    unknown = rig.error("PUT", f"/api/assets/{made}", {"preview_id": UNKNOWN})

    assert (changed[1]["preview_id"], changed[1]["preview_url"]) == (
        picture,
        rig.get(f"/api/assets/{picture}")["preview_url"],
    )
    assert unknown == (404, "ASSET_NOT_FOUND")


@pytest.mark.parametrize("body", [{}, {"name": 5}, {"user_metadata": []}, {"preview_id": 1}, []])
def test_a_change_that_does_not_fit_is_refused(rig: AssetRig, body: Any) -> None:
    made = rig.upload()["id"]

    assert rig.error("PUT", f"/api/assets/{made}", body) == (400, "INVALID_BODY")


def test_tags_come_and_go(rig: AssetRig) -> None:
    path = f"/api/assets/{rig.upload()['id']}/tags"

    added = rig.says("POST", path, {"tags": ["two", "one", "input", " "]})
    removed = rig.says("DELETE", path, {"tags": ["one", "nope"]})

    assert added[1] == {
        "added": ["one", "two"],
        "already_present": ["input"],
        "total_tags": ["input", "one", "two", "uploaded"],
    }
    assert removed[1] == {
        "removed": ["one"],
        "not_present": ["nope"],
        "total_tags": ["input", "two", "uploaded"],
    }


@pytest.mark.parametrize("body", [{}, {"tags": []}, {"tags": "a"}, {"tags": [1]}])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_tags_that_do_not_fit_are_refused(rig: AssetRig, method: str, body: Any) -> None:
    path = f"/api/assets/{rig.upload()['id']}/tags"

    assert rig.error(method, path, body) == (400, "INVALID_BODY")


def test_newer_servers_keep_the_tag_of_missing_files_for_themselves() -> None:
    rig = AssetRig("0.41.0")
    path = f"/api/assets/{rig.upload()['id']}/tags"

    refused = rig.error("POST", path, {"tags": ["missing"]})
    removed = rig.says("DELETE", path, {"tags": ["missing", "input"]})

    assert refused == (400, "SYSTEM_TAG_FORBIDDEN")
    assert (removed[1]["protected"], removed[1]["removed"]) == (["missing"], ["input"])


def test_a_deleted_asset_is_gone(rig: AssetRig) -> None:
    made = rig.upload()["id"]

    first, second = (rig.ask("DELETE", f"/api/assets/{made}") for _ in range(2))

    assert (first.status, first.body, second.status) == (204, b"", 404)
    assert rig.error("GET", f"/api/assets/{made}") == (404, "ASSET_NOT_FOUND")


def test_newer_servers_call_the_hash_by_one_name_only() -> None:
    made = AssetRig("0.41.0").upload()

    assert made["hash"] == HASH
    assert not {"asset_hash", "is_immutable"} & set(made)


def test_an_upload_of_a_picture_names_its_asset(rig: AssetRig) -> None:
    answers = [
        rig.form(part("image", data, "p.png", "image/png"), *more, target="/upload/image")
        for data, more in (
            (PNG, []),
            (PNG, []),
            (png((5, 5)), [part("overwrite", "true")]),
            (PNG, [part("type", "temp")]),
        )
    ]

    first, same, other, temporary = (json.loads(answer.body)["asset"] for answer in answers)
    assert list(first) == ["id", "name", "asset_hash", "size", "mime_type", "tags"]
    assert first == same
    assert (other["id"], other["asset_hash"] != first["asset_hash"]) == (first["id"], True)
    assert temporary["tags"] == ["input", "temp", "uploaded"]


def test_a_file_can_be_seen_by_its_hash(rig: AssetRig) -> None:
    rig.upload()

    known = rig.ask("GET", f"/view?filename={HASH}")
    unknown = rig.ask("GET", "/view?filename=blake3:" + "0" * 64)

    assert (known.status, known.body, unknown.status) == (200, PNG, 404)
    assert dict(known.headers)["Content-Disposition"] == 'filename="up.png"'
