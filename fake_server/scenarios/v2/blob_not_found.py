"""Bytes that are known at one moment cannot be minted from at the next: 404 `blob_not_found`."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    SDK_STUBS,
    SPEC,
    WITH_UPLOAD,
    Directions,
    Parameters,
    Scenario,
    respond,
    v2_error,
    v2_route,
)
from fake_server.source import Response


def direct(settings: Parameters) -> Directions:
    missing = v2_error(404, "blob_not_found", "there are no bytes of that hash")
    return Directions(
        operators=(
            respond(v2_route("HEAD /assets/by-hash/{}"), "HEAD /assets/by-hash", Response(200)),
            respond(v2_route("POST /assets/from-hash"), "POST /assets/from-hash", missing),
        )
    )


SCENARIO = Scenario(
    name="v2-blob-not-found",
    row="V16",
    category="v2",
    summary=__doc__,
    correct="uploads the bytes",
    keeps=("K1", "K3"),
    evidence=(SPEC, *SDK_STUBS),
    direct=direct,
    workflow=WITH_UPLOAD,
    surface="v2",
)
