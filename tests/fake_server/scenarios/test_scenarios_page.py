"""The page on scenarios: its example runs, and it names every operator and invariant."""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from comfyrec.check.invariants import INVARIANTS
from fake_server.scenario_source import scenario_source
from fake_server.scenarios import choose, find, kit, register, unregister
from fake_server.scenarios.kit import (
    PLAIN,
    connect_ops,
    frames_ops,
    history_ops,
    http_ops,
    other_users,
    registry,
    socket_ops,
)
from fake_server.scenarios.kit.dry_run import dry_run
from tests.support.paths import ROOT

OPERATOR_MODULES = (connect_ops, frames_ops, history_ops, http_ops, other_users, socket_ops)
PAGE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The page's example, as a module of somebody's."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (tmp_path / "example_of_the_page.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "example_of_the_page", raising=False)
    yield importlib.import_module("example_of_the_page")
    unregister("chatty-extension")


def test_the_example_is_a_scenario_that_plays(example: Any) -> None:
    source = scenario_source([choose("chatty-extension:messages=2")])

    texts = [line.text for line in dry_run(source, PLAIN)]

    assert texts.count("myextension.log") == 2
    assert not any(text.startswith("executed") for text in texts)


def test_an_entry_point_makes_it_known(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    (group,) = tomllib.loads(text)["project"]["entry-points"]
    unregister("chatty-extension")
    point = EntryPoint("chatty", "mypackage.scenarios:CHATTY", group)
    monkeypatch.setattr(EntryPoint, "load", lambda self: example.CHATTY)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point])

    found = find("chatty-extension")
    monkeypatch.undo()
    register(example.CHATTY)  # as the module did, for the end of the fixture

    assert found is example.CHATTY
    assert group == registry.ENTRY_POINTS


def test_every_operator_and_invariant_is_on_the_page() -> None:
    helpers = {
        "HISTORY", "VIEW", "OtherUser", "html_page", "is_poll_or_upgrade", "is_request_or_upgrade",
        "is_upgrade", "per_frame", "per_response", "refusal", "small_post", "text_response",
    }  # fmt: skip
    ours = {name for module in OPERATOR_MODULES for name in module.__all__} - helpers

    assert [name for name in ours if f"`{name}`" not in PAGE] == []
    assert all(
        f"| {name} | {words} |" in PAGE or name == "K2" for name, words in INVARIANTS.items()
    )
    assert ours <= set(kit.__all__)
