"""What the recorded server refuses: known from its node classes and from what it refused.

A live prompt that the recorded server would have refused is refused, even where another recorded
prompt lies close to it. A flaw counts only where the recording bears it out: an accepted prompt
that has the same flaw shows that this server does not mind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final

import msgspec

from comfyrec.errors import UsageError
from comfyrec.timeline import Timeline
from comfyrec.versions import Era, era_of
from fake_server.nodes.catalogue import Catalogue
from fake_server.options import ServerOptions
from fake_server.replay.matching.shape import inputs_of
from fake_server.replay.recorded.node_classes import NodeClasses
from fake_server.simulator.validate import Broken, Verdict, validate

__all__ = ["UNKNOWN_CLASS", "Flaw", "Validity", "flaws_of", "validity_of"]

UNKNOWN_CLASS: Final = "missing_node_type"
_NO_OUTPUTS: Final = "prompt_no_outputs"
_FILE: Final = "custom_validation_failed"
# What can be told without the files and models of the recorded server.
_PLAIN: Final = frozenset(
    ("required_input_missing", "value_smaller_than_min", "value_bigger_than_max")
)


class Flaw(msgspec.Struct, frozen=True):
    """One reason for a refusal."""

    kind: str
    """As the server calls it, such as ``required_input_missing``."""
    class_type: str = ""
    name: str = ""
    """The input."""


class Validity:
    """Judges live prompts as the recorded server would.

    Args:
        catalogue: its node classes, as far as they are known.
        described: the classes that the recording itself describes.
        guessed: the classes that are known from their use in its graphs alone.
        era: its generation.
        accepted: graphs that it took.
        refused: the reasons that it gave when it refused others.
        takes_unknown: whether it takes a class that it does not know.
        known_to: "neither X nor Y", whoever would know of a class.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        described: frozenset[str],
        guessed: frozenset[str],
        era: Era,
        accepted: Iterable[Mapping[str, Any]],
        refused: Iterable[Flaw],
        *,
        takes_unknown: bool = False,
        known_to: str = "nobody here",
    ) -> None:
        self.known_to = known_to
        self._catalogue, self._era = catalogue, era
        self._described, self._guessed = described, guessed
        self._takes_unknown = takes_unknown
        self._accepted = list(accepted)
        self._refused = frozenset(refused)

    # Looked at when a live prompt has a flaw: most have none.

    @cached_property
    def _harmless(self) -> frozenset[Flaw]:
        """The flaws that the recorded server does not mind."""
        return frozenset(flaw for graph in self._accepted for flaw in self._found(graph))

    @cached_property
    def _files(self) -> Mapping[tuple[str, str], set[str]]:
        """(class, input) -> the texts that it had in prompts that were taken."""
        found: dict[tuple[str, str], set[str]] = {}
        for graph in self._accepted:
            for node in graph.values():
                for name, value in inputs_of(node).items():
                    if isinstance(value, str):
                        found.setdefault((_class(node), name), set()).add(value)
        return found

    def seen_in(self, graph: Mapping[str, Any], flaws: Iterable[Flaw]) -> frozenset[Flaw]:
        """Those of a refusal's reasons that can be told from its graph."""
        visible = set(self.flaws(graph, lambda text: False))
        return frozenset(flaw for flaw in flaws if flaw in visible)

    def unknown_in(self, graph: Mapping[str, Any]) -> list[str]:
        """The classes of a graph that the recorded server does not know."""
        unknown = self._catalogue.unknown_in(graph)
        return [] if unknown and self._is_harmless(Flaw(UNKNOWN_CLASS)) else unknown

    def flaws(self, graph: Mapping[str, Any], known_file: Any, targets: Any = None) -> list[Flaw]:
        """Why the recorded server would refuse a graph; empty when it would take it.

        Args:
            graph: of the live prompt.
            known_file: text -> whether it names a file that a live client uploaded.
            targets: its ``partial_execution_targets``.
        """
        found = [flaw for flaw in self._found(graph, targets) if self._counts(flaw, graph)]
        return found + list(self._missing_files(graph, known_file))

    def _counts(self, flaw: Flaw, graph: Mapping[str, Any]) -> bool:
        if self._is_harmless(flaw):
            return False
        if flaw.kind == _NO_OUTPUTS:
            # What is known of a class from its use alone does not tell whether it is an output.
            return not any(_class(node) in self._guessed for node in graph.values())
        if flaw.kind == UNKNOWN_CLASS or flaw in self._refused or flaw.kind in _PLAIN:
            return True
        return flaw.class_type in self._described and flaw.kind != _FILE

    def _is_harmless(self, flaw: Flaw) -> bool:
        return (self._takes_unknown and flaw.kind == UNKNOWN_CLASS) or flaw in self._harmless

    def _missing_files(self, graph: Mapping[str, Any], known_file: Any) -> Iterator[Flaw]:
        """Where a file was once not found, one that nobody uploaded is not found either."""
        for node in graph.values():
            for name, value in inputs_of(node).items():
                flaw = Flaw(_FILE, _class(node), name)
                if flaw not in self._refused or not isinstance(value, str):
                    continue
                if value not in self._files.get((_class(node), name), ()) and not known_file(value):
                    yield flaw

    def _found(self, graph: Mapping[str, Any], targets: Any = None) -> Iterator[Flaw]:
        verdict = self.verdict(graph, targets)
        if verdict is not None and verdict.error is not None:
            yield from flaws_of(graph, verdict.error, verdict.node_errors)

    def verdict(self, graph: Mapping[str, Any], targets: Any = None) -> Verdict | None:
        """What the server says of a graph; None when its own code would fail on it."""
        try:
            return validate(
                json.loads(json.dumps(graph)),
                targets if self._era.has("partial_targets") else None,
                catalogue=self._catalogue,
                era=self._era,
                checks=lambda node_class, given: (),
                checked=lambda node_class: _Upload(self._catalogue, node_class.name),
            )
        except (Broken, UsageError, ValueError, RecursionError, AttributeError, TypeError):
            return None


def validity_of(
    timeline: Timeline,
    classes: NodeClasses,
    refused: Iterable[Flaw],
    nodes: ServerOptions | None = None,
) -> Validity:
    """Judges as the server of a recording.

    Args:
        timeline: the recording.
        classes: its node classes.
        refused: the reasons that were given when it refused prompts.
        nodes: what simulated prompts may use beyond that.
    """
    era = era_of(timeline.comfyui_version)
    if nodes is not None:
        known_to = "neither the recording nor what this was started with"
    elif classes.complete:
        known_to = "neither the recorded object_info nor a recorded graph"
    else:
        known_to = f"neither the recording nor ComfyUI {era.version}"
    return Validity(
        classes.catalogue() if nodes is None else nodes.node_classes,
        classes.described,
        classes.guessed,
        era,
        (prompt.graph for prompt in timeline.prompts if prompt.graph),
        refused,
        takes_unknown=nodes is not None and nodes.accept_unknown_nodes,
        known_to=known_to,
    )


class _Upload:
    """The inputs of a class that name files: whether these exist is not told by a list."""

    def __init__(self, catalogue: Catalogue, class_type: str) -> None:
        self._inputs = (catalogue.info(class_type) or {}).get("input") or {}

    def __contains__(self, name: object) -> bool:
        for section in self._inputs.values():
            written = section.get(name) if isinstance(section, Mapping) else None
            options = written[1] if isinstance(written, (list, tuple)) and len(written) > 1 else {}
            if isinstance(options, Mapping) and any(
                str(key).endswith("_upload") for key in options
            ):
                return True
        return False


def flaws_of(graph: Mapping[str, Any], error: Any, node_errors: Any) -> Iterator[Flaw]:
    """The reasons that a refusal names."""
    kind = error.get("type") if isinstance(error, Mapping) else None
    if kind == UNKNOWN_CLASS or "does not exist" in str(
        error.get("message") if isinstance(error, Mapping) else error
    ):
        yield Flaw(UNKNOWN_CLASS)
    elif kind and not node_errors:
        yield Flaw(str(kind))
    for node_id, said in node_errors.items() if isinstance(node_errors, Mapping) else ():
        class_type = _class(graph.get(node_id))
        for each in said.get("errors", ()) if isinstance(said, Mapping) else ():
            if isinstance(each, Mapping):
                extra = each.get("extra_info")
                name = extra.get("input_name", "") if isinstance(extra, Mapping) else ""
                yield Flaw(str(each.get("type")), class_type, str(name))


def _class(node: Any) -> str:
    return str(node.get("class_type")) if isinstance(node, dict) else ""
