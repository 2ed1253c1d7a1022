"""Two prompts under one client id: their frames alternate, and the other one ends first."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fake_server.scenarios.kit import (
    Directions,
    Operator,
    OtherUser,
    Parameters,
    Scenario,
    event,
    foreign_prompt,
    slow,
    some_node,
    threads,
)


class InterleavedPromptsParameters(Parameters, frozen=True, kw_only=True):
    """How many prompts in all; ``same_client`` false: the others' ends are not heard."""

    n: Annotated[int, msgspec.Meta(ge=2, le=50)] = 2
    same_client: bool = True


def direct(settings: InterleavedPromptsParameters) -> Directions:
    def ends(who: OtherUser) -> list[str]:
        return [*who.output(), *who.success()] if settings.same_client else who.work()

    operators: list[Operator] = []
    for number in range(1, settings.n):
        acts = ((event("execution_start"), OtherUser.start), (some_node, ends))
        operators += foreign_prompt(f"prompt {number + 1}", *acts)
    return Directions(operators=tuple(operators), plan=slow(0.05))


SCENARIO = Scenario(
    name="interleaved-prompts",
    row="A31",
    category="ordering",
    summary=__doc__,
    correct="keeps a record for each prompt_id",
    keeps=("K4", "K5"),
    evidence=threads("OW#23592"),
    settings=InterleavedPromptsParameters,
    direct=direct,
)
