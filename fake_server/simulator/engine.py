"""A ComfyUI server's worker and memory: what happened -> what shall be sent.

The engine owns the queue, the caches, the history and the registered sockets. It is told of the
time with every call and never asks for it; ``take`` gives what it wants done since the last call,
among it a ``Wake`` for when it wants to go on.

PROTOCOL.md, sections 3 to 8.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.events import comfy_json
from comfyrec.versions import Era
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import EngineOptions
from fake_server.seeded import SeededRandom
from fake_server.simulator.cache import OutputCache, make_cache
from fake_server.simulator.clients import Clients
from fake_server.simulator.execution import Execution, Steps
from fake_server.simulator.node_files import NodeFiles
from fake_server.simulator.node_plan import PlanFor
from fake_server.source import Action, Wake
from fake_server.storage.memory import Folders

__all__ = ["RESETS", "Engine", "Job"]

HISTORY_MAX: Final = 10_000  # MAXIMUM_HISTORY_SIZE; one more is kept, for it is checked before
# So many frames leave in one go; then others get their turn, even when no time passes.
FRAMES_AT_ONCE_MAX: Final = 1_000
SIZE_AT_ONCE_MAX: Final = 4 * 1024 * 1024
RESETS: Final = ("queue", "history", "cache", "counters")
PLANNED_MAX: Final = 10_000
"""Planned node ids that are remembered: a plan may follow from each prompt's own ids."""
SENSITIVE: Final = ("auth_token_comfy_org", "api_key_comfy_org")


class Job(msgspec.Struct, frozen=True):
    """A prompt in the queue."""

    number: int | float
    prompt_id: str
    prompt: Mapping[str, Mapping[str, Any]]
    extra_data: dict[str, Any]
    outputs: tuple[str, ...]

    def item(self) -> list[Any]:
        """As /queue and /history show it."""
        return [self.number, self.prompt_id, self.prompt, self.extra_data, list(self.outputs)]


def _nobody(_: Any) -> None:
    """Nobody reads along."""


class Engine:
    """The simulated server behind its network side.

    Attributes:
        on_failed: called with the data of an ``execution_error`` before it is said.
        on_ended: called with a prompt's messages when it has left the worker.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        era: Era,
        folders: Folders,
        seed: int,
        settings: EngineOptions,
        plan_for: PlanFor,
    ) -> None:
        self.catalogue, self.era, self.settings = catalogue, era, settings
        self.plan_for = plan_for
        self.seed = seed
        self.now = 0
        self.on_failed: Callable[[Mapping[str, Any]], None] = _nobody
        self.on_ended: Callable[[Sequence[tuple[str, Mapping[str, Any]]]], None] = _nobody
        self.stepwise = False
        """Stop behind each frame and ask to be woken, so that state and frames keep in step."""
        self.interrupted = False
        self.success = True
        """What the last node that ran came to; the server never clears it in between."""
        self.number = 0
        self.chance = SeededRandom(seed)
        self.speaker = Clients(self.chance)
        self.disk = NodeFiles(folders, catalogue, settings, self.chance, seed, era=era)
        self.running: Job | None = None
        self.history: dict[str, dict[str, Any]] = {}
        self._queue: list[tuple[int | float, str, int, Job]] = []
        self._queued = 0
        self._free: set[str] = set()
        self._worker: Steps | None = None
        self._run: Execution | None = None
        self._until: int | None = None
        self._due = False
        self._planned: dict[str, bool] = {}  # planned node id -> whether a prompt has had it
        self.cache = self._new_cache()

    def _new_cache(self) -> OutputCache:
        return make_cache(self.cache_kind, self.settings.lru_size)

    @property
    def cache_kind(self) -> str:
        """Which of ``cache.CACHES`` is in use."""
        return self.settings.cache or ("ram" if self.era.has("ram_cache") else "classic")

    @property
    def now_ms(self) -> int:
        """The server's clock, as Unix time in ms."""
        return self.settings.epoch_ms + self.now // 1000

    def take(self) -> list[Action]:
        """What shall be done, since this was called last.

        The worker goes on here and not where it was asked to: as with the real server's thread, a
        question is answered from the state before the worker has reacted to it.
        """
        if self._due:
            self._due = False
            self._drive()
        return self.speaker.take()

    # --- sockets -----------------------------------------------------------------------------

    def connected(self, socket: int, client_id: str | None, now: int) -> None:
        """A socket has been accepted; ``client_id`` is the ``clientId`` of its query."""
        self._at(now)
        sid = self.speaker.connected(socket, client_id)
        self.speaker.tell(sid, "status", {"status": self.queue_info(), "sid": sid})
        run = self._run
        if run is not None and run.client_id == sid and run.last_node is not None:
            self.speaker.tell(sid, "executing", {"node": run.last_node})

    def said(self, socket: int, message: str | bytes, now: int) -> None:
        """A client has sent something; only its feature flags mean anything."""
        self._at(now)
        first = self.speaker.first_object(socket, message)
        if first is None or first.get("type") != "feature_flags":
            return
        if not self.era.has("progress_state"):
            return
        sid = self.speaker.announce(socket, first.get("data", {}))
        if sid is not None:
            self.speaker.tell(sid, "feature_flags", self.features())

    def left(self, socket: int, now: int) -> None:
        """A socket is gone."""
        self._at(now)
        self.speaker.left(socket)

    def features(self) -> dict[str, Any]:
        """The server's feature flags, as /features and the socket have them."""
        flags, size = dict[str, Any](), self.settings.max_upload_size
        for name, value in self.era.server_flags.items():
            if name == "extension":
                flags["max_upload_size"] = size  # it stands in front of that one
            flags[name] = value
        return {**flags, "max_upload_size": size, **self.settings.feature_flags}

    def publish(self, kind: str, data: Any, client_id: str | None, now: int) -> None:
        """Say an event that is not the worker's: to one client, or to all for None."""
        self._at(now)
        self.speaker.tell(client_id, kind, data)

    # --- queue -------------------------------------------------------------------------------

    def queue_info(self) -> dict[str, Any]:
        """``exec_info``, as /prompt and every status frame have it."""
        return {"exec_info": {"queue_remaining": self.remaining}}

    @property
    def remaining(self) -> int:
        """How many prompts wait or run."""
        return len(self._queue) + (self.running is not None)

    @property
    def pending(self) -> list[Job]:
        """The waiting prompts in heap order, which is how the server shows them."""
        return [job for *_, job in self._queue]

    def not_planned_for(self, graph: Mapping[str, Any], client_id: Any) -> list[str]:
        """The node ids that the plan of a prompt which has just come speaks of in vain.

        Raises:
            UnfitPlan: there are some, and the plan is strict.
        """
        plans = self.plan_for(graph, client_id)
        missing = plans.missing(graph)
        for node_id in plans.nodes:
            if len(self._planned) < PLANNED_MAX or node_id in self._planned:
                met = node_id not in missing
                self._planned[node_id] = self._planned.get(node_id, False) or met
        return missing

    def put(self, job: Job, now: int) -> None:
        """Add a prompt to the queue, and begin with it if nothing runs."""
        self._at(now)
        self._queued += 1
        heapq.heappush(self._queue, (job.number, job.prompt_id, self._queued, job))
        self.say_status()
        self._due = True

    def delete(self, fits: Callable[[Job], bool]) -> bool:
        """Take one waiting prompt out of the queue; whether there was one."""
        for index, (*_, job) in enumerate(self._queue):
            if fits(job):
                if len(self._queue) == 1:
                    self.clear_queue()
                else:
                    self._queue.pop(index)
                    heapq.heapify(self._queue)
                self.say_status()
                return True
        return False

    def clear_queue(self) -> None:
        """Take all waiting prompts out of the queue."""
        self._queue = []
        self.say_status()

    def say_status(self) -> None:
        """Tell everybody how long the queue is."""
        # The same as ``queue_info``, written out: there are three of them in every prompt.
        said = f'{{"exec_info": {{"queue_remaining": {self.remaining}}}}}'
        self.speaker.tell_raw(None, f'{{"type": "status", "data": {{"status": {said}}}}}')

    # --- interrupt, free ---------------------------------------------------------------------

    def interrupt(self, now: int, prompt_id: str | None = None) -> bool:
        """Raise the interrupt flag; with an id only if that prompt runs. Whether it was raised."""
        self._at(now)
        if prompt_id is not None and (self.running is None or self.running.prompt_id != prompt_id):
            return False
        self.interrupted = True
        if self._run is not None and self._run.listening and self._until is not None:
            self._until = None
            self._due = True
        return True

    def free(self, *, unload_models: bool, free_memory: bool, now: int) -> None:
        """Ask the worker to let go of models and results, as soon as it has time."""
        self._at(now)
        wanted = {"unload_models": unload_models, "free_memory": free_memory}
        self._free |= {name for name, on in wanted.items() if on}
        self._due = True

    # --- the worker --------------------------------------------------------------------------

    def woke(self, now: int) -> None:
        """The time of a ``Wake`` has come."""
        self._at(now)
        if self._until is not None and self.now >= self._until:
            self._until = None
            self._due = True

    def _at(self, now: int) -> None:
        self.now = self.disk.now = max(self.now, now)

    def _drive(self) -> None:
        """Let the worker go on until it waits for a time, for a prompt, or has said enough."""
        if self._until is not None:
            return
        if self._worker is None:
            if not self._queue and not self._free:
                return
            self._worker = self._work()
        frames = 0
        limit = 1 if self.stepwise else FRAMES_AT_ONCE_MAX
        worker, self._worker = self._worker, None
        for until in worker:
            if until is None:
                frames += 1
                enough = frames >= limit or self.speaker.waiting_size > SIZE_AT_ONCE_MAX
                until = self.now if enough else None
            if until is not None:
                self._worker, self._until = worker, until
                self.speaker.actions.append(Wake(until))
                return

    def _work(self) -> Steps:
        """One prompt after the other, until none waits."""
        self._heed_free()
        while self._queue:
            *_, job = heapq.heappop(self._queue)
            self.running = job
            self.say_status()
            yield None
            self.interrupted = False
            self.disk.begin(job.prompt if self.cache_kind != "none" else {})
            self._run = Execution(self, job)
            yield from self._run.go()
            yield from self._finish(job, self._run)
            self._heed_free()

    def _finish(self, job: Job, run: Execution) -> Steps:
        if self.settings.history_delay_us:
            yield self.now + self.settings.history_delay_us
        self._remember(job, run)
        self.running = self._run = None
        self.say_status()
        yield None
        if run.client_id is None:
            self.on_ended(run.messages)
            return
        said = f'{{"node": null, "prompt_id": {comfy_json(job.prompt_id)}}}'
        self.speaker.tell_raw(run.client_id, f'{{"type": "executing", "data": {said}}}')
        self.on_ended(run.messages)
        yield None

    def _remember(self, job: Job, run: Execution) -> None:
        if len(self.history) > HISTORY_MAX:
            del self.history[next(iter(self.history))]
        outputs, meta = run.outputs()
        for name in SENSITIVE:
            job.extra_data.pop(name, None)
        entry = {
            "prompt": job.item(),
            "outputs": outputs,
            "status": {
                "status_str": "success" if self.success else "error",
                "completed": self.success,
                "messages": [[kind, data] for kind, data in run.messages],
            },
        }
        if self.era.has("display_node"):
            entry["meta"] = meta
        self.history[job.prompt_id] = entry

    def _heed_free(self) -> None:
        if "free_memory" in self._free:
            self.cache = self._new_cache()
            self.disk.forget_objects()
            self.success = True
        self._free.clear()

    # --- control -----------------------------------------------------------------------------

    def reset(self, what: Iterable[str] = RESETS, now: int = 0) -> None:
        """Forget, silently: ``queue`` (also what runs), ``history``, ``cache``, ``counters``.

        Sockets stay connected and registered; files are the folders' own business.
        """
        self._at(now)
        for name in what:
            {
                "queue": self._reset_queue,
                "history": self.history.clear,
                "cache": self._reset_cache,
                "counters": self._reset_counters,
            }[name]()

    def _reset_queue(self) -> None:
        self._queue = []
        self.running = self._run = self._worker = self._until = None
        self.interrupted = False
        self._free.clear()

    def _reset_cache(self) -> None:
        self._free.add("free_memory")
        self._heed_free()

    def _reset_counters(self) -> None:
        self.number = 0
        self.success = True
        # The same object, for the speaker and the disk draw from it too.
        self.chance.begin(self.seed)
        self.disk.forget_objects()

    def facts(self) -> dict[str, Any]:
        """What can be said of the state in plain JSON values."""
        return {
            "comfyui_version": self.era.version,
            "running": self.running.prompt_id if self.running is not None else None,
            "pending": [job.prompt_id for job in self.pending],
            "history": len(self.history),
            "clients": self.speaker.client_ids,
            "plan_not_met": sorted(one for one, met in self._planned.items() if not met),
        }
