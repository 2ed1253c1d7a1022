"""Whether a client still fails as it did, on what a cut leaves of a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from comfyrec.check.advice import cause_of
from comfyrec.check.causes.parts import Cut, Parts
from comfyrec.check.causes.reference_client import reference_result
from comfyrec.check.causes.shrink import Spent
from comfyrec.check.causes.trials import Trial, Trials, why
from comfyrec.check.recorded import ending_recorded, scenario_of
from comfyrec.check.result import ScenarioResult
from comfyrec.check.runner import CheckOptions
from comfyrec.errors import ScenarioError, UsageError
from comfyrec.timeline import Timeline
from fake_server.scenarios import Choice
from fake_server.scenarios.kit.observer import Ending
from fake_server.server.clock import MAX

__all__ = ["Failing", "NeverFails"]

ALIVE_TIMES: Final = 4
HUNG_S_MIN: Final = 2.0
"""A client that was silent from its first second on is not waited for much longer than that."""


_PLACED: Final = "write {url} where its command takes the address"


class NeverFails(Exception):
    """There is nothing to shrink; the text says why, and what to do."""


class Failing:
    """Runs the client on cuts of a recording; call it with some.

    Args:
        parts: the recording.
        trials: run the client.
        argv: the client's command.
        choice: the scenario that the recording is of; its truth counts.
        where: what errors call the recording.
        timeout_s: per run.
        seed: of the replay.
        lines: the command lives on and takes jobs.
        runs_max: then ``Spent`` is raised.
        on_tried: is told of each cut: what is left of it, and whether the client failed.
    """

    def __init__(
        self,
        parts: Parts,
        trials: Trials,
        argv: tuple[str, ...],
        *,
        choice: Choice | None = None,
        where: str = "the recording",
        timeout_s: float,
        seed: int = 0,
        lines: bool = False,
        runs_max: int = 60,
        on_tried: Callable[[str, bool], None] = lambda left, failed: None,
    ) -> None:
        self._parts, self._trials, self._choice = parts, trials, choice
        self._options = CheckOptions(
            argv=argv, timeout_s=timeout_s, seed=seed, speed=MAX, lines=lines
        )
        self._runs_max, self._on_tried = runs_max, on_tried
        self._known: dict[Cut, bool] = {}
        self.best = Cut()
        self.why = ""
        """What the client does wrong, a sentence without its period."""
        self._way: tuple[str, ...] = ()
        self.hangs = False
        self.guarded = True
        """A correct client passes on the whole, so it has to pass on what is left."""
        self.truth: tuple[Ending, ...] = (
            choice.scenario.truth if choice else (ending_recorded(parts.timeline, where),)
        )

    def begin(self) -> None:
        """Run the client on the whole recording.

        Raises:
            NeverFails: it passes.
            UsageError: it never contacts the server.
            ScenarioError: the recording cannot be replayed.
        """
        whole = self._choice_of(Cut())
        self.guarded = reference_result(whole).status == "pass"
        result = self._whole_result(whole)
        if result.traffic.attempts == 0:
            place = "let it take the url of each job" if self._options.lines else _PLACED
            raise UsageError(f"the client never contacted the server; {place}")
        if not why(result):
            if self._choice is not None:
                raise NeverFails(
                    "the client passes, or what makes it fail is not in what was recorded of the "
                    "run, but in how the server behaves; 'comfyrec check --scenarios "
                    f"{self._choice.title}' shows which"
                )
            raise NeverFails(
                "the client passes when it is replayed; if it fails only sometimes, "
                "give --repeat 1-of-5"
            )
        cause = cause_of(result)
        self.why, self._way, self.hangs = cause.sentence, _way(result), result.ended == "hung"
        if self.hangs:
            alive = result.took_s - result.traffic.quiet_s
            limit = max(HUNG_S_MIN, ALIVE_TIMES * alive)
            self._options = msgspec.structs.replace(
                self._options, timeout_s=min(self._options.timeout_s, limit)
            )
        self._known[Cut()] = True

    def _whole_result(self, whole: Choice) -> ScenarioResult:
        (result,) = self._trials.results([Trial(whole, self._options)])
        timeline = self._parts.timeline
        takes_s = (timeline.t_end - timeline.t) / 1_000_000
        if why(result) or takes_s > self._options.timeout_s / 2:
            return result
        # As fast as the wire it may have no time to go wrong.
        slow = msgspec.structs.replace(self._options, speed=1.0)
        (result,) = self._trials.results([Trial(whole, slow)])
        if why(result):
            self._options = slow
        return result

    def __call__(self, cuts: Sequence[Cut]) -> int | None:
        """The number of the first cut on which the client fails as on the whole.

        Raises:
            Spent: there were enough runs.
        """
        for first in range(0, len(cuts), self._trials.jobs):
            some = cuts[first : first + self._trials.jobs]
            failing = self._tried(some)
            for number, cut in enumerate(some):
                if failing.get(cut):
                    self.best = cut
                    return first + number
        return None

    def _tried(self, cuts: Sequence[Cut]) -> dict[Cut, bool]:
        asked: dict[Cut, Choice] = {}
        for cut in dict.fromkeys(cuts):
            if cut in self._known:
                continue
            choice = self._fit(cut)
            if choice is None:
                self._known[cut] = False
            else:
                asked[cut] = choice
        room = self._runs_max - self._trials.runs
        if asked and room <= 0:
            raise Spent
        fewer = dict(list(asked.items())[:room])
        results = self._trials.results([Trial(choice, self._options) for choice in fewer.values()])
        for cut, result in zip(fewer, results, strict=True):
            failed = _way(result) == self._way and self._can_be_passed(fewer[cut])
            self._known[cut] = failed
            self._on_tried(self._in_words(cut), failed)
        return {cut: self._known.get(cut, False) for cut in cuts}

    def _fit(self, cut: Cut) -> Choice | None:
        """The cut as a scenario; None if no client could be judged by it."""
        try:
            return self._choice_of(cut)
        except ScenarioError:
            return None

    def _can_be_passed(self, choice: Choice) -> bool:
        return not self.guarded or reference_result(choice).status == "pass"

    def _choice_of(self, cut: Cut) -> Choice:
        timeline = Timeline.build(self._parts.records(cut))
        if self._choice is None and ending_recorded(timeline) not in self.truth:
            raise ScenarioError("the recording tells of another end")
        keeps = self._choice.scenario.keeps if self._choice else ("K5", "K6")
        scenario = scenario_of(timeline, name="recording", truth=self.truth, keeps=keeps)
        return Choice(scenario, scenario.settings())

    def _in_words(self, cut: Cut) -> str:
        exchanges, messages = self._parts.left(cut)
        return f"{len(exchanges)} exchanges, {len(messages)} messages"

    def story(self, cut: Cut, messages: int) -> Iterator[str]:
        """What that means, some sentences."""
        yield f"The client fails as on the whole: {self.why}."
        if self.guarded:
            yield f"A correct client passes: it reports {' or '.join(self.truth)}."
        else:
            yield "Our own client fails on the whole as well: the recording may ask for too much."
        if messages == 0:
            yield "No message is needed for that: it is in the answers, or in what never came."
        elif self.hangs:
            yield (
                "The messages that end the prompt were kept: without them the client would hang "
                "for another reason."
            )
        if not cut.at_once:
            yield "It needs the delays of the recording."


def _way(result: ScenarioResult) -> tuple[str, ...]:
    """In which way the client failed; empty if it did not.

    A client that takes something for the end may be too early, or right by chance and without its
    outputs: that is the same way, and a matter of moments.
    """
    if result.status != "fail":
        return ()
    if result.crash or result.ended == "hung":
        return cause_of(result).key
    return ("reports", str(result.outcome))
