"""One scenario on a fresh server, and the judgment of what a client reported about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from comfyrec.check.case import Case, Limits, Report, Truth
from comfyrec.check.result import ScenarioResult, result_of
from comfyrec.check.story import Noted, story_of
from comfyrec.check.traffic import traffic_of
from comfyrec.errors import ScenarioError, UsageError
from comfyrec.events.outputs import all_files_in
from fake_server.options import ServerOptions
from fake_server.scenario_source import scenario_source, transport_of
from fake_server.scenarios import Choice, Stage
from fake_server.scenarios.kit import PLAIN
from fake_server.scenarios.kit.observer import JOURNAL_ENTRIES_MAX, Ending, JournalNote
from fake_server.scenarios.kit.requests import read_json
from fake_server.server import hidden
from fake_server.server.clock import MAX
from fake_server.server.thread import Handle, LoopThread, serve
from fake_server.source import Action, Happened, Request, Response, Source, Wrapper
from fake_server.storage.pictures import picture
from fake_server.surfaces.registry import NATIVE
from fake_server.surfaces.surface import Front

__all__ = ["IMAGES", "SECRET", "Playing", "play"]

IMAGES: Final = {"check_input.png": picture(width=8, height=8, seed=1)}
"""Files that workflows of the catalogue load, to be uploaded by the client."""
SECRET: Final = "comfyrec-secret-4f1d0c"
"""A key that clients under test are given; nothing that they print may contain it."""


class _Stamped:
    """A stage, and the real time of each entry of its journal."""

    def __init__(self, stage: Stage, clock: Callable[[], float]) -> None:
        self.stage, self.clock = stage, clock
        self.seconds: list[float] = []

    def stamp(self) -> None:
        missing = min(self.stage.observer.notes, JOURNAL_ENTRIES_MAX) - len(self.seconds)
        if missing > 0:
            self.seconds += [self.clock()] * missing

    def noted(self) -> list[Noted]:
        """The journal with its seconds."""
        return list(zip(self.seconds, self.stage.observer.journal, strict=False))

    def seconds_of(self, what: str) -> Iterator[float]:
        """When the journal says so, on the clock of the reports."""
        for second, note in self.noted():
            if note.what == what:
                yield second


class _Watched(Wrapper):
    """A stage that notes the real time of each entry of its journal.

    Attributes:
        met: the stage that the client meets.
        behind: the one where its prompts run; the same, unless a surface stands between them.
    """

    def __init__(self, stage: Stage, clock: Callable[[], float]) -> None:
        super().__init__(stage)
        self.met = self.behind = _Stamped(stage, clock)
        front = stage.source
        if isinstance(front, Front):
            assert isinstance(front.inner, Stage)
            self.behind = _Stamped(front.inner, clock)

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """As the stage's."""
        for action in self.inner.handle(happened, now):
            self._stamp()
            yield action
        self._stamp()

    def _stamp(self) -> None:
        self.met.stamp()
        self.behind.stamp()


class Playing:
    """A running scenario: addresses for the client, and the judgment when it is done."""

    def __init__(self, choice: Choice, watched: _Watched, handle: Handle) -> None:
        self.choice, self._watched = choice, watched
        self._call = handle.call
        self.host, self.port = handle.host, handle.port
        self.url, self.ws_url = handle.url.rstrip("/"), handle.ws_url.rstrip("/")

    @property
    def workflow(self) -> Mapping[str, Any]:
        """The prompt that the client is to run."""
        return self.choice.scenario.workflow or PLAIN

    def conclude(
        self, report: Report, *, took_s: float = 0.0, limits: Limits | None = None
    ) -> ScenarioResult:
        """Judge what the client reported. The run is over after this."""
        return self._call(self._conclude, report, took_s, limits or Limits())

    def _conclude(self, report: Report, took_s: float, limits: Limits) -> ScenarioResult:
        met, behind = self._watched.met, self._watched.behind
        until_s = met.clock()
        complaints = met.stage.finish()
        if behind is not met and not behind.stage.is_bare:
            complaints += behind.stage.finish()
        case = Case(
            scenario=self.choice.scenario,
            report=report,
            truth=self._truth(met.stage, behind),
            traffic=traffic_of(met.stage.observer.journal, met.seconds, until_s=until_s),
            limits=limits,
        )
        result = result_of(case, self.choice.title, complaints, took_s=took_s)
        if result.fine:
            return result
        story = story_of(_noted(met, behind), report, until_s=until_s)
        return msgspec.structs.replace(result, story=story)

    def _truth(self, met: Stage, behind: _Stamped) -> Truth:
        stage = behind.stage
        mine = stage.observer.mine()
        ended_s = list(behind.seconds_of("ended"))
        prompt = mine[-1] if mine else None
        outputs = _outputs(stage, prompt.id) if prompt and prompt.ending == "success" else None
        views = list(_views(stage, outputs or {}))
        return Truth(
            ending=prompt.ending if prompt else _refused(stage),
            at_s=ended_s[-1] if ended_s else None,
            flooded_s=next(behind.seconds_of("flooded"), None),
            prompt_id=prompt.id if prompt else None,
            reached=_let_in(met),
            ends_of_others=_ends_of_others(stage) if met is stage else None,
            unfinished=prompt is not None and prompt.ending is None,
            outputs=outputs,
            by_name=met is not stage,
            contents=tuple(content for content, _ in views),
            obtainable=all(can_be_had for _, can_be_had in views),
            secret=str(getattr(self.choice.settings, "token", SECRET)),
        )


def _ends_of_others(stage: Stage) -> frozenset[str]:
    mine = {prompt.id for prompt in stage.observer.mine()}
    return frozenset(how for name, how in stage.observer.ends_told.items() if name not in mine)


def _noted(met: _Stamped, behind: _Stamped) -> list[Noted]:
    """What the client met, without secrets, and how its prompts ended behind that."""
    noted = [(second, _without_secrets(note)) for second, note in met.noted()]
    if behind is met:
        return noted
    ends = [one for one in behind.noted() if one[1].what == "ended"]
    return sorted([*noted, *ends], key=lambda one: one[0])


def _without_secrets(note: JournalNote) -> JournalNote:
    if note.what == "asked":
        method, _, target = note.detail.partition(" ")
        return msgspec.structs.replace(note, detail=f"{method} {hidden.target(target)}")
    if note.what == "said":
        said = hidden.body(note.detail.encode("utf-8", "replace")).decode("utf-8", "replace")
        return msgspec.structs.replace(note, detail=said)
    return note


def _refused(stage: Stage) -> Ending | None:
    """A prompt that was turned away never gets into the list of prompts."""
    refused = any(note.what == "ended" for note in stage.observer.journal)
    return "rejected" if refused else None


def _let_in(stage: Stage) -> bool:
    """Something was answered, by more than a proxy's or a starting server's 5xx."""
    return any(
        note.what == "accepted" or (note.what == "answered" and not note.detail.startswith("5"))
        for note in stage.observer.journal
    )


def _outputs(stage: Stage, prompt_id: str) -> Mapping[str, Any] | None:
    """The outputs as a client is shown them; the source's own where it is shown nothing.

    Asked a few times, because some operators let the first requests fail.
    """
    request = Request("GET", f"/history/{prompt_id}")
    for _ in range(3):
        answer = stage.disclose(request)
        entries = read_json(answer.body) if answer is not None else None
        if isinstance(entries, dict) and prompt_id in entries:
            return _dict(entries[prompt_id].get("outputs"))
    return _dict((stage.observer.history(prompt_id) or {}).get("outputs"))


def _dict(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None


def _views(stage: Stage, outputs: Mapping[str, Any]) -> Iterator[tuple[bytes, bool]]:
    """All files of these outputs: the true bytes, and whether a client can get them."""
    for file in all_files_in(outputs):
        query = urlencode(msgspec.structs.asdict(file))
        request = Request("GET", f"/view?{query}")
        answer, shown = stage.observer.ask(request), stage.disclose(request)
        if answer is None or answer.status != 200:
            answer = shown  # a file, or a name, of the scenario's own
        if answer is not None and answer.status == 200:
            yield answer.body, shown is None or _leads_to(shown, answer)


def _leads_to(shown: Response, whole: Response) -> bool:
    """A client gets the file in the end: now, or where it is sent."""
    return 300 <= shown.status < 400 or (shown.status < 300 and shown.body == whole.body)


@contextmanager
def play(
    choice: Choice,
    *,
    seed: int = 0,
    speed: float | None = None,
    options: ServerOptions | None = None,
    thread: LoopThread | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Playing]:
    """Serve a scenario on its own port as long as the block runs.

    Args:
        choice: the scenario and its settings.
        seed: of all that is left to chance.
        speed: of virtual time; None: never wait, but for scenarios that are about waiting.
        options: how the server is started; ``seed`` goes before its seed.
        thread: where it is served, if not on the process's loop thread.
        clock: seconds; reports are on the same clock.

    Raises:
        ScenarioError: it cannot be played: its settings contradict each other, or no port opens.
    """
    started = msgspec.structs.replace(options or ServerOptions(), seed=seed)
    surfaces = {choice.scenario.surface, *(one.name for one in started.surfaces)}
    source = scenario_source([choice], started, observed=surfaces != {NATIVE})
    watched = _Watched(_staged(source), clock)
    if speed is None:
        speed = 1.0 if choice.scenario.in_real_time else MAX
    shell = transport_of([choice])
    listening: dict[str, Any] = {"speed": speed, "tls": shell.tls, "prefix": shell.prefix}
    with _served(watched, thread, listening) as handle:
        yield Playing(choice, watched, handle)


def _served(watched: _Watched, thread: LoopThread | None, options: Mapping[str, Any]) -> Handle:
    try:
        return serve(watched, thread=thread, **options)
    except UsageError as error:
        # The remedy it names (--host, --port) is not an option of check.
        why = str(error).partition(";")[0]
        raise ScenarioError(f"no port could be opened for its server: {why}") from None


def _staged(source: Source) -> Stage:
    return source if isinstance(source, Stage) else Stage(lambda: source)
