"""What ``serve`` writes down itself, so that it starts without the player."""

from __future__ import annotations

from typing import get_args

from comfyrec.cli.serve import MATCHES, UNMATCHED
from fake_server.replay.matching.prompt_matcher import Unmatched
from fake_server.replay.player import Match


def test_the_choices_are_those_of_the_player() -> None:
    assert get_args(Match) == MATCHES
    assert get_args(Unmatched) == UNMATCHED
