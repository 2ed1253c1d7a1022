"""Put a client through the scenario catalogue and say what it did well and what not.

``play`` gives a fresh server for one scenario; ``Playing.conclude`` judges what a client reported.
``runner`` does both for a command, once per scenario.
"""

from comfyrec.check.play import Playing, play
from comfyrec.check.report import report_of
from comfyrec.check.result import ScenarioResult, Summary, summary_of

__all__ = ["Playing", "ScenarioResult", "Summary", "play", "report_of", "summary_of"]
