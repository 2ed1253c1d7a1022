"""A ComfyUI server's worker and memory: what happened -> what shall be sent.

The engine owns the queue, the caches, the history and the registered sockets. It is told of the
time with every call and never asks for it; ``take`` gives what it wants done since the last call,
among it a ``Wake`` for when it wants to go on.

protocol.md, sections 3 to 8.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.events import comfy_json
from fake_server.nodes.catalogue import Catalogue
from fake_server.nodes.learned import Learned
from fake_server.options import ServerOptions
from fake_server.seeded import SeededRandom
from fake_server.simulator.cache import OutputCache, make_cache
from fake_server.simulator.clients import Clients
from fake_server.simulator.execution import Execution
from fake_server.simulator.job import Job, Steps
from fake_server.simulator.node_files import NodeFiles
from fake_server.simulator.node_plan import PlanFor, beneath
from fake_server.simulator.server_time import ServerTime
from fake_server.simulator.worker import Worker
from fake_server.source import Action, Wake
from fake_server.storage.assets import Assets
from fake_server.storage.memory import Folders

__all__ = ["RESETS", "Engine"]

HISTORY_MAX: Final = 10_000  # MAXIMUM_HISTORY_SIZE; one more is kept, for it is checked before
# So many frames leave in one go; then others get their turn, even when no time passes.
FRAMES_AT_ONCE_MAX: Final = 1_000
SIZE_AT_ONCE_MAX: Final = 4 * 1024 * 1024
RESETS: Final = ("queue", "history", "cache", "counters")
PLANNED_MAX: Final = 10_000
"""Planned node ids that are remembered: a plan may follow from each prompt's own ids."""
SENSITIVE: Final = ("auth_token_comfy_org", "api_key_comfy_org")


def _nobody(_: Any) -> None:
    """Nobody reads along."""


class Lane(msgspec.Struct, eq=False):
    """A worker, the prompt that it runs, and until when it waits. A local server has one; a
    service has as many as it lends to each of its users."""

    worker: Worker
    running: Job | None = None
    execution: Execution | None = None
    work: Steps | None = None
    until: int | None = None
    """When it goes on; None: it does not wait for a time."""
    due: bool = False
    """Whether it shall go on now."""
    to_free: set[str] = msgspec.field(default_factory=set)
    """What it is asked to let go of."""
    metadata: Mapping[str, Any] = {}
    """The ``workflow_metadata`` of what it runs."""

    def runs(self, prompt_id: str | None) -> bool:
        """Whether it runs that prompt; any for None."""
        if prompt_id is None:
            return True
        return self.running is not None and self.running.prompt_id == prompt_id

    def interrupt(self) -> None:
        """Raise its interrupt flag."""
        self.worker.interrupted = True
        if self.execution is not None and self.execution.listening and self.until is not None:
            self.until, self.due = None, True

    def stop(self) -> None:
        """Leave what it runs, silently."""
        self.running = self.execution = self.work = self.until = None
        self.worker.interrupted = False
        self.metadata = {}
        self.to_free.clear()


class Engine:
    """The simulated server behind its network side.

    Attributes:
        worker: what runs the prompts, or the first of them.
        lanes: all workers, each with what it runs.
        on_ended: called with a prompt's messages when it has left the worker.
    """

    def __init__(self, options: ServerOptions, *, folders: Folders, plan_for: PlanFor) -> None:
        self.era, self.options = options.era, options
        self.on_ended: Callable[[Sequence[tuple[str, Mapping[str, Any]]]], None] = _nobody
        self.stepwise = False
        """Stop behind each frame and ask to be woken, so that state and frames keep in step."""
        self.number = 0
        self.time = ServerTime(epoch_ms=options.epoch_ms)
        self.random = SeededRandom(options.seed)
        self.clients = Clients(self.random)
        self.files = NodeFiles(folders, options, self.time, self.random)
        self.worker = Worker(
            era=options.era,
            options=options,
            catalogue=options.node_classes,
            plan_for=beneath(plan_for, options.class_plans) if options.class_plans else plan_for,
            time=self.time,
            random=self.random,
            clients=self.clients,
            files=self.files,
            assets=Assets(folders, self.random.uuid),
            cache=self._new_cache(),
        )
        self.learned = options.learned
        self.files.put_inputs(options.learned.files)
        self.lanes = [Lane(self.worker)]
        self.history: dict[str, dict[str, Any]] = {}
        self._queue: list[tuple[int | float, str, int, Job]] = []
        self._queued = self._finished = 0
        self._planned: dict[str, bool] = {}  # planned node id -> whether a prompt has had it

    def _new_cache(self) -> OutputCache:
        return make_cache(self.cache_kind, self.options.lru_size)

    @property
    def cache_kind(self) -> str:
        """Which of ``cache.CACHES`` is in use."""
        return self.options.cache or ("ram" if self.era.has("ram_cache") else "classic")

    @property
    def catalogue(self) -> Catalogue:
        """The node classes that prompts may use."""
        return self.worker.catalogue

    def take(self) -> list[Action]:
        """What shall be done, since this was called last.

        The worker goes on here and not where it was asked to: as with the real server's thread, a
        question is answered from the state before the worker has reacted to it.
        """
        for lane in self.lanes:  # it may grow meanwhile
            if lane.due:
                lane.due = False
                self._drive(lane)
        return self.clients.take()

    # --- sockets -----------------------------------------------------------------------------

    def connected(self, socket: int, client_id: str | None, now: int) -> None:
        """A socket has been accepted; ``client_id`` is the ``clientId`` of its query."""
        self._at(now)
        sid = self.clients.connected(socket, client_id)
        greeting: dict[str, Any] = {"status": self.queue_info()}
        if self.era.has("sid_in_status"):
            greeting["sid"] = sid
        self.clients.send_event(sid, "status", greeting)
        for lane in self.lanes:
            running = lane.execution
            if running is not None and running.client_id == sid and running.last_node is not None:
                self.clients.send_event(sid, "executing", {"node": running.last_node})

    def received(self, socket: int, message: str | bytes, now: int) -> None:
        """A client has sent something; only its feature flags mean anything."""
        self._at(now)
        first = self.clients.first_object(socket, message)
        if first is None or first.get("type") != "feature_flags":
            return
        if not self.era.has("progress_state"):
            return
        sid = self.clients.set_flags(socket, first.get("data", {}))
        if sid is not None:
            self.clients.send_event(sid, "feature_flags", self.features())

    def disconnected(self, socket: int, now: int) -> None:
        """A socket is gone."""
        self._at(now)
        self.clients.disconnected(socket)

    def features(self) -> dict[str, Any]:
        """The server's feature flags, as /features and the socket have them."""
        flags, size = dict[str, Any](), self.options.max_upload_size
        for name, value in self.era.server_flags.items():
            if name == "extension":
                flags["max_upload_size"] = size  # it stands in front of that one
            flags[name] = value
        return {**flags, "max_upload_size": size, **self.options.feature_flags}

    def publish(self, kind: str, data: Any, client_id: str | None, now: int) -> None:
        """Say an event that is not the worker's: to one client, or to all for None."""
        self._at(now)
        self.clients.send_event(client_id, kind, data)

    # --- queue -------------------------------------------------------------------------------

    def queue_info(self) -> dict[str, Any]:
        """``exec_info``, as /prompt and every status frame have it."""
        return {"exec_info": {"queue_remaining": self.remaining}}

    @property
    def remaining(self) -> int:
        """How many prompts wait or run."""
        return len(self._queue) + len(self.running)

    @property
    def running(self) -> list[Job]:
        """The prompts that run: one at most, unless each client has workers of its own."""
        return [lane.running for lane in self.lanes if lane.running is not None]

    @property
    def pending(self) -> list[Job]:
        """The waiting prompts in heap order, which is how the server shows them."""
        return [job for *_, job in self._queue]

    def not_planned_for(self, graph: Mapping[str, Any], client_id: Any) -> list[str]:
        """The node ids that the plan of a prompt which has just come speaks of in vain.

        Raises:
            UnfitPlan: there are some, and the plan is strict.
        """
        plans = self.worker.plan_for(graph, client_id)
        missing = plans.missing(graph)
        for node_id in plans.nodes:
            if len(self._planned) < PLANNED_MAX or node_id in self._planned:
                met = node_id not in missing
                self._planned[node_id] = self._planned.get(node_id, False) or met
        return missing

    def learn(self, learned: Learned) -> None:
        """Have what workflows need from now on; a prompt that runs goes on as it began."""
        self.learned = self.learned.with_more(learned)
        catalogue = learned.added_to(self.worker.catalogue)
        for lane in self.lanes:
            lane.worker.catalogue = catalogue
        self.files.put_inputs(learned.files)

    def put(self, job: Job, now: int) -> None:
        """Add a prompt to the queue, and begin with it if nothing runs."""
        self._at(now)
        self._queued += 1
        heapq.heappush(self._queue, (job.number, job.prompt_id, self._queued, job))
        self.send_status()
        self._lane_for(job).due = True

    def delete(self, fits: Callable[[Job], bool]) -> bool:
        """Take one waiting prompt out of the queue; whether there was one."""
        for index, (*_, job) in enumerate(self._queue):
            if fits(job):
                if len(self._queue) == 1:
                    self.clear_queue()
                else:
                    self._queue.pop(index)
                    heapq.heapify(self._queue)
                self.send_status()
                return True
        return False

    def clear_queue(self) -> None:
        """Take all waiting prompts out of the queue."""
        self._queue = []
        self.send_status()

    def send_status(self) -> None:
        """Tell every client how long the queue is."""
        # The same as ``queue_info``, written out: there are three of them in every prompt.
        said = f'{{"exec_info": {{"queue_remaining": {self.remaining}}}}}'
        self.clients.send(None, f'{{"type": "status", "data": {{"status": {said}}}}}')

    # --- interrupt, free ---------------------------------------------------------------------

    def interrupt(self, now: int, prompt_id: str | None = None) -> bool:
        """Raise the interrupt flag; with an id only if that prompt runs. Whether it was raised."""
        self._at(now)
        meant = [lane for lane in self.lanes if lane.runs(prompt_id)]
        for lane in meant:
            lane.interrupt()
        return bool(meant)

    def free(self, *, unload_models: bool, free_memory: bool, now: int) -> None:
        """Ask the worker to let go of models and results, as soon as it has time."""
        self._at(now)
        wanted = {"unload_models": unload_models, "free_memory": free_memory}
        for lane in self.lanes:
            lane.to_free |= {name for name, on in wanted.items() if on}
            lane.due = True

    # --- the worker --------------------------------------------------------------------------

    def woke(self, now: int) -> None:
        """The time of a ``Wake`` has come."""
        self._at(now)
        for lane in self.lanes:
            if lane.until is not None and self.time.now >= lane.until:
                lane.until, lane.due = None, True

    def _at(self, now: int) -> None:
        self.time.reach(now)

    def _lane_for(self, job: Job) -> Lane:
        """The worker that has to look at the queue now: an idle one, or one more if the client of
        the new prompt may have it."""
        idle = next((lane for lane in self.lanes if lane.work is None and not lane.due), None)
        if idle is None and self.options.workers_per_client and self._may_start(job):
            idle = Lane(
                msgspec.structs.replace(
                    self.worker, cache=self._new_cache(), warm=set(), interrupted=False
                )
            )
            self.lanes.append(idle)
        return idle or self.lanes[0]

    def _may_start(self, job: Job) -> bool:
        """Whether its client has a worker left, where each has its own."""
        working = sum(bool(one.client_id == job.client_id) for one in self.running)
        return working < (self.options.workers_per_client or 1)

    def _next_job(self) -> Job | None:
        """The first in the queue that may start, taken out."""
        if self.options.workers_per_client is None:
            return heapq.heappop(self._queue)[-1] if self._queue else None
        entry = next((one for one in sorted(self._queue) if self._may_start(one[-1])), None)
        if entry is None:
            return None
        self._queue.remove(entry)
        heapq.heapify(self._queue)
        return entry[-1]

    def _drive(self, lane: Lane) -> None:
        """Let a worker go on until it waits for a time, for a prompt, or has said enough."""
        if lane.until is not None:
            return
        if lane.work is None:
            if not self._queue and not lane.to_free:
                return
            lane.work = self._run_queue(lane)
        if len(self.lanes) > 1:
            self.clients.attach(lane.metadata)
        frames = 0
        limit = 1 if self.stepwise else FRAMES_AT_ONCE_MAX
        work, lane.work = lane.work, None
        for until in work:
            if until is None:
                frames += 1
                enough = frames >= limit or self.clients.waiting_size > SIZE_AT_ONCE_MAX
                until = self.time.now if enough else None
            if until is not None:
                lane.work, lane.until = work, until
                self.clients.actions.append(Wake(until))
                return

    def _run_queue(self, lane: Lane) -> Steps:
        """One prompt after the other, until none waits."""
        self._heed_free(lane)
        if self._queue and self.options.worker_delay_us:
            yield self.time.now + self.options.worker_delay_us
        while (job := self._next_job()) is not None:
            lane.running = job
            self.send_status()
            yield None
            lane.worker.interrupted = False
            self.files.begin(job.prompt if self.cache_kind != "none" else {})
            if self.era.has("workflow_metadata"):
                self._attach(lane, job.extra_data.get("workflow_metadata", {}))
            lane.execution = Execution(lane.worker, job)
            yield from lane.execution.go()
            yield from self._finish(lane, job, lane.execution)
            self._heed_free(lane)

    def _attach(self, lane: Lane, metadata: Mapping[str, Any]) -> None:
        lane.metadata = metadata
        self.clients.attach(metadata)

    def _finish(self, lane: Lane, job: Job, ended: Execution) -> Steps:
        self._finished += 1
        late = self._finished % self.options.history_delay_every == 0
        if self.options.history_delay_us and late:
            yield self.time.now + self.options.history_delay_us
        self._remember(job, ended, success=lane.worker.success)
        lane.running = lane.execution = None
        self.send_status()
        yield None
        if ended.client_id is None:
            self._attach(lane, {})
            self.on_ended(ended.messages)
            return
        if self.era.has("null_executing"):
            said = f'{{"node": null, "prompt_id": {comfy_json(job.prompt_id)}}}'
            self.clients.send_of_prompt(ended.client_id, f'{{"type": "executing", "data": {said}}}')
        self._attach(lane, {})
        self.on_ended(ended.messages)
        yield None

    def _remember(self, job: Job, ended: Execution, *, success: bool) -> None:
        if len(self.history) > HISTORY_MAX:
            del self.history[next(iter(self.history))]
        outputs, meta = ended.outputs()
        for name in SENSITIVE:
            job.extra_data.pop(name, None)
        entry = {
            "prompt": job.item(),
            "outputs": outputs,
            "status": {
                "status_str": "success" if success else "error",
                "completed": success,
                "messages": [[kind, data] for kind, data in ended.messages],
            },
        }
        if self.era.has("display_node"):
            entry["meta"] = meta
        self.history[job.prompt_id] = entry

    def _heed_free(self, lane: Lane) -> None:
        if lane.to_free:  # models are loaded anew either way
            lane.worker.warm.clear()
        if "free_memory" in lane.to_free:
            lane.worker.cache = self._new_cache()
            self.files.forget_objects()
            lane.worker.success = True
        lane.to_free.clear()

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
        del self.lanes[1:]
        self.lanes[0].stop()
        self.clients.attach({})

    def _reset_cache(self) -> None:
        for lane in self.lanes:
            lane.to_free.add("free_memory")
            self._heed_free(lane)

    def _reset_counters(self) -> None:
        self.number = 0
        self.worker.success = True
        # The same object, for the clients and the files draw from it too.
        self.random.begin(self.options.seed)
        self.files.forget_objects()

    def facts(self) -> dict[str, Any]:
        """What can be said of the state in plain JSON values."""
        return {
            "comfyui_version": self.era.reported,
            "running": self.running[0].prompt_id if self.running else None,
            "pending": [job.prompt_id for job in self.pending],
            "history": len(self.history),
            "clients": self.clients.client_ids,
            "messages_to_nobody": self.clients.to_nobody,
            "learned": self.learned.facts() if self.learned.workflows else None,
            "plan_not_met": sorted(one for one, met in self._planned.items() if not met),
        }
