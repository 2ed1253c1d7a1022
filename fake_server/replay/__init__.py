"""A recorded session, played back to live clients as if they were the recorded ones.

``Player`` is the server; ``proves_itself`` shows that it gives back what was recorded.
"""

from fake_server.replay.graphs import VOLATILE
from fake_server.replay.intake import MATCHED
from fake_server.replay.player import Match, Player
from fake_server.replay.proof import proves_itself
from fake_server.replay.reprint import MARK

__all__ = ["MARK", "MATCHED", "VOLATILE", "Match", "Player", "proves_itself"]
