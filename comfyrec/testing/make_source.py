"""Settings of a test -> what its server does: play a scenario, or replay a cassette."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from comfyrec.errors import ScenarioError, UsageError
from comfyrec.testing.settings import PluginSettings
from comfyrec.versions import NEWEST_KNOWN, Era, era_of, is_beyond_known
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.scenario_source import scenario_source, scenarios_over, transport_of
from fake_server.scenarios import Choice, choice_of
from fake_server.scenarios.kit.scenario import Transport
from fake_server.server.clock import MAX
from fake_server.source import Source

__all__ = [
    "changed_by",
    "choices_of",
    "make_source",
    "replay_of",
    "speed_for",
    "transport_for",
    "waiting_speed",
]


def make_source(settings: PluginSettings) -> Source:
    """A fresh source, as if the server had just been started.

    Raises:
        ScenarioError: an unknown scenario, parameter or version, or an invalid node catalogue.
        CassetteError: the cassette cannot be found or read.
    """
    choices = choices_of(settings)
    if settings.cassette is not None:
        if not choices and not settings.surfaces:
            return replay_of(settings)
        seed, surfaces = settings.seed, settings.surfaces
        return scenarios_over(choices, lambda: replay_of(settings), seed=seed, surfaces=surfaces)
    return scenario_source(choices, changed_by(settings, ServerOptions()))


def changed_by(settings: PluginSettings, options: ServerOptions) -> ServerOptions:
    """The options, with what the settings say of seed, version and node classes.

    Raises:
        ScenarioError: an unknown version, or an invalid node catalogue.
    """
    said: dict[str, Any] = {"seed": settings.seed}
    if settings.version is not None:
        said["era"] = _known_era(settings.version)
    if settings.object_info is not None:
        said["catalogue"] = Catalogue.from_object_info(settings.object_info)
    if settings.surfaces:
        said["surfaces"] = settings.surfaces
    if settings.unknown_nodes == "accept":
        said["accept_unknown_nodes"] = True
    return _with_nodes(settings, replace(options, **said))


def _known_era(version: str) -> Era:
    """The era of a version; nobody reads what a test's server would say of one too new.

    Raises:
        UsageError: it is not a version, or nothing is known of it.
    """
    era = era_of(version)
    if is_beyond_known(era):
        raise UsageError(
            f"nothing is known of ComfyUI {version}; give {NEWEST_KNOWN}, the newest that is known"
        )
    return era


def _with_nodes(settings: PluginSettings, options: ServerOptions) -> ServerOptions:
    """The options with the model files and the workflows of the settings."""
    if settings.models:
        catalogue = options.node_classes.with_models(settings.models)
        options = replace(options, catalogue=catalogue)
    if not settings.workflows:
        return options
    # Files are read once for all tests with the same settings.
    key = msgspec.json.encode(
        (settings.workflows, settings.models, settings.version, settings.object_info)
    )
    found = _learned.get(key)
    if found is None:
        from comfyrec.testing.workflow_files import with_learned

        if len(_learned) >= LEARNED_MAX:
            _learned.clear()
        found = _learned[key] = with_learned(options, settings.workflows, flag="workflow")[0]
    return replace(
        options,
        catalogue=found.catalogue,
        learned=found.learned,
        class_plans=found.class_plans,
    )


LEARNED_MAX: Final = 32
"""Sets of workflow files that are remembered."""
_learned: dict[bytes, ServerOptions] = {}


def choices_of(settings: PluginSettings) -> Sequence[Choice]:
    """The scenarios that are played; none is a replay without one.

    Raises:
        ScenarioError: an unknown scenario or parameter.
    """
    if settings.scenarios:
        return settings.scenarios
    if settings.cassette is None:
        return [choice_of(settings.scenario, settings.params)]
    if settings.params:
        unknown = ", ".join(settings.params)
        raise ScenarioError(f"a replayed cassette takes no parameters, but was given {unknown}")
    return []


def transport_for(settings: PluginSettings) -> Transport:
    """What the scenario needs of the server: TLS, a path prefix.

    Raises:
        ScenarioError: an unknown scenario or parameter.
    """
    return transport_of(choices_of(settings))


def speed_for(settings: PluginSettings) -> float:
    """The speed of virtual time; without a setting, only scenarios about waiting wait."""
    if settings.speed is not None:
        return settings.speed
    return waiting_speed(choices_of(settings))


def waiting_speed(choices: Sequence[Choice]) -> float:
    """Never wait, but in real time under a scenario that is about waiting."""
    return 1.0 if any(choice.scenario.in_real_time for choice in choices) else MAX


def replay_of(settings: PluginSettings) -> Source:
    """A player of the settings' cassette. Large bodies go from file to socket."""
    # Imported here, since most tests replay nothing.
    from comfyrec.cassette.files import find_cassette, open_cassette
    from comfyrec.cassette.files.body_file import BodyFile
    from comfyrec.timeline import Timeline
    from fake_server.replay import Player

    assert settings.cassette is not None
    with open_cassette(find_cassette(settings.cassette)) as records:
        timeline = Timeline.build(records, store=BodyFile())
    # Another text or seed is what every test has; a prompt with other nodes was not recorded, and
    # replaying the nearest one would hide that.
    return Player(
        timeline,
        seed=settings.seed,
        strict=settings.strict,
        match="structure" if settings.strict else "renumbered",
        unmatched="refuse",
        mends=(_MEND_PROMPT, _MEND_REQUEST),
        takes_stored=True,
    )


# Which record mode would help.
_MEND_PROMPT: Final = "; to add it, use --comfyui-record new_episodes --comfyui-upstream URL"
_MEND_REQUEST: Final = "; to record it, use --comfyui-record rewrite --comfyui-upstream URL"
