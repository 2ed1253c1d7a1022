"""No event tells of the outputs; they are on the job alone."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    EVENTS,
    SPEC,
    Directions,
    Parameters,
    Scenario,
    change_events,
    read_json,
    slow,
    write_json,
)


def direct(settings: Parameters) -> Directions:
    silent = change_events(EVENTS, "output", "output", lambda block: b"")
    bare = change_events(EVENTS, "status", "status", _without_outputs)
    return Directions(operators=(silent, bare), plan=slow(0.3))


def _without_outputs(block: bytes) -> bytes:
    value = read_json(block.partition(b"data: ")[2])
    if not isinstance(value, dict):
        return block
    value.pop("outputs", None)
    return b"event: status\ndata: " + write_json(value) + b"\n\n"


SCENARIO = Scenario(
    name="v2-output-late",
    row="V13",
    category="v2",
    summary=__doc__,
    correct="takes the outputs from the job",
    keeps=("K1", "K5"),
    evidence=(SPEC,),
    direct=direct,
    in_real_time=True,
    surface="v2",
)
