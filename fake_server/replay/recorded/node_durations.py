"""timeline -> how long each node class ran, from when one node was named to when the next was."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from comfyrec.timeline import RecordedPrompt, Timeline

__all__ = ["seconds_by_class"]


def seconds_by_class(timeline: Timeline) -> dict[str, float]:
    """Class -> seconds, the median of its recorded runs."""
    found: dict[str, list[float]] = {}
    for prompt in timeline.prompts:
        for class_type, seconds in _runs(timeline, prompt):
            found.setdefault(class_type, []).append(seconds)
    return {class_type: median(runs) for class_type, runs in found.items()}


def _runs(timeline: Timeline, prompt: RecordedPrompt) -> Iterator[tuple[str, float]]:
    node: str | None = None
    since = 0
    for socket, part in prompt.frames:
        message = timeline.sockets[socket].messages[part]
        if message.peek.type != "executing" and message.at != prompt.terminal_at:
            continue
        graph_node = prompt.graph.get(node) if node is not None else None
        if isinstance(graph_node, dict):
            yield str(graph_node.get("class_type")), max(message.t - since, 0) / 1_000_000
        node, since = message.peek.node, message.t
        if message.at == prompt.terminal_at:
            node = None
