"""What was said of a recorded prompt -> the same of the live prompt that stands for it.

Node ids, file names, texts and numbers that the live client chose stand where the recorded ones
stood. What the graphs have in common stays as it was recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from comfyrec.events.outputs import FileEntry
from fake_server.replay.live.output_names import LiveFiles

__all__ = ["PromptRewriter"]

INSIDE_MIN: Final = 4
"""A text is replaced inside other texts when it is at least so long."""
NUMBER_MIN: Final = 1_000
"""A number is taken for a drawn one, wherever it stands, from here on; a smaller one where the name
of its input stands beside it."""
# Where ComfyUI puts node ids (protocol.md, sections 2, 6 and 8).
_NODE: Final = frozenset(
    ("node", "node_id", "display_node", "display_node_id", "real_node_id", "parent_node",
     "parent_node_id")
)  # fmt: skip
_NODES: Final = frozenset(("nodes", "executed", "current_outputs", "dependent_outputs"))
_BY_NODE: Final = frozenset(("nodes", "outputs", "meta", "node_errors", "current_outputs"))
_INPUTS: Final = "current_inputs"
"""Input -> the values that a node got."""
_RECEIVED: Final = "received_value"
"""The value that was refused of the input whose name stands beside it, as ``input_name``."""


class PromptRewriter:
    """Rewrites for one live prompt.

    Args:
        nodes: recorded node id -> live node id; None: both graphs use the same ids.
        values: (name, recorded value, live value) of the inputs that differ.
        files: the names of output files.
        variant: see ``LiveFiles.live``.
    """

    def __init__(
        self,
        nodes: Mapping[str, str] | None,
        values: list[tuple[str, Any, Any]],
        files: LiveFiles,
        variant: int,
    ) -> None:
        self._nodes = nodes
        self._files, self._variant = files, variant
        self._texts: dict[str, str] = {}
        for _, recorded, live in values:
            if isinstance(recorded, str) and isinstance(live, str):
                self._texts.update(_with_parts(recorded, live))
        numbers = [
            (name, repr(recorded), live)
            for name, recorded, live in values
            if _is_number(recorded) and repr(recorded) != repr(live)
        ]
        self._numbers = {recorded: live for _, recorded, live in numbers}
        self._of_input = {(name, recorded): live for name, recorded, live in numbers}
        self._inside = sorted(
            (text for text in self._texts if len(text) >= INSIDE_MIN), key=len, reverse=True
        )

    def knows(self, node_id: str | None) -> bool:
        """Whether the live graph has a node for a recorded one."""
        return node_id is None or self.node(node_id) is not None

    def node(self, node_id: str) -> str | None:
        """The live node; ids that a node made while it ran (``5.0.3``) follow their first part."""
        if self._nodes is None:
            return node_id
        if node_id in self._nodes:
            return self._nodes[node_id]
        root, dot, rest = node_id.partition(".")
        return f"{self._nodes[root]}{dot}{rest}" if dot and root in self._nodes else None

    def text(self, message: str) -> str:
        """A whole JSON text; what is none stays as it is."""
        try:
            value = json.loads(message)
        except (ValueError, RecursionError):
            return message
        return json.dumps(self.value(value))

    def body(self, body: bytes) -> bytes:
        """The same for the body of an answer."""
        try:
            return self.text(body.decode()).encode()
        except UnicodeDecodeError:
            return body

    def value(self, value: Any, key: str = "") -> Any:
        """A JSON value, rewritten.

        Args:
            value: as recorded.
            key: under which it stands.
        """
        if isinstance(value, dict):
            return self._object(value, key)
        if isinstance(value, list):
            return self._list(value, key)
        if isinstance(value, str):
            return self._node_or_text(value, key)
        return self._number(value)

    def _object(self, value: dict[str, Any], key: str) -> Any:
        ref = FileEntry.of(value)
        if ref is not None and ref.type != "input":
            live = self._files.live(ref, self._texts, self._variant)
            named = {"filename": live.filename, "subfolder": live.subfolder}
            return {**value, **{name: new for name, new in named.items() if name in value}}
        if key == _INPUTS:
            return {name: self._of(name, item) for name, item in value.items()}
        if key not in _BY_NODE:
            asked = value.get("input_name")
            return {
                name: self._of(asked, item) if name == _RECEIVED else self.value(item, name)
                for name, item in value.items()
            }
        found = {}
        for name, item in value.items():
            live_name = self.node(name)
            if live_name is not None:
                found[live_name] = self.value(item)
        return found

    def _of(self, name: Any, value: Any) -> Any:
        """What an input of that name got."""
        if isinstance(value, list):
            return [self._of(name, item) for item in value]
        if not _is_number(value):
            return self.value(value)
        return self._of_input.get((name, repr(value)), value)

    def _list(self, value: list[Any], key: str) -> list[Any]:
        if key not in _NODES:
            return [self.value(item, key) for item in value]
        live = [self.node(item) if isinstance(item, str) else item for item in value]
        return [item for item in live if item is not None]

    def _node_or_text(self, value: str, key: str) -> str:
        if key in _NODE:
            return self.node(value) or value
        if value in self._texts:
            return self._texts[value]
        if value in self._numbers and len(value) >= INSIDE_MIN:
            return str(self._numbers[value])
        for text in self._inside:
            value = value.replace(text, self._texts[text])
        return value

    def _number(self, value: Any) -> Any:
        if not _is_number(value) or abs(value) < NUMBER_MIN:
            return value
        return self._numbers.get(repr(value), value)


def _with_parts(recorded: str, live: str) -> Iterator[tuple[str, str]]:
    """A path of an input file comes back as folder and name."""
    for one, other in [(recorded, live), *_parts(recorded, live)]:
        if one and one != other:
            yield one, other


def _parts(recorded: str, live: str) -> list[tuple[str, str]]:
    folder, slash, name = recorded.rpartition("/")
    live_folder, live_slash, live_name = live.rpartition("/")
    return [(folder, live_folder), (name, live_name)] if slash and live_slash else []


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
