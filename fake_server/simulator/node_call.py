"""One node at work: its calls, the time they take, what they send, write and fail with.

What a plan says of a node comes first; what it leaves open, the node does as its class does
(``nodes/behaviour.py``).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from comfyrec.events import comfy_json
from comfyrec.events.outputs import files_in
from comfyrec.timing import ClassTiming, megapixels
from fake_server.nodes import call
from fake_server.nodes.saving import Saves, as_called, described, shown
from fake_server.nodes.values import Blocker, NodeFailed, Value, as_text, literal, value_of, whole
from fake_server.simulator.call_values import (
    NodeAtWork,
    Returned,
    blocker_in,
    prefixed,
    preview_size,
    slices,
)
from fake_server.simulator.job import Job, Steps
from fake_server.simulator.node_plan import Previews
from fake_server.simulator.progress import Bar, ProgressReporter
from fake_server.simulator.worker import Worker

__all__ = ["Interrupted", "NodeCall"]

# Small pictures are the norm in tests; this is drawn when a graph does not say how large.
_UNKNOWN_SIZE: Final = (64, 64)
_CHANCES: Final = 1 << 53


class Interrupted(Exception):
    """The interrupt flag was seen."""


class _Pace(msgspec.Struct, frozen=True):
    """How one call of a node spends its time."""

    duration_us: int
    steps: int
    previews: Previews | None
    deaf: bool
    """It does not look at the interrupt flag while it waits."""


class NodeCall:
    """Runs the nodes of one prompt, one call for each item of their inputs."""

    def __init__(
        self,
        worker: Worker,
        job: Job,
        progress: ProgressReporter,
        executed: Iterable[str],
        *,
        lifelike: bool,
    ) -> None:
        self.job = job
        self.listening = False
        """Whether an interrupt may end the present wait."""
        self.last_node: str | None = None
        """The display id of the running node, as a reconnecting client is told it."""
        self.notes: dict[str, Any] = {}
        """What change checks have said; it stands in the prompt that nodes see."""
        self._worker, self._era, self._files = worker, worker.era, worker.files
        self._client_id = job.client_id
        self._send_event = worker.clients.send_event
        self._progress = progress
        self._executed, self._lifelike = executed, lifelike
        self._dumped: dict[str, str] | None = None
        self._megapixels: float | None = None

    @property
    def prompt(self) -> Mapping[str, Mapping[str, Any]]:
        """The prompt as nodes are given it, and as pictures carry it."""
        if not self.notes:
            return self.job.prompt
        return {
            one: {**node, "is_changed": self.notes[one]} if one in self.notes else node
            for one, node in self.job.prompt.items()
        }

    def calls(self, node: NodeAtWork) -> Generator[int | None, None, list[Returned]]:
        """Run a node once for each item of its inputs."""
        returned: list[Returned] = []
        calls = [(given, blocker_in(given)) for given in slices(node)]
        share = _shares(node.plan.images, sum(blocker is None for _, blocker in calls))
        for index, (given, blocker) in enumerate(calls):
            self.heed_interrupt()
            if blocker is not None:
                yield from self._blocked(node, blocker)
                silent = [Blocker()] * len(node.kind.output)
                returned.append(Returned(outputs=silent, blocked=True))
                continue
            seen = {name: whole(one) if type(one) is list else one for name, one in given.items()}
            returned.append((yield from self._call(node, seen, index, next(share))))
        return returned

    def _blocked(self, node: NodeAtWork, blocker: Blocker) -> Steps:
        if blocker.message is None:
            return
        data = {
            "prompt_id": self.job.prompt_id,
            "node_id": node.id,
            "node_type": node.kind.name,
            "executed": list(self._executed),
            "exception_message": f"Execution Blocked: {blocker.message}",
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        }
        self._send_event(self._client_id, "execution_error", data)
        yield None

    def _call(
        self, node: NodeAtWork, given: Mapping[str, Any], index: int, images: int | None
    ) -> Generator[int | None, None, Returned]:
        if node.kind.core and not node.plan.decides_outcome:
            self._fail_as_core(node, given)
        yield from self._pass_time(node, given)
        planned = _as_planned(node, given, index)
        return planned or (yield from self._as_class(node, given, images))

    def _fail_as_core(self, node: NodeAtWork, given: Mapping[str, Any]) -> None:
        # Expanded nodes are given anything.
        literals = node.id in self.job.prompt
        failure = call.failure(node.kind, given, literals=literals)
        failure = failure or self._files.unreadable(node.kind, given)
        if failure is not None:
            raise failure

    def _as_class(
        self, node: NodeAtWork, given: Mapping[str, Any], images: int | None
    ) -> Generator[int | None, None, Returned]:
        """What a call comes to when no plan says so."""
        kind, behaviour = node.kind, node.kind.behaviour
        loaded = self._files.loaded(kind, given)
        outputs = call.results(kind, given, node.plan.items, loaded=loaded)
        if node.plan.ui is not None:
            return Returned(outputs=outputs)
        saves = as_called(behaviour.saves, given, self._era)
        if saves is None and images is not None:
            saves = Saves(kind="temp")
        ui: Mapping[str, Any] | None = None
        if saves is not None:
            saved = {"": outputs[0]} if saves.result and outputs else given
            ui = yield from self._save(node, saves, saved, images)
        if ui is None and behaviour.shows is not None:
            ui = behaviour.shows(given, self._era)
        return Returned(outputs=outputs, ui=ui)

    # --- time and progress -------------------------------------------------------------------

    def heed_interrupt(self) -> None:
        if self._worker.interrupted:
            self._worker.interrupted = False
            raise Interrupted

    def _pass_time(self, node: NodeAtWork, given: Mapping[str, Any]) -> Steps:
        """What is seen of a node while it runs: its texts and events, its time, its progress."""
        plan, tells = node.plan, node.kind.behaviour.tells
        text = plan.text
        if text is None and tells is not None:
            text = tells(given)
        if text is not None and self._era.has("text_frames"):
            self._worker.clients.text(node.id, text)
            yield None
        for kind, data, to_all in plan.events:
            self._send_event(None if to_all else self._client_id, kind, data)
            yield None
        if plan.activity is not None and self._progress.activity(node.id, plan.activity):
            yield None
        pace = self._pace(node, given)
        if pace.duration_us or pace.steps:
            yield from self._spend(node, pace)
        if plan.activity is not None and self._progress.activity(node.id, None):
            yield None

    def _spend(self, node: NodeAtWork, pace: _Pace) -> Steps:
        """Let the node's time pass, with its progress updates spread over it."""
        time, duration, steps = self._worker.time, pace.duration_us, pace.steps
        begin = time.now
        bar = Bar(steps)
        for step in range(1, steps + 2):
            at = begin + (duration * step // steps if step <= steps else duration)
            if at > time.now:
                self.listening = not pace.deaf
                yield at
                self.listening = False
            if not pace.deaf:
                self.heed_interrupt()
            if step <= steps:
                yield from self._update(node, bar, step, at, self._preview(pace.previews, step))

    def _pace(self, node: NodeAtWork, given: Mapping[str, Any]) -> _Pace:
        plan, pace = node.plan, node.kind.behaviour.pace
        decided = plan.seconds is not None and not plan.at_least
        timing = self._worker.options.timing
        learned = None if timing is None or decided else timing.classes.get(node.kind.name)
        if learned is not None:
            return self._learned_pace(node, given, learned)
        if not self._lifelike or decided or pace is None:
            # Async work that waits is not reached by the flag.
            deaf = plan.deaf or plan.parallel or node.kind.is_async
            return _Pace(plan.duration_us, plan.steps or 0, plan.previews, deaf)
        previews = plan.previews
        own_steps = pace.steps(given) if pace.per_step else 0
        steps = own_steps if plan.steps is None or plan.at_least else plan.steps
        if previews is None and pace.per_step and self._wants_previews():
            previews = Previews(size=preview_size(whole(list(given.values()))))
        duration = round((pace.seconds + steps * pace.per_step) * 1_000_000)
        if duration < plan.duration_us:
            duration, steps = plan.duration_us, plan.steps or own_steps
        return _Pace(duration, steps, previews, True)

    def _learned_pace(
        self, node: NodeAtWork, given: Mapping[str, Any], learned: ClassTiming
    ) -> _Pace:
        """As long as such a run took where the timing was learned."""
        worker, plan, pace, name = self._worker, node.plan, node.kind.behaviour.pace, node.kind.name
        own_steps = pace.steps(given) if pace is not None and pace.per_step else None
        steps = plan.steps or own_steps or round(learned.steps or 0)
        if self._megapixels is None:
            self._megapixels = megapixels(self.job.prompt) or 0.0
        duration = learned.draw(
            steps=steps or None,
            megapixels=self._megapixels or None,
            cold=name not in worker.warm,
            chance=worker.random.below(_CHANCES) / _CHANCES,
        )
        worker.warm.add(name)
        previews = plan.previews
        if previews is None and own_steps and self._wants_previews():
            previews = Previews(size=preview_size(whole(list(given.values()))))
        return _Pace(max(duration, plan.duration_us), steps, previews, True)

    def _wants_previews(self) -> bool:
        return bool(self.job.extra_data.get("preview_method") != "none")

    def _preview(self, previews: Previews | None, step: int) -> tuple[str, bytes] | None:
        if previews is None:
            return None
        width, height = previews.size
        data = self._files.preview(previews.format, width, height, step)
        return previews.format, data

    def _update(
        self, node: NodeAtWork, bar: Bar, value: int, at: int, preview: tuple[str, bytes] | None
    ) -> Iterator[None]:
        return self._progress.update(
            node.id,
            bar,
            value,
            at=at,
            preview=preview,
            announced=self.last_node,
            heed=self.heed_interrupt,
        )

    # --- files -------------------------------------------------------------------------------

    def _save(
        self, node: NodeAtWork, saves: Saves, given: Mapping[str, Any], images: int | None
    ) -> Generator[int | None, None, Mapping[str, Any] | None]:
        """Write (or send) the files of one call; what the node shows of them.

        ``images`` is how many a plan wants of this call; None for as many as it was given.
        """
        if saves.text:
            return self._save_text(saves, given)
        seen = next((one for one in given.values() if isinstance(one, Value) and one.width), None)
        width, height = node.plan.size or ((seen.width, seen.height) if seen else _UNKNOWN_SIZE)
        drawn = msgspec.structs.replace(seen or Value(), width=width, height=height)
        count = images
        if count is None:
            count = 1 if saves.single else drawn.batch
        if saves.kind == "websocket":
            yield from self._send_pictures(node, (width, height), count)
            return None
        owner = (node.id, node.kind.name)
        texts = self._texts if saves.texts else dict[str, str]
        files = self._files.save(saves, given, drawn, count, owner=owner, texts=texts)
        told = described(saves, files, given, self._worker.options.base_directory)
        return shown(saves, told, seen, self._era)

    def _save_text(self, saves: Saves, given: Mapping[str, Any]) -> Mapping[str, Any]:
        text = as_text(given.get("text"))
        extension = as_text(given.get("format"))
        return {"text": [text], "files": [self._files.save_text(saves, given, text, extension)]}

    def _texts(self) -> Mapping[str, str]:
        """The text chunks of this prompt's PNG files, dumped once for all of them."""
        if self._dumped is None:
            more: Any = self.job.extra_data.get("extra_pnginfo")
            try:
                texts = {"prompt": comfy_json(self.prompt)}
                # As the server does it, so that it fails as there on what is not an object.
                for name in () if more is None else more:
                    said = comfy_json(more[name])
                    texts[name.encode("latin-1").decode("latin-1")] = said
            except (RecursionError, TypeError, LookupError, AttributeError, ValueError) as failed:
                raise NodeFailed(type(failed).__name__, str(failed)) from None
            self._dumped = texts
        return self._dumped

    def _send_pictures(self, node: NodeAtWork, size: tuple[int, int], count: int) -> Steps:
        bar = Bar(count)
        for number in range(count):
            data = self._files.preview("png", *size, number)
            yield from self._update(node, bar, number, self._worker.time.now, ("png", data))

    def write_named_files(self, node: NodeAtWork) -> None:
        """Files that a planned output names are there to be fetched."""
        width, height = node.plan.size or _UNKNOWN_SIZE
        for file in files_in(node.plan.ui):
            self._files.provide(file, width, height)


def _as_planned(node: NodeAtWork, given: Mapping[str, Any], index: int) -> Returned | None:
    """What a call comes to if the plan says so."""
    plan = node.plan
    if plan.fails is not None:
        exception, message = plan.fails
        raise NodeFailed(exception, _message(node, given, message))
    if plan.expand is not None:
        graph, result = prefixed(plan, node.id, index)
        return Returned(outputs=result, expand=graph)
    if plan.blocks:
        return Returned(outputs=[Blocker(plan.block)] * len(node.kind.output))
    return None


def _message(node: NodeAtWork, given: Mapping[str, Any], planned: str) -> str:
    """The text of a planned exception.

    A test node that is told by its inputs what to raise (``kind`` among exception names, and
    ``message``) says that text; all others say what the plan has.
    """
    kind, message = literal(given, "kind"), value_of(given, "message")
    if not node.kind.inputs.keys() >= {"kind", "message"} or not kind or not message.known:
        return planned
    return repr(message.literal) if kind == "KeyError" else str(message.literal)


def _shares(images: int | None, calls: int) -> Iterator[int | None]:
    """What each call writes of the pictures that a plan wants of the whole node."""
    share, rest = divmod(images, max(1, calls)) if images is not None else (None, 0)
    for index in range(calls):
        yield share if share is None or index else share + rest
