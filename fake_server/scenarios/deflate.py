"""Messages are compressed for a client that offered permessage-deflate."""

from __future__ import annotations

from fake_server.scenarios.kit import Directions, Scenario, Settings, patch_outputs, threads


def direct(settings: Settings) -> Directions:
    note = {"text": ["easily compressed " * 400]}
    return Directions(
        operators=tuple(patch_outputs("much text", lambda node, out: {**out, **note}))
    )


SCENARIO = Scenario(
    name="deflate",
    row="A51",
    category="binary",
    summary=__doc__,
    correct="offers only what it can undo",
    keeps=("K5", "K6"),
    evidence=threads("measured: the server negotiates it"),
    direct=direct,
)
