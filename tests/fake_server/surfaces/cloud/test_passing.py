"""What the server behind answers, in the shape of Comfy Cloud."""

from __future__ import annotations

import json

from comfyrec.versions import era_of
from fake_server.options import ServerOptions, SurfaceChoice
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose
from tests.fake_server.surfaces.cloud.test_files import PICTURE, form
from tests.support.cloud_client import CloudRig


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
    assert rig.ask("/api/userdata/none.json").status == 404


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
