"""The stage: operators in a row over a source."""

from __future__ import annotations

from fake_server.scenarios.kit import Operator, drop, dump, event, inject, some_node
from tests.support.operator_rig import RUN, STATUS, played


def test_a_stage_without_operators_is_the_source_itself() -> None:
    assert played().sent == [STATUS, *RUN]


def test_operators_stand_in_a_row_the_first_nearest_to_the_client() -> None:
    def both() -> tuple[Operator, Operator]:
        return drop(event("x"), "x"), inject([dump("x", {})], "x", at=some_node)

    assert dump("x", {}) not in played(*both()).sent
    assert dump("x", {}) in played(*reversed(both())).sent
