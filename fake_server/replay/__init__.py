"""A recorded session, played back to live clients as if they were the recorded ones.

``Player`` is the server; ``replay_differences`` says where it does not give back what was recorded.
"""

from fake_server.replay.matching.prompt_matcher import MATCHED
from fake_server.replay.matching.shape import VOLATILE
from fake_server.replay.player import Match, Player
from fake_server.replay.rewrite_response import SYNTHESIZED
from fake_server.replay.self_check import replay_differences

__all__ = ["MATCHED", "SYNTHESIZED", "VOLATILE", "Match", "Player", "replay_differences"]
