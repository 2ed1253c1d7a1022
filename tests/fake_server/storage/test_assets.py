"""Records of files: by id, by content, by scan."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

import fake_server.storage.assets as module
from fake_server.storage.assets import Asset, Assets, content_hash
from fake_server.storage.memory import Folders

SAID: dict[str, Any] = {
    "tags": ["input"],
    "name": None,
    "user_metadata": {},
    "mime_type": None,
    "preview_id": None,
}


class Store:
    """Folders, and the assets of what is in them."""

    def __init__(self) -> None:
        self.folders = Folders()
        ids = count(1)
        self.assets = Assets(self.folders, lambda: f"id-{next(ids)}")

    def put(self, kind: str, path: str, data: bytes = b"x") -> None:
        self.folders.write(kind, "", path, data, 0)

    def shown(self, path: str, prompt_id: str, *, anew: bool = False) -> str:
        return self.assets.shown("output", path, 1, prompt_id=prompt_id, anew=anew)[0]

    def keep(self, data: bytes) -> Asset:
        return self.assets.keep(data, content_hash(data), "input", ".png", 2, **SAID)


@pytest.fixture
def store() -> Store:
    return Store()


def test_a_file_has_one_asset_for_all_prompts_that_show_it(store: Store) -> None:
    store.put("output", "a.png")

    ids = [store.shown("a.png", prompt_id) for prompt_id in ("p", "q")]

    assert ids == ["id-1", "id-1"]
    assert [one.prompt_id for one in store.assets] == ["q"]


def test_a_file_may_have_a_new_asset_for_each_prompt(store: Store) -> None:
    store.put("output", "a.png")

    ids = [store.shown("a.png", prompt_id, anew=True) for prompt_id in ("p", "q")]

    assert ids == ["id-1", "id-2"]
    assert [one.prompt_id for one in store.assets] == ["p", "q"]


def test_an_upload_over_a_file_keeps_the_id_and_changes_the_content(store: Store) -> None:
    store.put("input", "a.png", b"one")
    first = store.assets.uploaded("input", "a.png", 1).hash
    store.put("input", "a.png", b"other")

    again = store.assets.uploaded("input", "a.png", 2)

    assert (again.id, again.size) == ("id-1", 5)
    assert first != again.hash == content_hash(b"other")


def test_content_is_kept_under_its_hash_and_may_have_more_names(store: Store) -> None:
    kept = store.keep(b"bytes")

    other = store.assets.another(kept, 3, **{**SAID, "name": "n.png", "tags": ["mine"]})

    assert kept.path == f"{content_hash(b'bytes').removeprefix('blake3:')}.png"
    assert (other.name, other.tags, other.at_home) == ("n.png", {"mine"}, False)
    assert store.assets.with_hash(content_hash(b"bytes")) is kept
    assert store.assets.content(other) == store.assets.content(kept)


def test_an_asset_whose_file_is_gone_is_not_listed(store: Store) -> None:
    kept = store.keep(b"bytes")

    store.folders.clear("input")

    assert list(store.assets) == []
    assert store.assets.get(kept.id) is kept
    assert store.assets.content(kept) is None


def test_a_scan_finds_the_files_that_nobody_told_of(store: Store) -> None:
    store.put("input", "sub/a.png")
    store.put("output", "b.png")
    store.assets.uploaded("input", "sub/a.png", 1)

    found = store.assets.scan(["input", "output"], 2)

    assert found == store.assets.scanned == (1, 1)
    assert [(one.kind, one.path, one.tags) for one in store.assets] == [
        ("input", "sub/a.png", {"input", "uploaded"}),
        ("output", "b.png", {"output"}),
    ]


def test_tags_that_nothing_has_any_more_are_counted_too(store: Store) -> None:
    kept = store.keep(b"bytes")
    store.assets.tag(kept, ["mine"])

    kept.tags -= {"mine"}

    assert store.assets.tag_counts() == {"input": 1, "uploaded": 1, "mine": 0}


def test_a_deleted_asset_leaves_its_file(store: Store) -> None:
    kept = store.keep(b"bytes")

    deleted = [store.assets.delete(kept.id) for _ in range(2)]

    assert deleted == [True, False]
    assert store.folders.has("input", "", kept.path)
    assert store.assets.scan(["input"], 3) == (1, 0)


def test_the_oldest_records_are_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASSETS_MAX", 2)
    for name in "abc":
        store.put("output", name)

    store.assets.scan(["output"], 0)

    assert [one.name for one in store.assets] == ["b", "c"]


def test_nothing_is_left_of_what_was_cleared(store: Store) -> None:
    kept = store.keep(b"bytes")

    store.assets.clear()

    assert store.assets.get(kept.id) is None
    assert (list(store.assets), store.assets.tag_counts()) == ([], {})
