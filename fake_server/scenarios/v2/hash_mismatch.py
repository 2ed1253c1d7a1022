"""Uploaded bytes count as other ones than `expected_hash` says: 409 `hash_mismatch`."""

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


def direct(settings: Parameters) -> Directions:
    mismatch = v2_error(409, "hash_mismatch", "the bytes do not match expected_hash")
    return Directions(operators=(respond(v2_route("POST /assets"), "POST /assets", mismatch),))


SCENARIO = Scenario(
    name="v2-hash-mismatch",
    row="V15",
    category="v2",
    summary=__doc__,
    correct="reports that it was rejected, with the reason",
    keeps=("K1", "K3", "K9"),
    evidence=(*SDK_STUBS, SPEC),
    truth=("rejected",),
    reason=("hash_mismatch", "do not match"),
    direct=direct,
    workflow=WITH_UPLOAD,
    surface="v2",
)
