"""What is known of a prompt that is over."""

from __future__ import annotations

import pytest

from comfyrec.client.result import Outcome, Result
from comfyrec.errors import RunFailed


def test_a_missing_output_is_named_with_those_that_are_there():
    result = Result(prompt_id="p", outcome=Outcome.SUCCESS, outputs={"9": {"text": ["x"]}})

    assert result.output("9") == {"text": ["x"]}
    with pytest.raises(KeyError, match="node 3 has no output; nodes that have: 9"):
        result.output("3")


def test_a_result_that_is_not_a_success_can_be_raised():
    result = Result(prompt_id="p", outcome=Outcome.LOST, reason="gone")

    with pytest.raises(RunFailed, match="prompt p: lost: gone"):
        result.expect_success()
