"""Everything is cached and over before the socket is open: one `status`, then nothing more."""

from __future__ import annotations

from fake_server.scenarios.kit import (
    Directions,
    FrameView,
    Parameters,
    Scenario,
    drop,
    prerun,
    threads,
)


def direct(settings: Parameters) -> Directions:
    def of_the_run(frame: FrameView) -> bool:
        return frame.type != "status" or "sid" not in frame.data

    return Directions(operators=(drop(of_the_run, "all frames of the run"), prerun()))


SCENARIO = Scenario(
    name="all-cached-late-connect",
    row="A12",
    category="caching",
    summary=__doc__,
    correct="connects first, and asks the history when nothing comes",
    keeps=("K2", "K7"),
    evidence=threads("measured"),
    direct=direct,
)
