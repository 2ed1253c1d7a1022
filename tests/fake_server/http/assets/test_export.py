"""Zips of assets (0.40.0)."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from tests.support.asset_server import SAVES, UNKNOWN, AssetRig


@pytest.fixture
def rig() -> AssetRig:
    return AssetRig("0.41.0")


def exported(rig: AssetRig, **body: Any) -> list[str]:
    """Export, fetch the zip as a client would, and list it."""
    status, created = rig.says("POST", "/api/assets/export", body)
    assert (status, created["status"]) == (202, "created")
    task = rig.get(f"/api/tasks/{created['task_id']}")
    assert task["status"] == "completed"
    url = rig.get(f"/api/assets/exports/{task['result']['export_name']}")["url"]
    with zipfile.ZipFile(io.BytesIO(rig.ask("GET", url).body)) as archive:
        return archive.namelist()


def test_the_files_of_a_job_come_in_one_zip(rig: AssetRig) -> None:
    prompt_id = rig.submit(SAVES)
    rig.run()

    plain = exported(rig, job_ids=[prompt_id], naming_strategy="group_by_job_id")
    whole = exported(rig, job_ids=[prompt_id], naming_strategy="preserve", include_previews=True)

    assert plain == [f"{prompt_id}/a_00001_.png"]
    assert len(whole) == 2
    assert "a_00001_.png" in whole


def test_files_of_one_name_get_numbers(rig: AssetRig) -> None:
    ids = [rig.upload()["id"] for _ in range(2)]

    named = exported(rig, asset_ids=ids)
    by_id = exported(rig, asset_ids=ids, naming_strategy="asset_id")

    assert named == ["assets/up.png", "assets/up (1).png"]
    assert by_id == [f"{one}.png" for one in ids]


def test_the_files_of_a_job_are_grouped_by_its_time(rig: AssetRig) -> None:
    prompt_id = rig.submit(SAVES)
    rig.run()

    assert exported(rig, job_ids=[prompt_id]) == ["2026-01-01T00-00-00/a_00001_.png"]


def test_every_socket_hears_of_an_export(rig: AssetRig) -> None:
    made = rig.upload()
    socket = rig.connect("me")

    rig.says("POST", "/api/assets/export", {"asset_ids": [made["id"]]})

    first, last = (frame["data"] for frame in socket.texts[1:])
    assert socket.types[1:] == ["asset_export", "asset_export"]
    assert (first["status"], first["progress"]) == ("running", 0.0)
    assert (last["status"], last["assets_attempted"], last["bytes_processed"]) == (
        "completed",
        1,
        made["size"],
    )


@pytest.mark.parametrize(
    "body, code",
    [
        ({}, "INVALID_REQUEST"),
        ({"job_ids": "all"}, "INVALID_REQUEST"),
        ({"asset_ids": ["x"], "naming_strategy": "mine"}, "INVALID_NAMING_STRATEGY"),
        (b"{", "INVALID_JSON"),
    ],
)
def test_an_export_that_does_not_fit_is_refused(rig: AssetRig, body: Any, code: str) -> None:
    assert rig.error("POST", "/api/assets/export", body) == (400, code)


@pytest.mark.parametrize(
    "path, code, status",
    [
        (f"/api/tasks/{UNKNOWN}", "TASK_NOT_FOUND", 404),
        ("/api/assets/exports/x.zip", "INVALID_EXPORT_NAME", 400),
        ("/api/assets/exports/comfy-export-2026-01-01-0123abcd.zip", "EXPORT_NOT_FOUND", 404),
    ],
)
def test_what_was_never_exported_is_not_found(
    rig: AssetRig, path: str, code: str, status: int
) -> None:
    assert rig.error("GET", path) == (status, code)


def test_servers_before_0_40_export_nothing() -> None:
    rig = AssetRig("0.38.0")

    answer = rig.ask("POST", "/api/assets/export", {"asset_ids": ["x"]})

    assert answer.status == 405
    assert json.loads(rig.ask("GET", "/features").body)["assets"] is True
