"""The flags of ``serve`` and ``with`` -> the options of the simulated server."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from comfyrec.cli._frontend import frontend_options
from comfyrec.cli._object_info import catalogue_of
from comfyrec.cli._server_flags import with_nodes
from comfyrec.cli._timing_flags import timing_options
from comfyrec.cli._versions import chosen_era, with_assets
from fake_server.options import ServerOptions
from fake_server.simulator.cache import CACHES

if TYPE_CHECKING:
    from comfyrec.timeline import Timeline

__all__ = ["dated", "engine_options", "replayed_nodes"]

_MIB: Final = 1024 * 1024
_LIVE: Final = 1.0
"""The speed at which virtual time goes as time does outside."""


def engine_options(arguments: argparse.Namespace) -> ServerOptions:
    """The options of the simulated server, apart from what depends on the date.

    Raises:
        UsageError: a flag's value cannot be used.
    """
    era = with_assets(
        chosen_era(arguments.comfyui_version, arguments.fact, arguments.told_by),
        on=arguments.enable_assets,
        off=arguments.disable_assets,
    )
    options = ServerOptions(
        era=era,
        seed=arguments.seed,
        cache="lru" if arguments.cache_lru else arguments.cache,
        multi_user=arguments.multi_user,
        cors_origin=arguments.enable_cors_header,
        compress_responses=arguments.enable_compress_response_body,
        surfaces=arguments.surface,
    )
    assert options.cache is None or options.cache in CACHES
    options = replace(options, **_if_given(arguments))
    return options if arguments.file is not None else with_nodes(arguments, options, "serve")


def replayed_nodes(arguments: argparse.Namespace, timeline: Timeline) -> ServerOptions | None:
    """What the simulated prompts of a replay may use, as the flags say; None: nothing is said.

    Raises:
        UsageError: a flag's value cannot be used.
    """
    said = arguments.object_info, arguments.models, arguments.learn
    if not any(said) and arguments.unknown_nodes != "accept":
        return None
    from fake_server.replay.recorded.known_nodes import recorded_options

    given = arguments.object_info
    more = None if given is None else catalogue_of(given)
    return with_nodes(arguments, recorded_options(timeline, more), "serve")


def dated(arguments: argparse.Namespace, options: ServerOptions) -> ServerOptions:
    """The options with the date of a fresh server: today's where time goes as it does outside."""
    if arguments.speed == _LIVE:
        options = replace(options, epoch_ms=time.time_ns() // 1_000_000)
    return replace(options, **_on_disk(arguments, options.epoch_us))


def _if_given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options that have the server's own default where no flag was given."""
    given: dict[str, Any] = {}
    if arguments.timing is not None:
        given |= timing_options(arguments.timing)
    if arguments.cache_lru:
        given["lru_size"] = arguments.cache_lru
    if arguments.max_upload_size is not None:
        # A float once the option was given, as protocol.md section 3 has it.
        given["max_upload_size"] = arguments.max_upload_size * _MIB
    return given


def _on_disk(arguments: argparse.Namespace, epoch_us: int) -> dict[str, Any]:
    """Options about real files, whose dates are real ones."""
    given: dict[str, Any] = {}
    if arguments.base_directory is not None:
        from fake_server.storage.disk import RealFolders

        given["folders"] = lambda: RealFolders(arguments.base_directory, epoch_us)
    if arguments.frontend:
        given |= frontend_options(epoch_us)
    return given
