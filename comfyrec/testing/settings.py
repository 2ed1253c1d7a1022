"""All that one server of a test is made from, and the variables that name its address."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from comfyrec.testing.record_mode import RecordMode
from fake_server.options import SurfaceChoice
from fake_server.scenarios import Choice

__all__ = ["PluginSettings"]


class PluginSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that one server of a test is made from."""

    scenario: str = "success"
    params: dict[str, Any] = {}
    scenarios: tuple[Choice, ...] = ()
    """Several at once, in place of ``scenario`` and ``params``; over a cassette as well."""
    cassette: Path | str | None = None
    """A path, or the name of a bundled cassette."""
    record: RecordMode = RecordMode.NONE
    upstream: str | None = None
    speed: float | None = None
    """``inf`` never waits; None: only in scenarios that are about waiting."""
    version: str | None = None
    object_info: Any = None
    workflows: tuple[str, ...] = ()
    """Files, folders and patterns of workflows that the server learns from."""
    models: dict[str, tuple[str, ...]] = {}
    """Model folder -> the files in it."""
    unknown_nodes: str = "refuse"
    """``accept``: a class that nobody knows is taken as the prompt uses it."""
    surfaces: tuple[SurfaceChoice, ...] = ()
    """The APIs that it speaks; none: ComfyUI's own."""
    seed: int = 0
    strict: bool = False
    """A replayed cassette answers nothing that was not recorded."""
    block_network: bool = False
    timeout_s: float = 5.0
    idle_limit_s: float = 10.0
    """Real time that a client may wait for a server with nothing more to say; 0: for ever."""
