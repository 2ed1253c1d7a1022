"""messages about the nodes of one prompt -> how far it is."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from comfyrec.client.progress_event import ProgressInfo, share

__all__ = ["NodeProgress"]


class NodeProgress:
    """Counts nodes. ``info`` is what a callback is shown; it is replaced, never changed."""

    def __init__(self, nodes: Iterable[str]) -> None:
        self._nodes = frozenset(nodes)
        self._cached: tuple[str, ...] = ()
        self._completed: dict[str, None] = {}
        self._current: str | None = None
        self.info = ProgressInfo(nodes_total=len(self._nodes))

    def queued(self, position: int | None) -> None:
        """So many prompts run before it; None: it does not wait."""
        if position != self.info.queue_position:
            self.info = msgspec.structs.replace(self.info, queue_position=position)

    def cached(self, nodes: Iterable[str]) -> None:
        """These nodes are not run."""
        self._cached = tuple(dict.fromkeys(node for node in nodes if node in self._nodes))
        for node in self._cached:
            self._completed.pop(node, None)
        self._count()

    def runs(self, node: str) -> None:
        """A node runs; the one before it is done."""
        if node != self._current:
            self._complete(self._current)
            self._current = node
        self._count()

    def ran(self, node: str) -> None:
        """A node is done."""
        self._complete(node)
        self._count()

    def last_one_ran(self) -> None:
        """No node runs any more."""
        self._complete(self._current)

    def step(self, value: float | None, most: float | None) -> None:
        """The running node moved on; the numbers are the server's own."""
        old = self.info
        done = len(self._cached) + len(self._completed) + share(value, most)
        self.info = ProgressInfo(
            node_current=old.node_current,
            node_progress_value=value,
            node_progress_max=most,
            nodes_completed=old.nodes_completed,
            nodes_skipped=old.nodes_skipped,
            nodes_total=old.nodes_total,
            nodes_progress=max(old.nodes_progress, share(done, old.nodes_total)),
        )

    def succeeded(self) -> None:
        """All of it is done, whatever messages said of the nodes."""
        self.info = msgspec.structs.replace(self.info, nodes_progress=1.0)

    def _complete(self, node: str | None) -> None:
        if node in self._nodes and node not in self._cached:
            self._completed[node] = None

    def _count(self) -> None:
        """A node began or ended. The bar of the running node starts anew."""
        old = self.info
        done = len(self._cached) + len(self._completed)
        self.info = ProgressInfo(
            node_current=self._current,
            nodes_completed=tuple(self._completed),
            nodes_skipped=self._cached,
            nodes_total=old.nodes_total,
            nodes_progress=max(old.nodes_progress, share(done, old.nodes_total)),
            queue_position=old.queue_position,
        )
