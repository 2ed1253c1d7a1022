"""A recorded session, played back to live clients as if they were the recorded ones.

``Player`` is the server; ``replay_differences`` says where it does not give back what was recorded.
"""

from fake_server.replay.matching.graphs import VOLATILE
from fake_server.replay.matching.intake import MATCHED
from fake_server.replay.player import Match, Player
from fake_server.replay.rewrite_response import MARK
from fake_server.replay.self_check import replay_differences

__all__ = ["MARK", "MATCHED", "VOLATILE", "Match", "Player", "replay_differences"]
