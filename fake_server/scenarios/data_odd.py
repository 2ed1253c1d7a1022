"""Events whose `data` is null, a list, a string, or missing."""

from __future__ import annotations

from typing import Annotated

from fake_server.scenarios.kit import (
    Directions,
    Parameters,
    Scenario,
    inject,
    one_of,
    some_node,
    threads,
)

MESSAGES = {
    "null": ['{"type": "executing", "data": null}', '{"type": "status", "data": null}'],
    "list": ['{"type": "executed", "data": []}', '{"type": "execution_error", "data": [1, 2]}'],
    "string": ['{"type": "progress", "data": "half"}', '{"type": "status", "data": "fine"}'],
    "missing": ['{"type": "executing"}', '{"type": "execution_success"}'],
}


class DataOddParameters(Parameters, frozen=True, kw_only=True):
    """Which of them."""

    data: tuple[Annotated[str, one_of(MESSAGES)], ...] = tuple(MESSAGES)


def direct(settings: DataOddParameters) -> Directions:
    messages = [message for kind in settings.data for message in MESSAGES[kind]]
    return Directions(operators=(inject(messages, "odd data", at=some_node),))


SCENARIO = Scenario(
    name="data-odd",
    row="A100",
    category="drift",
    summary=__doc__,
    correct="skips them, and carries on",
    keeps=("K4", "K6"),
    evidence=threads("comfy-cli's and comfyui-autoflow's code guards against it"),
    settings=DataOddParameters,
    direct=direct,
    shows_on=("cloud",),
)
