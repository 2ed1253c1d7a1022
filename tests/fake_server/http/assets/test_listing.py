"""GET /api/assets, /api/tags and /api/assets/tags/refine (recording ``assets`` of 0.33.0)."""

from __future__ import annotations

import pytest

from tests.support.asset_server import SAVES, AssetRig


@pytest.fixture
def rig() -> AssetRig:
    """A server with one saved picture, one preview and one upload, in that order."""
    rig = AssetRig()
    rig.run(until=1_000_000)
    rig.submit(SAVES)
    rig.run()
    rig.run(until=2_000_000)
    rig.upload()
    return rig


def names(rig: AssetRig, query: str = "") -> list[str]:
    found = rig.get(f"/api/assets{query}")["assets"]
    return [one["tags"][0] if "temp" in one["tags"] else one["name"] for one in found]


def test_the_newest_comes_first(rig: AssetRig) -> None:
    listed = rig.get("/api/assets")

    assert (listed["total"], listed["has_more"]) == (3, False)
    assert listed["assets"][0]["name"] == "up.png"
    assert set(names(rig)[1:]) == {"a_00001_.png", "temp"}


def test_what_a_prompt_saved_says_which_prompt_it_was(rig: AssetRig) -> None:
    (saved,) = rig.get("/api/assets?include_tags=output")["assets"]

    prompt_id = next(iter(rig.get("/history")))
    assert saved["job_id"] == saved["prompt_id"] == prompt_id
    assert saved["metadata"] == {"kind": "image", "width": 8, "height": 4}
    assert saved["preview_url"] == "/api/view?type=output&filename=a_00001_.png"
    assert "hash" not in saved
    assert rig.ask("GET", saved["preview_url"]).status == 200


@pytest.mark.parametrize(
    "query, expected",
    [
        ("?tags_all=output", ["a_00001_.png"]),
        ("?tags_all=output,input", []),
        ("?tags_any=output,input", ["up.png", "a_00001_.png"]),
        ("?tags_none=temp,output", ["up.png"]),
        ("?exclude_tags=input&exclude_tags=temp", ["a_00001_.png"]),
        ("?name_contains=UP", ["up.png"]),
        ("?sort=name&order=asc&tags_none=temp", ["a_00001_.png", "up.png"]),
        ("?sort=size&order=desc&tags_none=temp&limit=1", ["a_00001_.png"]),
        ("?offset=1&tags_none=temp", ["a_00001_.png"]),
        ('?metadata_filter={"filename":"a_00001_.png"}', ["a_00001_.png"]),
    ],
)
def test_filters_and_orders(rig: AssetRig, query: str, expected: list[str]) -> None:
    assert names(rig, query) == expected


@pytest.mark.parametrize("sort", ["name", "created_at", "updated_at", "size"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_follow_each_other(rig: AssetRig, sort: str, order: str) -> None:
    query = f"?sort={sort}&order={order}"
    whole = [one["id"] for one in rig.get(f"/api/assets{query}")["assets"]]

    paged, after = [], ""
    while True:
        page = rig.get(f"/api/assets{query}&limit=1{after}")
        paged += [one["id"] for one in page["assets"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next_cursor']}"

    assert paged == whole
    assert len(set(whole)) == 3


@pytest.mark.parametrize(
    "query, code",
    [
        ("?limit=0", "INVALID_QUERY"),
        ("?limit=501", "INVALID_QUERY"),
        ("?limit=x", "INVALID_QUERY"),
        ("?offset=-1", "INVALID_QUERY"),
        ("?sort=color", "INVALID_QUERY"),
        ("?order=up", "INVALID_QUERY"),
        ("?metadata_filter=x", "INVALID_QUERY"),
        ("?metadata_filter=[]", "INVALID_QUERY"),
        ("?tags_all=a&tags_none=a", "INVALID_TAG_FILTER"),
        ("?tags_all=" + ",".join(map(str, range(101))), "INVALID_TAG_FILTER"),
        ("?after=zzz", "INVALID_CURSOR"),
        ("?after=", ""),
    ],
)
def test_a_query_that_does_not_fit_is_refused(rig: AssetRig, query: str, code: str) -> None:
    status, said = rig.says("GET", f"/api/assets{query}")

    assert (status, said.get("error", {}).get("code", "")) == (400 if code else 200, code)


def test_a_cursor_of_another_order_is_refused(rig: AssetRig) -> None:
    cursor = rig.get("/api/assets?limit=1")["next_cursor"]

    refusal = rig.error("GET", f"/api/assets?order=asc&after={cursor}")

    assert refusal == (400, "INVALID_CURSOR")


def test_tags_are_counted_and_those_in_use_come_first(rig: AssetRig) -> None:
    made = rig.get("/api/assets?tags_all=input")["assets"][0]["id"]
    rig.ask("POST", f"/api/assets/{made}/tags", {"tags": ["zz", "old"]})
    rig.ask("DELETE", f"/api/assets/{made}/tags", {"tags": ["old"]})

    listed = rig.get("/api/tags")
    page = rig.get("/api/tags?limit=2&offset=1&order=name_asc")
    used = rig.get("/api/tags?prefix=o&include_zero=false")

    assert [tag["name"] for tag in listed["tags"]] == [
        "uploaded", "input", "output", "temp", "zz", "old"
    ]  # fmt: skip
    assert ([tag["name"] for tag in page["tags"]], page["has_more"]) == (["old", "output"], True)
    assert used["tags"] == [{"name": "output", "count": 1}]


def test_tags_are_counted_among_the_assets_that_fit(rig: AssetRig) -> None:
    counted = rig.get("/api/assets/tags/refine?tags_none=temp&limit=2")

    assert counted == {"tag_counts": {"uploaded": 2, "input": 1}}


def test_newer_servers_filter_no_metadata() -> None:
    assert AssetRig("0.41.0").error("GET", '/api/assets?metadata_filter={"a":1}') == (
        400,
        "UNSUPPORTED_PARAM",
    )
