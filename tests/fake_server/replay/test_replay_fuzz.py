"""Clients that do anything in any order: nothing raises, and what was submitted comes to an end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.lanes import DEEP
from tests.support.replay_rig import LiveSocket, Rig, graph_of, timeline_of

# Recordings whose prompts all end, of several shapes.
NAMES = [
    "all-cached",
    "async-nodes",
    "image-only",
    "interrupted",
    "interrupted-by-id",
    "many-quick-prompts",
    "no-client-id",
    "partly-cached",
    "pending-deleted",
    "reconnect-mid-run",
    "server-0.3.10-queue",
    "server-2024-txt2img",
    "two-clients",
]
CLIENTS = ["a", "b", None]
PATHS = ["/queue", "/prompt", "/history", "/api/jobs", "/history/{}", "/api/jobs/{}", "/view?x=1"]
BODIES: list[tuple[str, Any]] = [
    ("/interrupt", b""),
    ("/interrupt", {"prompt_id": "{}"}),
    ("/queue", {"delete": ["{}"]}),
    ("/queue", {"clear": True}),
    ("/history", {"delete": ["{}"]}),
    ("/history", {"clear": True}),
    ("/api/jobs/{}/cancel", b""),
    ("/free", {"free_memory": True}),
]
FLAGS = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}

actions = st.one_of(
    st.tuples(st.just("connect"), st.sampled_from(CLIENTS)),
    st.tuples(st.just("leave"), st.integers(0, 5)),
    st.tuples(st.just("submit"), st.integers(0, 9), st.sampled_from(CLIENTS)),
    st.tuples(st.just("ask"), st.sampled_from(PATHS)),
    st.tuples(st.just("change"), st.sampled_from(BODIES)),
    st.tuples(st.just("say"), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.sampled_from([1_000, 50_000, 2_000_000])),
)


class Clients:
    """Carries the actions out."""

    def __init__(self, name: str) -> None:
        self.rig = Rig(timeline_of(name))
        self.sockets: list[LiveSocket] = []
        self.submitted: list[str] = []

    @property
    def latest(self) -> str:
        return self.submitted[-1] if self.submitted else "none"

    def connect(self, client: str | None) -> None:
        self.sockets.append(self.rig.connect(client))

    def leave(self, number: int) -> None:
        if number < len(self.sockets):
            self.rig.leave(self.sockets.pop(number), 1006)

    def submit(self, number: int, client: str | None) -> None:
        prompts = self.rig.timeline.prompts
        answer = self.rig.post(graph_of(self.rig.timeline, number % len(prompts)), client)
        if answer.status == 200:
            self.submitted.append(json.loads(answer.body)["prompt_id"])

    def ask(self, path: str) -> None:
        self.rig.ask_or_hang_up("GET", path.format(self.latest))

    def change(self, change: tuple[str, Any]) -> None:
        path, body = change
        body = body if isinstance(body, bytes) else _filled(body, self.latest)
        self.rig.ask_or_hang_up("POST", path.format(self.latest), body)

    def say(self, number: int) -> None:
        if number < len(self.sockets):
            self.rig.say(self.sockets[number], FLAGS)

    def wait(self, microseconds: int) -> None:
        self.rig.run(until=self.rig.now + microseconds)


def _filled(body: Any, prompt_id: str) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, prompt_id) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, prompt_id) for value in body]
    return prompt_id if body == "{}" else body


@pytest.mark.slow
@settings(
    max_examples=3_000 if DEEP else 60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.sampled_from(NAMES), st.lists(actions, max_size=40))
def test_whatever_clients_do_their_prompts_end(name: str, done: list[Any]) -> None:
    clients = Clients(name)

    for what, *how in done:
        getattr(clients, what)(*how)
    clients.rig.run()

    playthroughs = clients.rig.player.playthroughs
    waiting = [live.live_id for one in playthroughs for live in one.live_state.waiting]
    assert not set(waiting) & set(clients.submitted)
