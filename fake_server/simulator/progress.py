"""A node's progress -> frames: progress_state, progress, previews, and how often they may come.

protocol.md, sections 2.1, 2.4 and 4. What says one frame at most tells whether it did; what may say
several is a generator that yields behind each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from comfyrec.events import comfy_json
from comfyrec.events.frames import NodeState, json_number, progress, progress_state
from comfyrec.versions import Era
from fake_server.nodes.values import NodeFailed
from fake_server.simulator.clients import Clients
from fake_server.simulator.graph import Graph

__all__ = ["Bar", "ProgressReporter"]

THROTTLE_US: Final = 100_000
THROTTLE_PERCENT: Final = 0.5


class Bar(msgspec.Struct):
    """A node's progress bar: what it last let through."""

    total: int
    at: int = 0
    value: int = -1

    def lets_through(self, value: int, at: int) -> bool:
        """Whether it is sent: one per 100 ms and half a percent, and the first and the last."""
        if self.value < 0 or value >= self.total:
            return True
        done = (value - self.value) / self.total * 100 if self.total > 0 else 100
        return at - self.at >= THROTTLE_US and done >= THROTTLE_PERCENT

    def sent(self, value: int, at: int) -> None:
        self.value, self.at = value, at


class ProgressReporter:
    """What the nodes of one prompt have come to so far, and the frames that say so."""

    def __init__(
        self, clients: Clients, era: Era, graph: Graph, *, prompt_id: str, client_id: Any
    ) -> None:
        self._clients, self._era, self._graph = clients, era, graph
        self._prompt_id, self._client_id = prompt_id, client_id
        self._quoted_id = comfy_json(prompt_id)
        self._has_states = era.has("progress_state")
        self._maxima: dict[str, str] = {}
        self._parts: dict[str, str] = {}  # node -> its entry in progress_state, encoded
        self._shown: dict[str, tuple[str, str, str]] = {}  # node -> value, maximum, state
        self._states: dict[str, NodeState] = {}

    def begin(self, node_id: str) -> bool:
        """A node starts."""
        if not self._has_states:
            return False
        self._maxima[node_id] = "1.0"
        return self._show(node_id, "0.0", "1.0", "running")

    def activity(self, node_id: str, what: str | None) -> bool:
        """A node says in a word what it is busy with, or that it no longer is (about 0.38)."""
        if not self._era.has("activity"):
            return False
        return self._write(node_id, activity=what)

    def finish(self, node_id: str) -> bool:
        """A node has its result; one that never started shows 1/1."""
        if not self._has_states:
            return False
        maximum = self._maxima.get(node_id, "1")
        return self._show(node_id, maximum, maximum, "finished")

    def update(
        self,
        node_id: str,
        bar: Bar,
        value: int,
        *,
        at: int,
        preview: tuple[str, bytes] | None,
        announced: str | None,
        heed: Callable[[], None],
    ) -> Iterator[None]:
        """One progress update: progress_state, type 4, progress, type 1, as far as each applies.

        Args:
            at: when it was made; the throttle counts in this time.
            announced: the display id of the last ``executing``.
            heed: looks at the interrupt flag, which the server does before it sends.
        """
        always = preview is not None or not self._era.has("throttle")
        if not (always or bar.lets_through(value, at)):
            return
        bar.sent(value, at)
        heed()
        shown, maximum = json_number(value), json_number(bar.total)
        if self._has_states:
            self._maxima[node_id] = maximum
            self._show(node_id, shown, maximum, "running")
            yield
        with_metadata = preview is not None and self._supports_metadata()
        if preview is not None and with_metadata:
            self._clients.preview_with(self._client_id, *preview, self._metadata(node_id))
            yield
        # Older servers name the node that was last announced, which is none without a client.
        named = node_id if self._has_states else announced
        self._clients.send_of_prompt(
            self._client_id,
            progress(shown, maximum, prompt_id=self._quoted_id, node=comfy_json(named)),
        )
        yield
        if preview is not None and not with_metadata:
            self._clients.preview(self._client_id, *preview)
            yield

    def _supports_metadata(self) -> bool:
        if not self._has_states:
            return False
        try:
            return self._clients.supports(self._client_id, "supports_preview_metadata")
        except AttributeError as broken:  # flags that are no object break the node
            raise NodeFailed("AttributeError", str(broken)) from None

    def _metadata(self, node_id: str) -> dict[str, Any]:
        return {
            "node_id": node_id,
            "prompt_id": self._prompt_id,
            "display_node_id": self._graph.display(node_id),
            "parent_node_id": self._graph.parent(node_id),
            "real_node_id": self._graph.real(node_id),
        }

    def _show(self, node_id: str, value: str, maximum: str, state: str) -> bool:
        # Each frame repeats every node, so a node's entry is encoded only when it changes.
        self._shown[node_id] = value, maximum, state
        return self._write(node_id)

    def _write(self, node_id: str, activity: str | None = None) -> bool:
        self._parts[node_id] = self._of_node(node_id).entry(
            *self._shown[node_id], activity=activity
        )
        return self._send_state()

    def _send_state(self) -> bool:
        state = progress_state(self._quoted_id, self._parts.values())
        self._clients.send_of_prompt(self._client_id, state)
        return True

    def _of_node(self, node_id: str) -> NodeState:
        state = self._states.get(node_id)
        if state is None:
            graph = self._graph
            state = self._states[node_id] = NodeState.of(
                node_id,
                prompt_id=self._quoted_id,
                display=graph.display(node_id),
                parent=graph.parent(node_id),
                real=graph.real(node_id),
            )
        return state
