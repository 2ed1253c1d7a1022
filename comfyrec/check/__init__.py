"""Run a client through the scenarios and report what it gets right and what it gets wrong.

``play`` gives a fresh server for one scenario; ``Playing.conclude`` judges what a client reported.
``runner`` does both for a command, once per scenario.
"""

from comfyrec.check.client_report import report_of
from comfyrec.check.play import Playing, play
from comfyrec.check.result import ScenarioResult, Summary, summary_of

__all__ = ["Playing", "ScenarioResult", "Summary", "play", "report_of", "summary_of"]
