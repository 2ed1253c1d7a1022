"""Text frames that are not events at all."""

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
    "not json": "<html>502 Bad Gateway</html>",
    "array": '[{"type": "status"}]',
    "no type": '{"data": {"node": null}}',
    "number": "42",
    "empty": "",
}


class BadFrameParameters(Parameters, frozen=True, kw_only=True):
    """Which of them."""

    bad: tuple[Annotated[str, one_of(MESSAGES)], ...] = tuple(MESSAGES)


def direct(settings: BadFrameParameters) -> Directions:
    messages = [MESSAGES[kind] for kind in settings.bad]
    return Directions(operators=(inject(messages, "what is not an event", at=some_node),))


SCENARIO = Scenario(
    name="bad-frame",
    row="A101",
    category="drift",
    summary=__doc__,
    correct="skips them, and carries on",
    keeps=("K6",),
    evidence=threads("comfy-cli's code comments on proxies"),
    settings=BadFrameParameters,
    direct=direct,
    shows_on=("cloud",),
)
