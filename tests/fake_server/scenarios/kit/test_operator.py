"""What operators complain of at the end."""

from __future__ import annotations

from fake_server.scenarios.kit import HISTORY, drop, event, hang
from tests.support.operator_rig import OperatorRig, played


def test_an_operator_that_matched_nothing_complains() -> None:
    rig = played(drop(event("execution_error"), "errors"))

    (complaint,) = rig.stage.finish()

    assert str(complaint) == "the operator 'drop errors' matched nothing that was sent or asked"


def test_what_a_client_may_leave_undone_is_named_only_when_nothing_else_happened() -> None:
    lonely, busy = (
        OperatorRig(hang(HISTORY, "it")),
        played(hang(HISTORY, "it"), drop(event("status"), "s")),
    )

    assert [str(one) for one in lonely.stage.finish()] == ["the client never came to 'hang it'"]
    assert busy.stage.finish() == []
