"""Settings of a test -> what its server does: a scenario over the engine, or a cassette."""

from __future__ import annotations

from typing import Any

from comfyrec.errors import ScenarioError
from comfyrec.testing.settings import PluginSettings
from comfyrec.versions import era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.scenario_source import chosen, scenario_source, transport_of
from fake_server.scenarios.kit.scenario import Transport
from fake_server.server.clock import MAX
from fake_server.source import Source

__all__ = ["make_source", "pace_of", "shell_around"]


def make_source(settings: PluginSettings) -> Source:
    """A fresh source, as if the server had just been started.

    Raises:
        ScenarioError: an unknown scenario, parameter or version, or a catalogue of no use.
        CassetteError: the cassette cannot be found or read.
    """
    if settings.cassette is not None:
        if settings.params:
            unknown = ", ".join(settings.params)
            raise ScenarioError(f"a replayed cassette takes no parameters, but was given {unknown}")
        return replay_of(settings)
    choice = chosen(settings.scenario, settings.params)
    options: dict[str, Any] = {"seed": settings.seed}
    if settings.version is not None:
        options["era"] = era_of(settings.version)
    if settings.object_info is not None:
        options["catalogue"] = Catalogue.from_object_info(settings.object_info)
    return scenario_source([choice], ServerOptions(**options))


def shell_around(settings: PluginSettings) -> Transport:
    """What the scenario needs besides frames: TLS, a path in front.

    Raises:
        ScenarioError: an unknown scenario or parameter.
    """
    if settings.cassette is not None:
        return Transport()
    return transport_of([chosen(settings.scenario, settings.params)])


def pace_of(settings: PluginSettings) -> float:
    """How fast virtual time goes; unless told, only scenarios that are about waiting wait."""
    if settings.speed is not None:
        return settings.speed
    if settings.cassette is not None:
        return MAX
    choice = chosen(settings.scenario, settings.params)
    return 1.0 if choice.scenario.in_real_time else MAX


def replay_of(settings: PluginSettings) -> Source:
    """A player of the settings' cassette."""
    # Most tests make things up and never pay for importing these.
    from comfyrec.cassette.files import find_cassette, open_cassette
    from comfyrec.timeline import Timeline
    from fake_server.replay import Player

    assert settings.cassette is not None
    with open_cassette(find_cassette(settings.cassette)) as records:
        timeline = Timeline.build(records)
    # A prompt that was not recorded is refused; replaying another one would hide a change.
    return Player(
        timeline,
        seed=settings.seed,
        strict=settings.strict,
        match="structure",
        unmatched="refuse",
    )
