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


@pytest.mark.parametrize("version", ERAS)
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
