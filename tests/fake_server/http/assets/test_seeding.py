"""Scans of the folders (recording ``assets`` of 0.33.0)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.asset_server import AssetRig


@pytest.fixture
def rig() -> AssetRig:
    """A server with two files that nobody told it of."""
    rig = AssetRig()
    for kind in ("input", "output"):
        rig.server.context.folders.write(kind, "", "a.txt", b"text", 0)
    return rig


def test_a_scan_makes_assets_of_files_and_every_socket_hears_of_it(rig: AssetRig) -> None:
    socket = rig.connect("me")

    scanned = rig.says("POST", "/api/assets/seed?wait=true", {"roots": ["output"]})

    assert scanned == (
        200,
        {
            "status": "completed",
            "progress": {"scanned": 0, "total": 1, "created": 1, "skipped": 0},
            "errors": [],
        },
    )
    assert [one["tags"] for one in rig.get("/api/assets")["assets"]] == [["output"]]
    assert socket.types[1:] == [
        "assets.seed.started",
        "assets.seed.fast_complete",
        "assets.seed.started",
        "assets.seed.enrich_complete",
        "assets.seed.completed",
    ]


@pytest.mark.parametrize("body", [b"", b"not JSON", {}, []])
def test_without_roots_all_are_looked_through(rig: AssetRig, body: Any) -> None:
    started = rig.says("POST", "/api/assets/seed", body)

    assert started == (202, {"status": "started"})
    assert rig.get("/api/assets")["total"] == 2
    assert rig.get("/api/assets/seed/status")["progress"]["created"] == 2


@pytest.mark.parametrize("roots", [["nope"], [], 5])
def test_roots_that_are_none_are_refused(rig: AssetRig, roots: Any) -> None:
    refusal = rig.error("POST", "/api/assets/seed", {"roots": roots})

    assert refusal == (400, "INVALID_BODY")


def test_no_scan_is_ever_under_way(rig: AssetRig) -> None:
    assert rig.says("POST", "/api/assets/seed/cancel") == (200, {"status": "idle"})
    assert rig.says("POST", "/api/assets/prune") == (200, {"status": "completed", "marked": 0})
    assert rig.get("/api/assets/seed/status")["state"] == "IDLE"
