"""The page of the clients that we ran has each of them, and nothing of the machine."""

from __future__ import annotations

import importlib.util
import re
import sys
from types import ModuleType

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
SCRIPTS = ROOT / "tests" / "comfyrec" / "check" / "real_clients"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_clients", ROOT / "docs" / "make_clients.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_clients"] = module
    spec.loader.exec_module(module)
    return module


def test_every_client_has_a_row_with_numbers_that_add_up(maker: ModuleType) -> None:
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| [")]
    numbers = [[int(cell.strip(" |")) for cell in row[3:6]] for row in rows]

    assert len(rows) == len(maker.CLIENTS)
    assert len({sum(each) for each in numbers}) == 1


def test_every_script_is_run(maker: ModuleType) -> None:
    named = {client.script for client in maker.CLIENTS if client.script}

    assert named == {path.name for path in SCRIPTS.iterdir() if path.suffix in (".py", ".mjs")}


def test_the_page_names_nothing_of_the_machine() -> None:
    assert re.findall(r"/(?:tmp|home|root|work|usr)/|127\.0\.0\.1|localhost", PAGE) == []


def test_what_a_client_printed_and_the_ids_of_a_run_are_left_out(maker: ModuleType) -> None:
    result = {
        "version": "1.0",
        "summary": {"passed": 0, "failed": 2, "not_exercised": 0},
        "results": [
            {"status": "fail", "ended": "hung", "reported": "nothing"},
            {"status": "not exercised", "ended": "finished", "reported": "an untruth"},
        ],
        "fixes": [
            {"cause": "It crashes: E: ws://127.0.0.1:1/ws; it printed: /tmp/a", "scenarios": ["x"]}
        ],
    }

    text = maker.page({one.name: result for one in maker.CLIENTS}, date="2026-01-02", node="20")

    assert "1. It crashes: E: ... (`x`)." in text
    assert "2026-01-02" in text
    assert text.count(" | 0 | 2 | 0 | 1 | 0 |") == len(maker.CLIENTS)
    assert "it printed" not in text
