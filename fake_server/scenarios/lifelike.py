"""Nothing goes wrong, and nodes take about as long as they would: steps, previews, pauses."""

from __future__ import annotations

from typing import Final

from fake_server.scenarios.kit import Directions, Parameters, Scenario, threads

# Of 60 clients that asked a real server for the history at once, 12 got an empty one; a wholly
# cached run took 1.5 ms there from the answer to the closing frame.
PACE: Final = {
    "lifelike": True, "history_delay_us": 2_000, "history_delay_every": 5, "worker_delay_us": 800,
}  # fmt: skip


def direct(settings: Parameters) -> Directions:
    return Directions(engine=PACE)


SCENARIO = Scenario(
    name="lifelike",
    category="normal",
    summary=__doc__,
    correct="reports success, with the outputs of the history entry",
    keeps=("K5", "K7"),
    evidence=threads("measured: the order of frames of a normal run"),
    direct=direct,
    shows_on=("v2", "cloud"),
)
