"""One prompt on its way through the worker: what is sent, in which order, and what is kept.

protocol.md, sections 2, 4 and 5. A run is a generator. It yields None behind every frame it has
sent, and a virtual time when it has nothing to do until then; whoever drives it may stop between
any two frames. What sends one frame at most is not a generator, but tells whether it did: there are
many of them in each prompt. Cached nodes, lazy inputs, expansion and async nodes are told apart
here.
"""

from __future__ import annotations

import posixpath
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from comfyrec.events import comfy_json
from comfyrec.events.outputs import FileEntry, change_files
from fake_server.nodes.catalogue import NodeClass
from fake_server.nodes.values import Value, is_link
from fake_server.simulator.cache import Entry
from fake_server.simulator.call_values import NodeAtWork, Returned, merged, merged_ui
from fake_server.simulator.execution_error import NODE_FAILURES, ExecutionFailed, failure
from fake_server.simulator.expansion import (
    add_expansion,
    links_out,
    output_of,
    resolved,
    takes_values,
)
from fake_server.simulator.graph import Graph, Order, signatures
from fake_server.simulator.job import Job, Steps
from fake_server.simulator.node_call import Interrupted, NodeCall
from fake_server.simulator.progress import ProgressReporter
from fake_server.simulator.worker import Worker

__all__ = ["Execution"]


class _Task(msgspec.Struct, eq=False):
    """An async node that waits; ``at`` is when it goes on."""

    node: NodeAtWork
    steps: Steps
    at: int = 0
    returned: list[Returned] | None = None
    failed: Exception | None = None

    def ended(self) -> bool:
        return self.returned is not None or self.failed is not None

    def result(self) -> list[Returned]:
        if self.failed is not None:
            raise self.failed
        assert self.returned is not None, "a task that still waits was asked for its result"
        return self.returned


class Execution:
    """The execution of one prompt."""

    def __init__(self, worker: Worker, job: Job) -> None:
        self.job = job
        self.client_id = job.client_id
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self._worker, self._era, self._clients = worker, worker.era, worker.clients
        self._has_display = worker.era.has("display_node")
        self._has_success = worker.era.has("success_event")
        self._quoted_id = comfy_json(job.prompt_id)
        self._cache = worker.cache
        self._plans = worker.plan_for(job.prompt, self.client_id)
        self._graph = Graph(job.prompt, worker.catalogue)
        self._order = Order(self._graph, lambda one: self._cache.get(one) is not None)
        self._progress = ProgressReporter(
            worker.clients,
            self._era,
            self._graph,
            prompt_id=job.prompt_id,
            client_id=self.client_id,
        )
        self._shown: dict[str, Mapping[str, Any]] = {}  # node -> its ui, in the order of showing
        self._to_keep: dict[str, Mapping[str, Any]] = {}  # the same, as the cache keeps it
        self._executed: dict[str, None] = {}
        self._known: list[str] = []  # what the server calls current outputs
        self._expanded: dict[str, list[Returned]] = {}
        self._tasks: dict[str, _Task] = {}
        self._asked: dict[str, set[str]] = {}  # lazy node -> the sources it has asked for
        self._changed: dict[str, Any] = {}
        self._inputs: Mapping[str, list[Any]] = {}  # of the node at work, as its failure shows them
        self._calls = NodeCall(
            worker, job, self._progress, self._executed, lifelike=self._plans.lifelike
        )

    @property
    def listening(self) -> bool:
        """Whether an interrupt may end the present wait."""
        return self._calls.listening

    @property
    def last_node(self) -> str | None:
        """The display id of the running node, as a reconnecting client is told it."""
        return self._calls.last_node

    # --- from start to end -------------------------------------------------------------------

    def go(self) -> Steps:
        """The whole of it, up to and including the terminal event."""
        prompt, prompt_id = self.job.prompt, self.job.prompt_id
        if self._message("execution_start", {"prompt_id": prompt_id}):
            yield None
        self._cache.begin(
            signatures(self._graph, prompt, self._change),
            {one: node["class_type"] for one, node in prompt.items()},
        )
        self._known = list(self._cache.known())
        cached = [one for one in prompt if self._cache.get(one) is not None]
        if self._message("execution_cached", {"nodes": cached, "prompt_id": prompt_id}):
            yield None
        for node_id in self.job.outputs:
            self._order.add(node_id)
        try:
            while self._order:
                yield from self._next()
        except Interrupted as stopped:
            self._worker.success = False
            self._interrupted(str(stopped))
            yield None
        except ExecutionFailed as failed:
            self._worker.success = failed.success
            if self._failed(failed):
                yield None
        else:
            yield from self._succeeded()
        self._calls.last_node = None
        self._tasks.clear()

    def _next(self) -> Steps:
        node_id = self._order.next()
        if node_id is None:
            if self._order.outside:
                yield from self._wait_for_tasks()
                return
            raise ExecutionFailed.in_cycle(self._blamed(), self._worker.success)
        try:
            yield from self._node(node_id)
        except Interrupted:
            raise Interrupted(self._graph.real(node_id)) from None
        self._worker.success = True
        self._cache.completed()

    def _succeeded(self) -> Steps:
        if self._era.has("intermediate_outputs"):
            yield from self._intermediates()
        if self._has_success and self._message(
            "execution_success", {"prompt_id": self.job.prompt_id}
        ):
            yield None

    def _intermediates(self) -> Steps:
        for node_id in self._graph.all_ids():
            entry = None if node_id in self._executed else self._cache.get(node_id)
            if entry is None or not self._graph.node_class(node_id).intermediate:
                continue
            if self._emit_cached(node_id, entry):
                yield None

    def outputs(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """``outputs`` and ``meta`` of the history entry."""
        shown = self._shown
        if not (self._era.has("history_of_shown") or self._era.has("cached_needs_client")):
            # Older servers look through the cache instead of keeping a list.
            entries = {one: self._cache.held(one) for one in self._graph.all_ids()}
            shown = {one: entry.ui for one, entry in entries.items() if entry and entry.ui}
        outputs = {one: ui["output"] for one, ui in shown.items()}
        return outputs, {one: ui["meta"] for one, ui in shown.items()}

    # --- terminal events ---------------------------------------------------------------------

    def _message(self, kind: str, data: dict[str, Any], *, broadcast: bool = False) -> bool:
        """An event that history keeps, whether or not anybody hears it."""
        if self._has_success:
            data["timestamp"] = self._worker.time.unix_ms
        self.messages.append((kind, data))
        if self.client_id is None and not broadcast:
            return False
        self._clients.send_event(self.client_id, kind, data)
        return True

    def _interrupted(self, node_id: str) -> None:
        data = {
            "prompt_id": self.job.prompt_id,
            "node_id": node_id,
            "node_type": self.job.prompt[node_id]["class_type"],
            "executed": list(self._executed),
        }
        self._message("execution_interrupted", data, broadcast=True)

    def _failed(self, failed: ExecutionFailed) -> bool:
        node_id = self._graph.real(failed.node_id)
        data = {
            "prompt_id": self.job.prompt_id,
            "node_id": node_id,
            "node_type": self.job.prompt[node_id]["class_type"],
            "executed": list(self._executed),
            "exception_message": failed.message,
            "exception_type": failed.kind,
            "traceback": failed.traceback,
            "current_inputs": failed.inputs,
            "current_outputs": self._known if self._has_display else {},
        }
        self._worker.on_failed(data)
        return self._message("execution_error", data)

    def _blamed(self) -> str:
        # Cycles of static nodes are refused before; so a node that came while it ran is to blame.
        cycle = self._order.in_cycle()
        shown_as = {one: self._graph.display(one) for one in cycle}
        return next((shown for one, shown in shown_as.items() if shown != one), cycle[0])

    # --- one node ----------------------------------------------------------------------------

    def _node(self, node_id: str) -> Steps:
        entry = self._cache.get(node_id)
        if entry is not None:
            yield from self._cached(node_id, entry)
            return
        self._inputs = {}
        try:
            if node_id in self._tasks:
                yield from self._resumed(self._tasks.pop(node_id))
            elif node_id in self._expanded:
                if self._expansion_done(node_id):
                    yield None
            else:
                yield from self._fresh(node_id)
        except NODE_FAILURES as failed:
            raise failure(
                node_id,
                self._graph.node_class(node_id).name,
                failed,
                self._inputs,
                era=self._era,
                base=self._worker.options.base_directory,
            ) from None

    def _cached(self, node_id: str, entry: Entry) -> Steps:
        """A node whose result is there."""
        if self._has_display:
            if self._emit_cached(node_id, entry):
                yield None
            if self._progress.finish(node_id):
                yield None
        self._order.done(node_id)

    def _resumed(self, task: _Task) -> Steps:
        """An async node that has waited. The server has forgotten its inputs by now."""
        yield from self._take(task.node, task.result())

    def _expansion_done(self, node_id: str) -> bool:
        """A node whose expansion has run; whether a frame was sent."""
        expanded = self._expanded[node_id]
        if self._era.has("expand_again"):
            # Where nothing is cached it may be wanted once more, and then expands anew.
            del self._expanded[node_id]
        return self._keep(node_id, resolved(self._graph, node_id, expanded, self._cache.held))

    def _fresh(self, node_id: str) -> Steps:
        """A node that has not run yet, or that has waited for its lazy inputs."""
        if self._progress.begin(node_id):
            yield None
        node = self._prepared(node_id)
        self._inputs = node.given
        if self._announce(node_id):
            yield None
        if not self._has_its_inputs(node):
            return
        calls = self._calls.calls(node)
        if node.plan.parallel or node.kind.is_async:
            returned = yield from self._start_task(node, calls)
        else:
            returned = yield from calls
        if returned is not None:
            yield from self._take(node, returned)

    def _emit_cached(self, node_id: str, entry: Entry) -> bool:
        """A result that was there already is shown once more."""
        if self._era.has("emitted_once") and node_id in self._shown:
            return False
        if entry.ui is not None and (
            self.client_id is not None or not self._era.has("cached_needs_client")
        ):
            self._shown[node_id] = self._registered(entry.ui)
        if self.client_id is None:
            return False
        output = self._shown[node_id]["output"] if entry.ui is not None else None
        return self._say_executed(node_id, output)

    def _say_executed(self, node_id: str, output: Any) -> bool:
        if self.client_id is None:
            return False
        data = f'{self._named(node_id)}"output": {comfy_json(output)}, '
        return self._say(f'{{"type": "executed", "data": {{{data}')

    def _named(self, node_id: str) -> str:
        """The first fields of ``executing`` and ``executed``, encoded."""
        name = comfy_json(node_id)
        if not self._has_display:
            return f'"node": {name}, '
        return f'"node": {name}, "display_node": {comfy_json(self._graph.display(node_id))}, '

    def _announce(self, node_id: str) -> bool:
        if self.client_id is None:
            return False
        self._calls.last_node = self._graph.display(node_id)
        return self._say(f'{{"type": "executing", "data": {{{self._named(node_id)}')

    def _say(self, beginning: str) -> bool:
        """Send a message to the client; the prompt's id is added behind its other data."""
        message = f'{beginning}"prompt_id": {self._quoted_id}}}}}'
        self._clients.send_of_prompt(self.client_id, message)
        return True

    def _prepared(self, node_id: str) -> NodeAtWork:
        kind = self._graph.node_class(node_id)
        given: dict[str, list[Any]] = {}
        missing: set[str] = set()
        inputs = self._graph.inputs(node_id)
        declared = kind.finalized(inputs)
        unseen = self._unseen(node_id, kind, inputs)
        for name, value in inputs.items():
            each = declared.get(name)
            if is_link(value) and not (each and each.options.get("rawLink")):
                entry = None if value[0] in unseen else self._cache.held(value[0])
                if entry is None or value[1] >= len(entry.outputs):
                    missing.add(name)
                    given[name] = [None]
                else:
                    given[name] = output_of(entry, value[1])
            elif each is not None or name in kind.hidden:
                # In an expansion null stands for what JSON cannot hold: a picture, a model.
                known = value is not None or node_id in self.job.prompt
                given[name] = [Value(literal=value, known=known)]
        if not kind.v3:
            for name, what in kind.hidden.items():
                given[name] = [Value(literal=self._hidden(what, node_id), known=True)]
        plan = self._plans.of(node_id, kind.name)
        return NodeAtWork(node_id, kind, plan, given, missing)

    def _unseen(self, node_id: str, kind: NodeClass, inputs: Mapping[str, Any]) -> set[str]:
        """The sources that a lazy node is not linked to yet, even if their results are there."""
        if not kind.lazy or not self._era.has("lazy_unlinked"):
            return set()
        links = {name: value[0] for name, value in inputs.items() if is_link(value)}
        seen = {source for name, source in links.items() if name not in kind.lazy}
        return set(links.values()) - seen - self._asked.get(node_id, set())

    def _hidden(self, what: str, node_id: str) -> Any:
        if what == "PROMPT":
            return self._calls.prompt
        if what == "UNIQUE_ID":
            return node_id
        return self.job.extra_data.get("extra_pnginfo") if what == "EXTRA_PNGINFO" else None

    def _has_its_inputs(self, node: NodeAtWork) -> bool:
        """Whether a node can run; a lazy one may ask for inputs first and come back later."""
        if not node.kind.lazy and node.plan.needs is None:
            return True
        self._calls.heed_interrupt()
        wanted: Sequence[str] = node.plan.needs or ()
        if node.plan.needs is None:
            first = {name: items[0] if items else None for name, items in node.given.items()}
            there = self._graph.inputs(node.id)
            asks_for = node.kind.behaviour.asks_for
            lazy = node.kind.lazy if asks_for is None else asks_for(first)
            wanted = [name for name in node.kind.inputs if name in lazy and name in there]
        asked = [name for name in wanted if name in node.missing or name not in node.given]
        for name in asked:
            self._order.need(node.id, name)
            source = self._graph.inputs(node.id)[name][0]
            self._asked.setdefault(node.id, set()).add(source)
        return not asked

    # --- what comes of a node ----------------------------------------------------------------

    def _take(self, node: NodeAtWork, returned: Sequence[Returned]) -> Steps:
        ui = merged_ui(returned)
        if node.plan.ui is not None and not all(one.blocked for one in returned):
            ui = node.plan.ui
            self._calls.write_named_files(node)
        if ui:
            self._to_keep[node.id] = {"meta": self._graph.meta(node.id), "output": ui}
            self._shown[node.id] = self._registered(self._to_keep[node.id])
            if self._say_executed(node.id, self._shown[node.id]["output"]):
                yield None
        if any(one.expand is not None for one in returned):
            self._expand(node.id, returned)
            return
        if self._keep(node.id, merged(returned, node.kind)):
            yield None

    def _registered(self, ui: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a node shows, with an asset's id for each file."""
        if not self._era.has("assets_on"):
            return ui
        return {**ui, "output": change_files(ui["output"], self._as_asset)}

    def _as_asset(self, file: Mapping[str, Any]) -> dict[str, Any]:
        entry = FileEntry.of(file)
        assert entry is not None, "change_files hands over files only"
        kind, path = entry.type, posixpath.join(entry.subfolder, entry.filename)
        anew = self._era.has("asset_per_prompt")
        asset_id, is_picture = self._worker.assets.shown(
            kind, path, self._worker.time.now, prompt_id=self.job.prompt_id, anew=anew
        )
        # A picture is its own preview.
        preview = {"preview_id": asset_id} if anew and is_picture else {}
        return {**file, "id": asset_id, **preview}

    def _keep(self, node_id: str, outputs: list[list[Any]]) -> bool:
        self._cache.set(node_id, Entry(outputs, self._to_keep.get(node_id)))
        self._executed[node_id] = None
        self._order.done(node_id)
        return self._progress.finish(node_id)

    # --- async nodes -------------------------------------------------------------------------

    def _start_task(
        self, node: NodeAtWork, calls: Generator[int | None, None, list[Returned]]
    ) -> Generator[int | None, None, list[Returned] | None]:
        """Start async work; None when it has to wait, else what it gave at once."""
        task = _Task(node, calls)
        yield from self._advance(task)
        if task.ended():
            return task.result()
        self._tasks[node.id] = task
        self._order.hold(node.id)
        # The loop has turned once: others that are due go on too.
        yield from self._advance_due()
        return None

    def _advance(self, task: _Task) -> Iterator[None]:
        """Let a task go on until it waits again or has ended."""
        try:
            while True:
                wait = next(task.steps)
                if wait is not None and wait > self._worker.time.now:
                    task.at = wait
                    return
                yield None
        except StopIteration as ended:
            task.returned = ended.value
        except (Interrupted, *NODE_FAILURES) as failed:
            task.failed = failed

    def _advance_due(self) -> Iterator[None]:
        for node_id, task in sorted(self._tasks.items(), key=lambda item: item[1].at):
            if not task.ended() and task.at <= self._worker.time.now:
                yield from self._advance(task)
                if task.ended():
                    self._order.release(node_id)

    def _wait_for_tasks(self) -> Steps:
        yield min(task.at for task in self._tasks.values() if not task.ended())
        yield from self._advance_due()

    # --- expansion ---------------------------------------------------------------------------

    def _expand(self, node_id: str, returned: Sequence[Returned]) -> None:
        """Put the nodes that a node expanded into into the graph, and wait for them."""
        added = add_expansion(
            self._graph,
            node_id,
            returned,
            self._worker.catalogue,
            again=self._era.has("expand_again"),
        )
        self._cache.expand(
            node_id,
            signatures(self._graph, added, self._change),
            {one: self._graph.node(one)["class_type"] for one in added},
        )
        for child in added:
            if self._graph.node_class(child).output_node:
                self._order.add(child)
        for source, _slot in links_out(returned):
            self._order.link(source, node_id)
        self._expanded[node_id] = list(returned)

    # --- the cache's question ----------------------------------------------------------------

    def _change(self, node_id: str) -> Any:
        """What a node's own change check says, asked once for each prompt."""
        if node_id not in self._changed:
            parent = self._graph.parent(node_id)
            given_values = parent is not None and takes_values(self._graph, node_id, parent)
            planned = self._plans.of(node_id, self._graph.node_class(node_id).name)
            found = self._worker.files.change(self._graph, node_id, planned)
            self._changed[node_id] = object() if given_values else found.key
            if found.said is not None:
                self._calls.notes[node_id] = found.said
        return self._changed[node_id]
