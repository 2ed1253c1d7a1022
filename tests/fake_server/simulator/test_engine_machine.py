"""Random sessions with the order checker as oracle: whatever people do, the order holds.

Every session begins with prompts of clients that listen, so that there is a stream to disturb.
``COMFYREC_FUZZ=deep`` runs many thousand graphs.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from comfyrec.events import decode
from comfyrec.events.order import Checker, Violation
from fake_server.simulator.cache import CACHES
from fake_server.simulator.node_plan import NodePlans, always
from fake_server.source import Send
from tests.support.engine_bench import Rig, node
from tests.support.lanes import DEEP

pytestmark = pytest.mark.long

TOTALS: Counter[str] = Counter()
"""What the sessions came to, so that a run can be told from an idle one."""
VERSIONS = ("0.27.0", "0.27.0", "0.27.0", "0.8.2", "0.3.64", "0.3.10", "2024-07", "0.38.0")


class Watched(Rig):
    """A rig whose frames all pass the checker."""

    def __init__(self, **kwargs: Any) -> None:
        self.checker = Checker()
        super().__init__(**kwargs)

    def broken(self) -> list[Violation]:
        """The rules that were broken."""
        return self.checker.violations

    def connect(self, letter: str = "A", client_id: str | None = "") -> list[Any]:
        self.checker.opened(letter)
        return super().connect(letter, client_id)

    def leave(self, letter: str) -> None:
        super().leave(letter)
        self.checker.closed(letter)

    def collect(self) -> None:
        actions = self.engine.take()
        self.engine.clients.actions = actions
        for action in actions:
            for socket in action.sockets if isinstance(action, Send) else ():
                message = action.message  # type: ignore[union-attr]  # a Send
                self.checker.feed(decode(message), self._letters[socket])
                TOTALS["frames"] += 1
        super().collect()


# --- graphs and plans ----------------------------------------------------------------------------

KINDS = ("Make", "Pass", "Pass", "Both", "Fan", "Gather", "Mix", "Halfway", "Own", "ImageInvert")
OUTPUTS = ("Sink", "PreviewImage", "SaveImage", "SaveImageWebsocket", "Sink")
EXPANSIONS: list[dict[str, Any]] = [
    {
        "graph": {"1": node("Make", color=1), "2": node("Pass", image=["1", 0])},
        "result": [["2", 0]],
    },
    {
        "graph": {"1": node("Make", color=2), "2": node("PreviewImage", images=["1", 0])},
        "result": [["1", 0]],
    },
    {"graph": {"1": node("Make", color=3)}, "result": [None]},
    {
        "graph": {"1": node("Pass", image=["2", 0]), "2": node("Pass", image=["1", 0])},
        "result": [["2", 0]],
    },
]
PLANS = st.fixed_dictionaries(
    {},
    optional={
        "seconds": st.sampled_from([0, 0.02, 0.3]),
        "steps": st.integers(0, 4),
        "raise": st.sampled_from([{"type": "ValueError", "message": "no"}, "x"]),
        "previews": st.sampled_from([None, {"size": [2, 2]}, {"format": "png", "size": [2, 2]}]),
        "uncached": st.booleans(),
        "block": st.sampled_from([None, "blocked"]),
        "expand": st.sampled_from(EXPANSIONS),
        "needs": st.sampled_from([[], ["image1"], ["image1", "image2"], ["nothing"]]),
        "deaf": st.booleans(),
        "async": st.booleans(),
        "items": st.integers(0, 3),
        "images": st.integers(0, 3),
        "text": st.just("text"),
        "ui": st.sampled_from([{}, {"text": ["a"]}]),
        "events": st.just([["extension.event", {}]]),
    },
)
# Most nodes do nothing special; those that do mostly do one or two things, and few of them fail.
FEW = PLANS.map(lambda plan: dict([*plan.items()][:2]))
CALM = FEW.map(lambda plan: {key: value for key, value in plan.items() if key != "raise"})
SOMETIMES = st.one_of(st.none(), st.none(), st.none(), CALM, CALM, FEW, PLANS)


def make(kind: str, draw: Any, earlier: Any) -> dict[str, Any]:
    if kind == "Make":
        return node("Make", color=draw(st.integers(0, 2)))
    if kind == "Both":
        return node("Both", image1=[draw(earlier), 0], image2=[draw(earlier), 0])
    if kind == "Mix":
        return node("Mix", image1=[draw(earlier), 0], image2=[draw(earlier), 0], mask=["mask", 0])
    if kind == "Fan":
        return node("Fan", image=[draw(earlier), 0], count=draw(st.integers(0, 3)))
    if kind in ("PreviewImage", "SaveImageWebsocket"):
        return node(kind, images=[draw(earlier), 0])
    if kind == "SaveImage":
        return node(kind, images=[draw(earlier), 0], filename_prefix=draw(st.sampled_from("ab")))
    return node(kind, image=[draw(earlier), 0])


@st.composite
def prompts(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A prompt, and plans for some of its nodes."""
    ids = ["mask", "0"]
    prompt = {"mask": node("Mask", value=0.5), "0": node("Make", color=draw(st.integers(0, 2)))}
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=5))
    for kind in [*kinds, *draw(st.lists(st.sampled_from(OUTPUTS), min_size=1, max_size=3))]:
        earlier = st.sampled_from([one for one in ids if one != "mask"][-4:])
        prompt[str(len(ids))] = make(kind, draw, earlier)
        if kind not in OUTPUTS:
            ids.append(str(len(ids)))
        else:
            ids.insert(0, "mask")
    plans = {one: draw(SOMETIMES) for one in prompt}
    return prompt, {one: plan for one, plan in plans.items() if plan}


def own(number: int, prompt: dict[str, Any], plans: dict[str, Any]) -> tuple[Any, Any]:
    """Ids of this prompt alone, for a plan speaks of ids and several prompts may wait."""

    def named(one: str) -> str:
        return f"{number}-{one}"

    nodes = {
        named(one): {
            **each,
            "inputs": {
                name: [named(value[0]), value[1]] if isinstance(value, list) else value
                for name, value in each["inputs"].items()
            },
        }
        for one, each in prompt.items()
    }
    return nodes, {named(one): plan for one, plan in plans.items()}


# --- sessions ------------------------------------------------------------------------------------

CLIENTS = st.sampled_from(["A", "B", "C"])


class Sessions(RuleBasedStateMachine):
    """People connect, submit, interrupt, delete, vanish; time goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: dict[str, Any] = {}
        self.accepted: list[str] = []
        self.gone: set[str] = set()
        self.sockets: list[str] = []
        self.graphs = 0

    @initialize(
        version=st.sampled_from(VERSIONS),
        cache=st.sampled_from([None, *CACHES]),
        lag=st.sampled_from([0, 0, 10_000]),
        stepwise=st.booleans(),
        first=st.lists(st.tuples(prompts(), st.sampled_from("AAB")), min_size=2, max_size=4),
    )
    def start(
        self, version: str, cache: str | None, lag: int, stepwise: bool, first: list[Any]
    ) -> None:
        TOTALS["sessions"] += 1
        self.rig = Watched(version=version, cache=cache, lru_size=4, history_delay_us=lag)
        self.rig.engine.stepwise = stepwise
        self.connect("A")
        self.connect("B")
        for (prompt, plans), client in first:
            # They take their time, so that there is something to interrupt and to miss.
            self.submit((prompt, {"0": {"seconds": 0.3, "steps": 3}} | plans), client, {})

    @rule(client=st.one_of(CLIENTS, st.none()))
    def connect(self, client: str | None) -> None:
        name = f"{client}{len(self.rig._letters)}"
        self.rig.connect(name, client)
        self.sockets.append(name)

    @precondition(lambda self: self.sockets)
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.sockets))
        self.sockets.remove(name)
        self.rig.leave(name)

    @rule(client=CLIENTS)
    def come_back(self, client: str) -> None:
        """The socket of a client breaks and another one takes its place."""
        for name in [one for one in self.sockets if one.startswith(client)]:
            self.sockets.remove(name)
            self.rig.leave(name)
        self.connect(client)

    @precondition(lambda self: self.sockets)
    @rule(data=st.data(), flag=st.sampled_from([True, False, None, 1]))
    def announce(self, data: st.DataObject, flag: Any) -> None:
        name = data.draw(st.sampled_from(self.sockets))
        message = {"type": "feature_flags", "data": {"supports_preview_metadata": flag}}
        self.rig.say(name, message)

    @rule(
        drawn=prompts(),
        client=st.one_of(CLIENTS, CLIENTS, st.none(), st.just("nobody")),
        extra=st.sampled_from([{}, {}, {}, {"front": True}, {"number": 1.5}]),
    )
    def submit(self, drawn: Any, client: str | None, extra: dict[str, Any]) -> None:
        prompt, plans = own(self.graphs, *drawn)
        self.graphs += 1
        TOTALS["graphs"] += 1
        self.plans |= plans
        self.rig.engine.worker.plan_for = always(NodePlans(self.plans))
        self.accepted.append(self.rig.queue(prompt, client, **extra))

    @precondition(lambda self: self.accepted)
    @rule()
    def submit_again(self) -> None:
        entries = self.rig.engine.history
        if entries:
            item = next(reversed(entries.values()))["prompt"]
            TOTALS["graphs"] += 1
            self.accepted.append(self.rig.queue(item[2], item[3].get("client_id")))

    @rule()
    def interrupt(self) -> None:
        self.rig.ask("POST", "/interrupt")

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def interrupt_one(self, data: st.DataObject) -> None:
        prompt_id = data.draw(st.sampled_from([*self.accepted[-3:], "nobody's"]))
        self.rig.ask("POST", "/interrupt", {"prompt_id": prompt_id})

    @precondition(lambda self: self.accepted)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        prompt_id = data.draw(st.sampled_from(self.accepted))
        waiting = [job.prompt_id for job in self.rig.engine.pending]
        self.rig.ask("POST", "/queue", {"delete": [prompt_id]})
        self.gone |= {prompt_id} & set(waiting)

    @rule()
    def clear(self) -> None:
        self.gone |= {job.prompt_id for job in self.rig.engine.pending}
        self.rig.ask("POST", "/queue", {"clear": True})

    @rule()
    def free(self) -> None:
        self.rig.ask("POST", "/free", {"free_memory": True})

    @rule(microseconds=st.sampled_from([0, 1, 1_000, 50_000, 200_000]))
    def time_goes_on(self, microseconds: int) -> None:
        self.rig.until(self.rig.now + microseconds)

    @rule(wakes=st.integers(1, 8))
    def next_wakes(self, wakes: int) -> None:
        for _ in range(min(wakes, len(self.rig.wakes))):
            self.rig.wake()

    @invariant()
    def the_order_holds(self) -> None:
        if hasattr(self, "rig"):
            assert not self.rig.broken(), self.rig.broken()[0]

    @invariant()
    def the_queue_counts_what_waits_and_runs(self) -> None:
        if hasattr(self, "rig"):
            queue = self.rig.get("/queue")
            remaining = self.rig.get("/prompt")["exec_info"]["queue_remaining"]
            assert remaining == len(queue["queue_running"]) + len(queue["queue_pending"])

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        self.rig.finish()
        self.rig.checker.end()
        assert not self.rig.broken(), self.rig.broken()[0]
        assert self.rig.engine.remaining == 0
        history = self.rig.get("/history")
        assert set(history) == set(self.accepted) - self.gone
        for entry in history.values():
            self._is_whole(entry)

    def _is_whole(self, entry: dict[str, Any]) -> None:
        kinds = Counter(kind for kind, _ in entry["status"]["messages"])
        TOTALS.update(kinds)
        outcomes = {"execution_success", "execution_error", "execution_interrupted"}
        expected = 1 if self.rig.engine.era.has("success_event") else 0
        assert kinds["execution_start"] == kinds["execution_cached"] == 1
        assert sum(kinds[one] for one in outcomes) in (expected, 1)
        assert json.dumps(entry)


def test_whatever_people_do_the_order_holds() -> None:
    TOTALS.clear()
    profile = settings(
        max_examples=1_500 if DEEP else 40,
        stateful_step_count=50 if DEEP else 25,
        suppress_health_check=list(HealthCheck),
    )

    run_state_machine_as_test(Sessions, settings=profile)  # type: ignore[no-untyped-call]  # hypothesis

    assert TOTALS["graphs"] >= 2 * TOTALS["sessions"]
    assert TOTALS["frames"] >= 5 * TOTALS["graphs"]
    assert TOTALS["execution_interrupted"] or not DEEP
