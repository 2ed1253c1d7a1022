"""timeline -> the options of a server that has the node classes and files of the recorded one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from comfyrec.errors import ComfyrecError, WorkflowError
from comfyrec.timeline import Timeline
from comfyrec.versions import era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.replay.recorded.node_classes import node_classes_of

__all__ = ["recorded_options", "with_recorded_graphs"]


def recorded_options(timeline: Timeline, more: Catalogue | None = None) -> ServerOptions:
    """The version and the node classes of the recorded server.

    Args:
        timeline: the recording.
        more: classes that it has as well, in the place of those of its version.
    """
    era = era_of(timeline.comfyui_version)
    return ServerOptions(era=era, catalogue=node_classes_of(timeline, era, more).catalogue())


def with_recorded_graphs(options: ServerOptions, timeline: Timeline) -> ServerOptions:
    """The same with what the recorded graphs name: the server that took them has these files."""
    # Few replays simulate; the others start without reading how a server learns.
    from fake_server.simulator.learning import Learner

    learner = Learner(options.node_classes, options.era)
    graphs: dict[bytes, Mapping[str, Any]] = {
        msgspec.json.encode(prompt.graph): prompt.graph
        for prompt in timeline.prompts
        if prompt.graph
    }
    for graph in graphs.values():
        try:
            learner.add_prompt(graph, "the recording")
        except WorkflowError:  # a recording may hold anything
            continue
    try:
        learned = learner.learned()
    except ComfyrecError:  # and so may an object_info in it
        return options
    return msgspec.structs.replace(
        options,
        catalogue=learned.added_to(options.node_classes),
        learned=options.learned.with_more(learned),
    )
