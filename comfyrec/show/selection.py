"""Which moments a person wants to see: the filters of ``show`` and ``cat``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from comfyrec.errors import UsageError
from comfyrec.events.schema import KNOWN
from comfyrec.timeline import RecordedPrompt, Timeline
from comfyrec.timeline.moments import Moment
from comfyrec.timeline.node_runs import class_of
from comfyrec.wording import did_you_mean, joined, nearest, plural, shortened_list

__all__ = ["Selection", "microseconds"]

LISTED_MAX: Final = 8
TYPES_LISTED_MAX: Final = 20
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|min|h|)")
_UNIT_US: Final = {
    "us": 1, "ms": 1_000, "s": 1_000_000, "": 1_000_000, "m": 60_000_000, "min": 60_000_000,
    "h": 3_600_000_000,
}  # fmt: skip


def microseconds(text: str, flag: str) -> int:
    """A time since the first record: ``2.5``, ``2.5s``, ``800ms``, ``3min``.

    Raises:
        UsageError: it is not a time.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{flag} {text!r} is not a time since the start; write it as 2.5s, 800ms or 3min"
        )
    return round(float(found[1]) * _UNIT_US[found[2]])


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Filters; all that are given have to fit, and of several values of one filter any."""

    prompts: tuple[str, ...] = ()
    """Ids or beginnings of ids; or ``#2``, counted from 1."""
    connections: tuple[str, ...] = ()
    """Numbers of connections, or names of clients."""
    types: tuple[str, ...] = ()
    """Event types, HTTP methods, statuses or kinds; ``*`` and ``?`` stand for any letters."""
    nodes: tuple[str, ...] = ()
    """Node ids or classes."""
    since_us: int | None = None
    until_us: int | None = None
    grep: re.Pattern[str] | None = None
    """Searched in what is said of the moment."""

    @property
    def everything(self) -> bool:
        """No filter was given."""
        return self == Selection()

    @property
    def finely(self) -> bool:
        """Whether single frames are asked for, so that none may be left out for brevity."""
        return bool(self.types or self.nodes or self.grep)

    def of(self, moments: list[Moment], timeline: Timeline) -> list[Moment]:
        """The moments that fit.

        Raises:
            UsageError: a filter names a prompt or connection that is not in the recording.
        """
        if self.everything:
            return moments
        prompts, conns = self._prompts(timeline), self._conns(timeline)
        recorded = dict(enumerate(timeline.all_prompts))
        return [
            moment
            for moment in moments
            if (prompts is None or moment.prompt in prompts)
            and (conns is None or moment.conn in conns)
            and self._fits(moment, recorded)
        ]

    def check(self, moments: list[Moment], timeline: Timeline) -> None:
        """Refuse what was most likely meant to be something else in a recording that is whole.

        An event that ComfyUI knows may well be absent: that is an answer.

        Raises:
            UsageError: a type that is all but a known one, or a node that is in no prompt.
        """
        types = {said for moment in moments for said in (moment.type, moment.kind)}
        for wanted in self.types:
            if any(fnmatchcase(said, wanted) for said in types) or wanted in KNOWN:
                continue
            meant = nearest(wanted, [*types, *KNOWN])
            if meant is not None:
                raise UsageError(f"--type {wanted} fits nothing here; did you mean '{meant}'?")
        nodes = {moment.node for moment in moments if moment.node is not None}
        for prompt in timeline.all_prompts:
            nodes |= {*prompt.graph, *(class_of(prompt, node) for node in prompt.graph)}
        for wanted in self.nodes:
            if wanted not in nodes:
                listed = ", ".join(shortened_list(sorted(nodes - {""}), LISTED_MAX)) or "no nodes"
                hint = did_you_mean(wanted, sorted(nodes), otherwise=f"there are {listed}")
                raise UsageError(
                    f"--node {wanted} is neither the id nor the class of a node; {hint}"
                )

    def nothing_fits(self, moments: Sequence[Moment]) -> str:
        """What to say where nothing in a whole recording fits: what was looked for, and what there
        is.

        Args:
            moments: all of the recording.
        """
        last_s = max((moment.t_us for moment in moments), default=0) / 1e6
        has = f"{plural(len(moments), 'moment')} in {last_s:.3f} s"
        if self.types:
            there = sorted({moment.type for moment in moments if moment.type})
            has += f", of the types {', '.join(shortened_list(there, TYPES_LISTED_MAX))}"
        return f"nothing fits {self.in_words()}; the recording has {has}"

    def in_words(self) -> str:
        """The filters as flags."""
        words = [
            *(f"--prompt {one}" for one in self.prompts),
            *(f"--connection {one}" for one in self.connections),
            *(f"--type {one}" for one in self.types),
            *(f"--node {one}" for one in self.nodes),
        ]
        if self.since_us is not None:
            words.append(f"--since {self.since_us / 1e6:g}s")
        if self.until_us is not None:
            words.append(f"--until {self.until_us / 1e6:g}s")
        if self.grep is not None:
            words.append(f"--grep {self.grep.pattern}")
        return joined(words, "and")

    def admits(
        self, moment: Moment, prompts: Mapping[int, RecordedPrompt], names: Collection[str]
    ) -> bool:
        """Whether a moment of a recording that grows fits.

        Args:
            moment: the moment.
            prompts: those that are known by now.
            names: of the client at its socket.
        """
        if self.prompts:
            prompt = None if moment.prompt is None else prompts.get(moment.prompt)
            if prompt is None or not any(_named(prompt, wanted) for wanted in self.prompts):
                return False
        if self.connections and not {str(moment.conn), *names} & set(self.connections):
            return False
        return self._fits(moment, prompts)

    def _fits(self, moment: Moment, prompts: Mapping[int, RecordedPrompt]) -> bool:
        if self.since_us is not None and moment.t_us < self.since_us:
            return False
        if self.until_us is not None and moment.t_us > self.until_us:
            return False
        if self.types and not any(
            fnmatchcase(said, wanted)
            for wanted in self.types
            for said in (moment.type, moment.kind)
        ):
            return False
        if self.nodes and not self._at_a_node(moment, prompts):
            return False
        return self.grep is None or self.grep.search(f"{moment.type} {moment.words}") is not None

    def _at_a_node(self, moment: Moment, prompts: Mapping[int, RecordedPrompt]) -> bool:
        if moment.node is None:
            return False
        known = {moment.node}
        prompt = None if moment.prompt is None else prompts.get(moment.prompt)
        if prompt is not None:
            known.add(class_of(prompt, moment.node))
        return not known.isdisjoint(self.nodes)

    def _prompts(self, timeline: Timeline) -> set[int] | None:
        if not self.prompts:
            return None
        found = {
            prompt.number
            for prompt in timeline.all_prompts
            for wanted in self.prompts
            if _named(prompt, wanted)
        }
        if not found:
            raise UsageError(
                f"--prompt {self.prompts[0]} fits none: the recording has "
                f"{plural(len(timeline.all_prompts), 'prompt')}; leave it out to see their ids"
            )
        return found

    def _conns(self, timeline: Timeline) -> set[int] | None:
        if not self.connections:
            return None
        wanted = set(self.connections)
        found = {e.conn for e in timeline.exchanges if str(e.conn) in wanted}
        found |= {s.conn for s in timeline.sockets if {s.name, s.client_id, str(s.conn)} & wanted}
        if not found:
            names = ", ".join(sorted({s.name for s in timeline.sockets})[:5])
            raise UsageError(
                f"--connection {self.connections[0]} is neither the number of a connection nor "
                f"the name of a client; there are: {names or 'no sockets'}"
            )
        return found


def _named(prompt: RecordedPrompt, wanted: str) -> bool:
    return prompt.prompt_id.startswith(wanted) or wanted == f"#{prompt.number + 1}"
