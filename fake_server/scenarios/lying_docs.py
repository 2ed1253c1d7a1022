"""What older documentation promises: `execution_complete`, and queue rows that are objects."""

from __future__ import annotations

from typing import Any

from fake_server.scenarios.kit import (
    Directions,
    FrameView,
    Observer,
    Operator,
    Parameters,
    Scenario,
    any_of,
    drop,
    dump,
    event,
    inject,
    no_node,
    patch_queue,
    threads,
)


class LyingDocsParameters(Parameters, frozen=True, kw_only=True):
    """Which of them apply."""

    execution_complete: bool = True
    object_rows: bool = True


def direct(settings: LyingDocsParameters) -> Directions:
    def alias(frame: FrameView, observer: Observer) -> list[str]:
        return [dump("execution_complete", dict(frame.data))]

    def rows(value: dict[str, Any], observer: Observer) -> dict[str, Any]:
        return {
            name: [{"number": row[0], "prompt_id": row[1], "prompt": row[2]} for row in rows]
            for name, rows in value.items()
        }

    success = event("execution_success")
    operators: list[Operator] = []
    if settings.execution_complete:
        operators.append(drop(any_of(success, no_node), "the real ends"))
        operators.append(inject(alias, "execution_complete", at=success))
    if settings.object_rows:
        operators.append(patch_queue("rows as objects", rows))
    return Directions(operators=tuple(operators))


SCENARIO = Scenario(
    name="lying-docs",
    row="A107",
    category="drift",
    summary=__doc__,
    correct="may accept the old names, and relies on the history",
    keeps=("K1", "K2"),
    evidence=threads("the workflow executor's API page", "CU#12483"),
    settings=LyingDocsParameters,
    direct=direct,
)
