"""The simulated server as one source: routes, sockets and the engine.

A request is answered first. Frames that it caused are sent after the answer, as by the real server
(protocol.md, section 4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from fake_server.http.console_log import banner, print_end, print_failure
from fake_server.http.context import Context, HandlerFailed
from fake_server.http.middleware import answer, is_websocket, lets_in
from fake_server.http.responses import empty, server_error
from fake_server.options import ServerOptions
from fake_server.simulator.engine import Engine
from fake_server.simulator.node_plan import NodePlans, PlanFor, always
from fake_server.source import (
    Accept,
    Action,
    Disconnected,
    Happened,
    MessageReceived,
    RequestReceived,
    Respond,
    Source,
    UpgradeRequested,
    Woke,
)

__all__ = ["SimulatedServer"]


class SimulatedServer(Source):
    """Routes, sockets and the engine as one source.

    Args:
        options: how the server was started; None: with no options.
        plan_for: what the nodes of each prompt do; None: what they do on a real server.
    """

    def __init__(
        self, options: ServerOptions | None = None, *, plan_for: PlanFor | None = None
    ) -> None:
        options = options or ServerOptions()
        folders = options.folders()
        self.engine = Engine(options, folders=folders, plan_for=plan_for or always(NodePlans()))
        self.context = Context(
            engine=self.engine, options=options, folders=folders, random=self.engine.random
        )
        self.context.log.extend(banner(self.context))
        self.engine.worker.on_failed = partial(print_failure, self.context)
        self.engine.on_ended = partial(print_end, self.context)
        if options.multi_user:
            self.context.users.clear()

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """Take what happened and say what shall happen, in order."""
        self.engine.time.reach(now)
        match happened:
            case RequestReceived():
                yield Respond(happened.exchange, answer(self.context, happened.request))
            case UpgradeRequested():
                yield self._let_in(happened, now)
            case MessageReceived():
                self.engine.received(happened.socket, happened.message, now)
            case Disconnected():
                self.engine.disconnected(happened.socket, now)
            case Woke():
                self.engine.woke(now)
        yield from self.engine.take()

    def facts(self) -> Mapping[str, Any]:
        """The engine's facts."""
        return self.engine.facts()

    def ended(self, prompt_id: str) -> Mapping[str, Any] | None:
        """The engine's entry, also where no client was told of the end."""
        return self.engine.history.get(prompt_id)

    def reset(self, parts: Collection[str]) -> None:
        """Forget parts of the state, silently."""
        self.engine.reset([name for name in parts if name != "files"])
        if "files" in parts:
            self.context.folders.clear()
            self.context.assets.clear()
            self.context.tasks.clear()
            self.engine.files.put_inputs(self.engine.learned.files)

    def learn(self, workflows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Have what these workflows need from now on."""
        # Few servers learn; the others start without reading how.
        from comfyrec.workflows import find_workflows
        from fake_server.simulator.learning import Learner

        learner = Learner(self.engine.catalogue, self.engine.era)
        for number, workflow in enumerate(workflows, 1):
            for one in find_workflows(workflow, f"workflow {number}"):
                learner.add(one, f"workflow {number}")
        learned = learner.learned()
        self.engine.learn(learned)
        return learned.facts()

    def step_by_frame(self, on: bool) -> None:
        """Whether the worker stops after each frame."""
        self.engine.stepwise = on

    def _let_in(self, upgrade: UpgradeRequested, now: int) -> Action:
        request = upgrade.request
        try:
            admitted = lets_in(self.context, request)
        except HandlerFailed:
            return Respond(upgrade.socket, server_error())
        if not admitted:
            return Respond(upgrade.socket, empty(403))
        if not is_websocket(self.context, request):
            return Respond(upgrade.socket, answer(self.context, request))
        self.engine.connected(upgrade.socket, request.client_id or None, now)
        return Accept(upgrade.socket)
