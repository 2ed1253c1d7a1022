"""The projects that these tests make have the plugins that they name, and no others."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _only_named_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "comfyrec.pytest_plugin")
