"""Assets on or off, and that every feature flag is true: what it announces is there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from comfyrec.http.routes import ROUTES, Route
from comfyrec.versions import ERAS, era_of
from fake_server.http.assets.handlers import ASSET_HANDLERS
from fake_server.options import ServerOptions
from fake_server.simulated_server import SimulatedServer
from tests.support.asset_server import HOST, PNG, SAVES, UNKNOWN, AssetRig
from tests.support.replay_rig import SourceRig
from tests.support.source_client import part

ASSETS = [route for route in ROUTES if f"{route.method} {route.path}" in ASSET_HANDLERS]


def target(route: Route) -> str:
    path = route.path.replace("{id:uuid}", UNKNOWN).replace("{hash}", "blake3:00")
    return "/api" + path.replace("{name}", "x.zip")


@pytest.mark.parametrize("route", ASSETS, ids=lambda route: f"{route.method} {route.path}")
def test_every_asset_route_says_so_while_assets_are_off(route: Route) -> None:
    rig = AssetRig("0.41.0", on=False)

    answer = rig.ask(route.method, target(route), b"not JSON")

    assert answer.status == 503
    assert json.loads(answer.body)["error"]["code"] == "SERVICE_DISABLED"


def test_an_id_that_is_none_leads_nowhere_on_or_off() -> None:
    found = [AssetRig(on=on).ask("GET", "/api/assets/nope").status for on in (True, False)]

    assert found == [404, 404]


def test_off_there_are_neither_ids_nor_assets_in_answers() -> None:
    rig = AssetRig("0.41.0", on=False)
    prompt_id = rig.submit(SAVES)
    rig.run()

    shown = rig.get(f"/history/{prompt_id}")[prompt_id]["outputs"]["2"]["images"][0]

    assert list(shown) == ["filename", "subfolder", "type"]
    assert rig.ask("GET", "/view?filename=blake3:" + "0" * 64).status == 404


@pytest.mark.parametrize(
    "version, per_prompt, names_preview", [("0.33.0", False, False), ("0.41.0", True, True)]
)
def test_on_each_file_has_an_id_and_leads_to_its_asset(
    version: str, per_prompt: bool, names_preview: bool
) -> None:
    rig = AssetRig(version)
    ids = []
    for _ in range(2):
        prompt_id = rig.submit(SAVES)
        rig.run()
        shown = rig.get(f"/history/{prompt_id}")[prompt_id]["outputs"]["2"]["images"][0]
        ids.append(shown["id"])

    assert (ids[0] != ids[1]) is per_prompt
    assert shown.get("preview_id") == (shown["id"] if names_preview else None)
    assert rig.get(f"/api/assets/{ids[1]}")["job_id"] == prompt_id


# --- the flags -------------------------------------------------------------------------------


def _told_of(version: str, **facts: bool) -> tuple[SourceRig, dict[str, Any]]:
    """A server of that version and what it says of itself, on the socket and in /features."""
    era = era_of(version)
    for name, on in facts.items():
        era = era.switched(name, on=on)
    rig = SourceRig(SimulatedServer(ServerOptions(era=era, max_upload_size=2_000)))
    socket = rig.connect("me")
    rig.say(socket, {"type": "feature_flags", "data": {"supports_preview_metadata": True}})
    told = [frame["data"] for frame in socket.texts if frame["type"] == "feature_flags"]
    if not told:
        assert rig.ask("GET", "/features").status == 404
        return rig, {}
    assert rig.get("/features") == told[0]
    return rig, told[0]


WALKED = (*ERAS, "0.9.2", "0.12.0", "0.16.4", "0.17.0", "0.18.0", "0.28.0", "0.46.0")


@pytest.mark.parametrize("version", WALKED)
@pytest.mark.parametrize("route", ASSETS, ids=lambda route: f"{route.method} {route.path}")
def test_an_asset_route_is_as_old_as_its_fact_and_off_only_where_a_flag_turns_it_on(
    version: str, route: Route
) -> None:
    era = era_of(version)
    rig = SourceRig(SimulatedServer(ServerOptions(era=era)))

    answer = rig.ask(route.method, target(route), b"not JSON")
    error = json.loads(answer.body).get("error") if answer.body[:1] == b"{" else None

    is_there = route.since is None or era.has(route.since)
    is_on = era.has("assets_always") or era.has("assets_on")
    if not is_there:
        assert (answer.status in (404, 405), error) == (True, None)
    elif is_on:
        assert answer.status not in (405, 503)
    else:
        assert error == {**error, "code": "SERVICE_DISABLED"}


@pytest.mark.parametrize(
    "version, last", [("0.9.2", False), ("0.12.0", True), ("0.16.4", True)], ids=str
)
def test_before_the_flag_assets_are_always_on_and_of_an_older_shape(
    version: str, last: bool
) -> None:
    rig = AssetRig(version, on=False)

    assert rig.get("/api/assets") == {"assets": [], "total": 0, "has_more": False}
    assert rig.error("GET", f"/api/assets/{UNKNOWN}") == (404, "ASSET_NOT_FOUND")
    assert rig.ask("GET", "/features").body.count(b"assets") == 0
    if not last:
        assert rig.ask("POST", "/api/assets").status == 405
        return
    made = rig.upload()
    (listed,) = rig.get("/api/assets")["assets"]
    changed = rig.says("PUT", f"/api/assets/{made['id']}", {"name": "other"})[1]

    assert list(listed) == [
        "id", "name", "asset_hash", "size", "mime_type", "tags", "preview_url", "created_at",
        "updated_at", "last_access_time",
    ]  # fmt: skip
    assert list(made) == [
        "id", "name", "asset_hash", "size", "mime_type", "tags", "user_metadata", "preview_id",
        "created_at", "last_access_time", "created_new",
    ]  # fmt: skip
    assert list(changed) == ["id", "name", "asset_hash", "tags", "user_metadata", "updated_at"]
    assert {tag["type"] for tag in rig.get("/api/tags")["tags"]} == {"user"}
    assert rig.says("POST", "/api/assets/seed", {"roots": ["input"]})[1] == {"seeded": ["input"]}


def test_what_only_newer_versions_show_of_assets_is_left_out_before() -> None:
    for version, cursor in (("0.24.0", False), ("0.25.0", True)):
        rig = AssetRig(version)
        for number in range(3):
            rig.upload(part("name", f"n{number}"))
        assert ("next_cursor" in rig.get("/api/assets?limit=1")) is cursor
        assert ("type" in rig.get("/api/tags")["tags"][0]) is not cursor
    assert "hash" not in AssetRig("0.22.0").upload()


@pytest.mark.parametrize(
    "tags, status", [("models,loras", 201), ("models,nowhere", 400), ("models", 400)]
)
def test_before_tags_had_types_the_second_one_was_the_folder_of_a_model(
    tags: str, status: int
) -> None:
    rig = AssetRig("0.16.4", on=False)

    answer = rig.form(part("tags", tags), part("file", b"x", "a.safetensors", "a/b"))

    assert answer.status == status


def _assets(rig: SourceRig, value: Any) -> None:
    status = rig.ask("GET", "/api/assets").status
    assert status == (200 if value else 503)


def _replacements(rig: SourceRig, value: Any) -> None:
    assert rig.ask("GET", "/node_replacements").status == 200


def _upload_size(rig: SourceRig, value: Any) -> None:
    statuses = [rig.ask("POST", "/prompt", b" " * size).status for size in (value, value + 1)]
    assert statuses == [500, 413]


def _manager(rig: SourceRig, value: Any) -> None:
    # The flag is always there; without the manager's own package its routes are not.
    assert value == {"manager": {"supports_v4": True}}
    assert rig.ask("GET", "/v2/manager/version").status == 404


def _is_true(rig: SourceRig, value: Any) -> None:
    """It names no route: frames of type 4, tags of uploaded models."""
    assert value is True


ANNOUNCED = {
    "assets": _assets,
    "node_replacements": _replacements,
    "max_upload_size": _upload_size,
    "extension": _manager,
    "supports_preview_metadata": _is_true,
    "supports_model_type_tags": _is_true,
}


@pytest.mark.parametrize("version", WALKED)
def test_what_a_feature_flag_announces_is_there(version: str) -> None:
    rig, flags = _told_of(version)

    assert set(flags) <= set(ANNOUNCED)
    for name, value in flags.items():
        ANNOUNCED[name](rig, value)


@pytest.mark.parametrize("version", ["0.27.0", "0.33.0", "0.38.0", "0.41.0"])
@pytest.mark.parametrize("on", [True, False])
def test_the_flag_of_assets_says_whether_they_are_on(version: str, on: bool) -> None:
    rig, flags = _told_of(version, assets_on=on)

    assert flags["assets"] is on
    _assets(rig, on)


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/api/assets", b""),
        ("GET", "/api/assets?after=x", b""),
        ("GET", "/api/assets/tags/refine", b""),
        ("GET", "/api/tags", b""),
        ("GET", f"/api/assets/{UNKNOWN}", b""),
        ("GET", f"/api/assets/{UNKNOWN}/content", b""),
        ("PUT", f"/api/assets/{UNKNOWN}", {"name": "x"}),
        ("DELETE", f"/api/assets/{UNKNOWN}", b""),
        ("POST", f"/api/assets/{UNKNOWN}/tags", {"tags": ["a"]}),
        ("DELETE", f"/api/assets/{UNKNOWN}/tags", {"tags": ["a"]}),
        ("POST", "/api/assets/from-hash", {"hash": f"blake3:{'0' * 64}"}),
        ("GET", f"/view?filename=blake3:{'0' * 64}", b""),
    ],
)
def test_with_users_of_its_own_it_fails_for_nobody(method: str, target: str, body: Any) -> None:
    rig = AssetRig(multi_user=True)
    ann = rig.says("POST", "/users", {"username": "ann"})[1]

    nobody = rig.ask(method, target, body)
    somebody = rig.ask(method, target, body, headers=(HOST, ("comfy-user", ann)))

    assert nobody.status == 500
    assert somebody.status != 500


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/api/assets?limit=x", b""),
        ("GET", "/api/assets?tags_all=a&tags_none=a", b""),
        ("PUT", f"/api/assets/{UNKNOWN}", {}),
        ("POST", "/api/assets/from-hash", {}),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_asked_who_asks(
    method: str, target: str, body: Any
) -> None:
    assert AssetRig(multi_user=True).ask(method, target, body).status == 400


def test_an_upload_of_nobody_leaves_nothing() -> None:
    rig = AssetRig(multi_user=True)

    answer = rig.form(part("tags", "input"), part("file", PNG, "up.png", "image/png"))

    assert answer.status == 500
    assert len(list(rig.server.engine.worker.assets)) == 0
