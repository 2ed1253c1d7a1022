"""How the simulated server was started: what a person would give as options on its command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from comfyrec.timing import Timing
from comfyrec.versions import Era, era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.nodes.learned import Learned
from fake_server.storage.memory import Folders, StoredFile

__all__ = ["EPOCH_MS", "ServerOptions", "SurfaceChoice"]

# 2026-01-01T00:00:00Z: virtual time begins here unless a test says otherwise.
EPOCH_MS: Final = 1_767_225_600_000


class SurfaceChoice(msgspec.Struct, frozen=True):
    """A surface by its name, with its settings; see ``fake_server.surfaces.registry``."""

    name: str
    settings: msgspec.Struct | None = None
    """None: the defaults."""


class ServerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """All that a simulated server is made from; the defaults are those of a fresh installation."""

    era: Era = msgspec.field(default_factory=era_of)
    """The version of ComfyUI whose habits it has."""
    catalogue: Catalogue | None = None
    """The node classes and model files that it has; None: those that come with the version."""
    learned: Learned = Learned()
    """What the catalogue has learned from workflows; its input files are there from the start."""
    accept_unknown_nodes: bool = False
    """Whether a class that the catalogue lacks is taken as the prompt at hand uses it."""
    class_plans: Mapping[str, Mapping[str, Any]] = {}
    """What the nodes of a class do, where a scenario does not say it: class -> keys of a plan."""
    timing: Timing | None = None
    """How long nodes take that no plan says it of, as learned; None: as the run is lifelike."""
    seed: int = 0
    """Of ids, temporary names and pictures."""
    epoch_ms: int = EPOCH_MS
    """Unix time at virtual time 0, in milliseconds."""

    surfaces: tuple[SurfaceChoice, ...] = ()
    """The APIs that it speaks; none: only its own."""

    folders: Callable[[], Folders] = Folders
    """Gives the folders of each fresh server; folders on a disk are the same ones again."""
    base_directory: str = "/ComfyUI"
    """The folder that holds input, output and temp in the texts of errors."""
    argv: tuple[str, ...] = ("main.py",)
    """The command line that GET /system_stats shows."""

    serves_assets: bool = False
    """Whether the routes of assets answer where the version has them off."""
    cache: str | None = None
    """One of ``simulator.cache.CACHES``; None: the one that the version has by default."""
    lru_size: int = 100
    """How many results the cache ``lru`` keeps."""
    history_delay_us: int = 0
    """Virtual microseconds from the terminal event until a prompt is in the history."""
    history_delay_every: int = 1
    """Only one of so many prompts is late in the history."""
    workers_per_client: int | None = None
    """Prompts of one client that run at once, as a service with many machines has it; None: one
    worker for all, as on a machine of one's own."""
    worker_delay_us: int = 0
    """Virtual microseconds until the worker takes a prompt that comes while it is idle."""

    max_upload_size: int | float = 104_857_600
    """Of a request body, in bytes; a float is shown as one, as in the server's feature flags."""
    feature_flags: Mapping[str, Any] = {}
    """What ``--feature-flag`` adds to the server's own."""
    multi_user: bool = False
    """Whether there are several users, told apart by the header ``comfy-user``."""
    cors_origin: str | None = None
    """The origin that ``--enable-cors-header`` names; None: cross-site requests are refused."""
    compress_responses: bool = False
    """Whether JSON and text are answered in gzip."""
    frontend: Callable[[str], StoredFile | None] | None = None
    """Path below the web root -> the file; None: no frontend is served."""
    extension_scripts: tuple[str, ...] | None = None
    """What GET /extensions lists; None: what every frontend has."""

    @property
    def node_classes(self) -> Catalogue:
        """The catalogue that was given, or that of the version."""
        return Catalogue.core(self.era) if self.catalogue is None else self.catalogue

    @property
    def epoch_us(self) -> int:
        """Unix time at virtual time 0, in microseconds."""
        return self.epoch_ms * 1_000
