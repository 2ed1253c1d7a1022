"""One node at work: its calls, the time they take, what they send, write and fail with."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from comfyrec.events import comfy_json
from comfyrec.events.outputs import files_in
from fake_server.nodes import behaviour as nodes
from fake_server.nodes.behaviour import Blocker, NodeFailed, Value
from fake_server.nodes.literal_errors import misused_literal
from fake_server.nodes.saving import Saves, saves_of
from fake_server.nodes.timing import pace_of, steps_of
from fake_server.simulator.call_values import (
    NodeAtWork,
    Returned,
    blocker_in,
    prefixed,
    preview_size,
    slices,
)
from fake_server.simulator.node_plan import Previews
from fake_server.simulator.progress import Bar, ProgressReporter

if TYPE_CHECKING:
    from fake_server.simulator.engine import Engine, Job

__all__ = ["Interrupted", "NodeCall", "Steps"]

Steps: TypeAlias = Generator[int | None, None, Any]
"""None behind each frame, or a time to wait for."""

# Small pictures are the norm in tests; this is drawn when a graph does not say how large.
_UNKNOWN_SIZE: Final = (64, 64)


class Interrupted(Exception):
    """The interrupt flag was seen."""


class NodeCall:
    """Runs the nodes of one prompt, one call for each item of their inputs."""

    def __init__(
        self,
        engine: Engine,
        job: Job,
        progress: ProgressReporter,
        executed: Iterable[str],
        *,
        lifelike: bool,
    ) -> None:
        self.job = job
        self.client_id: Any = job.extra_data.get("client_id")
        self.listening = False
        """Whether an interrupt may end the present wait."""
        self.last_node: str | None = None
        """The display id of the running node, as a reconnecting client is told it."""
        self.notes: dict[str, Any] = {}
        """What change checks have said; it stands in the prompt that nodes see."""
        self._engine, self._era, self._disk = engine, engine.era, engine.disk
        self._tell = engine.speaker.tell
        self._progress = progress
        self._executed, self._lifelike = executed, lifelike
        self._dumped: dict[str, str] | None = None

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
            seen = {
                name: nodes.whole(one) if type(one) is list else one for name, one in given.items()
            }
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
        self._tell(self.client_id, "execution_error", data)
        yield None

    def _call(
        self, node: NodeAtWork, given: Mapping[str, Any], index: int, images: int | None
    ) -> Generator[int | None, None, Returned]:
        plan, kind = node.plan, node.kind
        if not (plan.fails or plan.expand or plan.blocks) and kind.core:
            self._fail_as_core(node, given)
        text = plan.text if plan.text is not None else nodes.progress_text(kind, given)
        if text is not None or plan.events:
            yield from self._extras(node, text)
        if plan.activity is not None and self._progress.activity(node.id, plan.activity):
            yield None
        duration, steps, previews, deaf = self._pace(node, given)
        if duration or steps:
            yield from self._spend(node, duration, steps, previews, deaf)
        if plan.activity is not None and self._progress.activity(node.id, None):
            yield None
        if plan.fails is not None:
            exception, message = plan.fails
            raise NodeFailed(exception, nodes.told_message(kind, given, message))
        if plan.expand is not None:
            graph, result = prefixed(plan, node.id, index)
            return Returned(outputs=result, expand=graph)
        if plan.blocks:
            return Returned(outputs=[Blocker(plan.block)] * len(kind.output))
        ui = None
        outputs = nodes.results(kind, given, plan.items, loaded=self._disk.loaded(kind, given))
        saves = saves_of(kind, given, self._era, planned=plan.images is not None)
        if saves is not None and plan.ui is None:
            shown = {"": outputs[0]} if saves.result and outputs else given
            ui = yield from self._save(node, saves, shown, images)
        return Returned(outputs=outputs, ui=ui or nodes.shown(kind, given, self._era))

    def _fail_as_core(self, node: NodeAtWork, given: Mapping[str, Any]) -> None:
        failure = nodes.unexpected(node.kind, given) or self._disk.unreadable(node.kind, given)
        if failure is None and node.id in self.job.prompt:  # expanded nodes are given anything
            failure = misused_literal(node.kind, given)
        failure = failure or nodes.misread(node.kind, given)
        if failure is not None:
            raise failure

    def _extras(self, node: NodeAtWork, text: str | None) -> Steps:
        if text is not None and self._era.has("text_frames"):
            self._engine.speaker.text(node.id, text)
            yield None
        for kind, data, to_all in node.plan.events:
            self._tell(None if to_all else self.client_id, kind, data)
            yield None

    # --- time and progress -------------------------------------------------------------------

    def heed_interrupt(self) -> None:
        if self._engine.interrupted:
            self._engine.interrupted = False
            raise Interrupted

    def _spend(
        self, node: NodeAtWork, duration: int, steps: int, previews: Previews | None, deaf: bool
    ) -> Steps:
        """Let the node's time pass, with its progress updates spread over it."""
        base = self._engine.now
        bar = Bar(steps)
        for step in range(1, steps + 2):
            at = base + (duration * step // steps if step <= steps else duration)
            if at > self._engine.now:
                self.listening = not deaf
                yield at
                self.listening = False
            if not deaf:
                self.heed_interrupt()
            if step <= steps:
                yield from self._update(node, bar, step, at, self._preview(previews, step))

    def _pace(
        self, node: NodeAtWork, given: Mapping[str, Any]
    ) -> tuple[int, int, Previews | None, bool]:
        plan = node.plan
        # async work that waits is not reached by the flag
        deaf = plan.deaf or plan.parallel or node.kind.is_async
        if not self._lifelike or plan.seconds is not None:
            return plan.duration_us, plan.steps or 0, plan.previews, deaf
        pace = pace_of(node.kind)
        steps, previews = plan.steps, plan.previews
        if steps is None:
            steps = steps_of(node.kind, given) if pace.per_step else 0
        if previews is None and pace.per_step and self._wants_previews():
            previews = Previews(size=preview_size(nodes.whole(list(given.values()))))
        duration = round((pace.seconds + steps * pace.per_step) * 1_000_000)
        return duration, steps, previews, True

    def _wants_previews(self) -> bool:
        return bool(self.job.extra_data.get("preview_method") != "none")

    def _preview(self, previews: Previews | None, step: int) -> tuple[str, bytes] | None:
        if previews is None:
            return None
        width, height = previews.size
        data = self._disk.preview(previews.format, width, height, step)
        return previews.format, data

    def _save(
        self, node: NodeAtWork, saves: Saves, given: Mapping[str, Any], images: int | None
    ) -> Generator[int | None, None, dict[str, Any] | None]:
        """Write (or send) the pictures of one call; what the node shows of it.

        ``images`` is how many a plan wants of this call; None for as many as it was given.
        """
        seen = next((one for one in given.values() if isinstance(one, Value) and one.width), None)
        if saves.text:
            return self._save_text(saves, given)
        width, height = node.plan.size or ((seen.width, seen.height) if seen else _UNKNOWN_SIZE)
        drawn = msgspec.structs.replace(seen or Value(), width=width, height=height)
        count = images
        if count is None:
            count = drawn.batch if not saves.single else 1
        if saves.kind == "websocket":
            yield from self._send_pictures(node, (width, height), count)
            return None
        owner = (node.id, node.kind.name)
        texts = self._texts if saves.texts else dict[str, str]
        files = self._disk.save(saves, given, drawn, count, owner=owner, texts=texts)
        if saves.moving:
            return {saves.shows: files, "animated": [True]}
        if saves.animated is None:
            return {saves.shows: files}
        moves = saves.animated and seen is not None and seen.batch > 1
        if saves.animated and not moves and self._era.has("stills_unsaid"):
            return {"images": files}
        # Before, an animated PNG said so even of one frame.
        said = moves or (saves.animated and saves.extension == "png")
        return {"images": files, "animated": [said]}

    def _texts(self) -> Mapping[str, str]:
        """The text chunks of this prompt's PNG files, dumped once for all of them."""
        if self._dumped is None:
            more: Any = self.job.extra_data.get("extra_pnginfo")
            try:
                texts = {"prompt": comfy_json(self.prompt)}
                # As the server does it, so that it fails as there on what is no object.
                for name in () if more is None else more:
                    said = comfy_json(more[name])
                    texts[name.encode("latin-1").decode("latin-1")] = said
            except (RecursionError, TypeError, LookupError, AttributeError, ValueError) as failed:
                raise NodeFailed(type(failed).__name__, str(failed)) from None
            self._dumped = texts
        return self._dumped

    def _save_text(self, saves: Saves, given: Mapping[str, Any]) -> dict[str, Any]:
        text = nodes.as_text(given.get("text"))
        extension = nodes.as_text(given.get("format"))
        return {"text": [text], "files": [self._disk.save_text(saves, given, text, extension)]}

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

    def _send_pictures(self, node: NodeAtWork, size: tuple[int, int], count: int) -> Steps:
        bar = Bar(count)
        for number in range(count):
            data = self._disk.preview("png", *size, number)
            yield from self._update(node, bar, number, self._engine.now, ("png", data))

    def write_named_files(self, node: NodeAtWork) -> None:
        """Files that a planned output names are there to be fetched."""
        width, height = node.plan.size or _UNKNOWN_SIZE
        for file in files_in(node.plan.ui):
            self._disk.provide(file, width, height)


def _shares(images: int | None, calls: int) -> Iterator[int | None]:
    """What each call writes of the pictures that a plan wants of the whole node."""
    share, rest = divmod(images, max(1, calls)) if images is not None else (None, 0)
    for index in range(calls):
        yield share if share is None or index else share + rest
