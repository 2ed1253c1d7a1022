"""Other users of the same server, as the client under test sees them."""

from __future__ import annotations

from fake_server.scenarios.kit import foreign_frames, some_node
from fake_server.scenarios.kit.matchers import look
from tests.support.operator_rig import played


def test_foreign_frames_are_seen_and_belong_to_no_prompt_of_the_client() -> None:
    rig = played(foreign_frames("it", lambda who: who.success(), at=some_node))

    foreign = {look(message).prompt_id for message in rig.sent} - {None, "p"}
    assert len(foreign) == 1
