"""How a class that nobody knows is used -> its entry in object_info."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from fake_server.nodes.catalogue import LEARNED_MODULE
from fake_server.nodes.model_folders import folder_for
from fake_server.simulator.validate import types_fit

__all__ = ["ANYTHING", "ClassUse"]

ANYTHING: Final = "*"
_MODEL_ENDS: Final = (
    ".safetensors", ".ckpt", ".pt", ".pt2", ".pth", ".sft", ".bin", ".gguf", ".onnx", ".pkl",
)  # fmt: skip


class ClassUse(msgspec.Struct):
    """How a class that the catalogue lacks is used, over all its nodes."""

    count: int = 0
    inputs: dict[str, int] = {}
    """Input -> how many nodes have it."""
    types: dict[str, str] = {}
    models: dict[str, bool] = {}
    """Input -> whether each of its values names a model file."""
    outputs: list[str] = []
    shows: bool = False
    """Nothing takes what one of its nodes gives."""
    mixed: dict[str, None] = {}
    """Inputs of which there are several types."""
    lists: dict[str, None] = {}
    """Inputs with a list that is not a link."""

    def take_node(self, *, shows: bool) -> None:
        """One more node of the class; its inputs follow.

        Args:
            shows: nothing takes what it gives.
        """
        self.count += 1
        self.shows = self.shows or shows

    def take_input(self, key: str, kind: str) -> None:
        """An input of that node, and what is linked to it."""
        self.inputs[key] = self.inputs.get(key, 0) + 1
        self.take_type(key, kind)

    def take_value(self, key: str, value: Any) -> None:
        """An input of that node, and its value."""
        self.take_input(key, _type_of(value))
        named = isinstance(value, str) and value.lower().endswith(_MODEL_ENDS)
        self.models[key] = self.models.get(key, True) and named
        if isinstance(value, list):
            self.lists[key] = None

    def take_type(self, key: str, kind: str) -> None:
        """What an input is seen to take."""
        old = self.types.get(key, ANYTHING)
        if old == ANYTHING or kind == old:
            self.types[key] = kind
        elif {old, kind} == {"INT", "FLOAT"}:
            self.types[key] = "FLOAT"
        elif {old, kind} == {"COMBO", "STRING"}:
            self.types[key] = "STRING"
        elif kind != ANYTHING and not types_fit(old, kind):
            self.mixed[key] = None

    def take_output(self, slot: int, kind: str) -> None:
        """What an output is seen to give."""
        self.outputs += [ANYTHING] * (slot + 1 - len(self.outputs))
        old = self.outputs[slot]
        if old == ANYTHING:
            self.outputs[slot] = kind
        elif kind != ANYTHING and not types_fit(old, kind):
            self.outputs[slot] = ANYTHING

    def folders(self, name: str) -> dict[str, str]:
        """The inputs that name the files of a model folder, each with the folder."""
        found = {key: folder_for(name, key) for key in self._declared() if self.models.get(key)}
        return {key: folder for key, folder in found.items() if folder is not None}

    def entry(self, name: str, folders: Mapping[str, str]) -> dict[str, Any]:
        """The entry of object_info; the lists of the inputs in ``folders`` are filled elsewhere."""
        sections: dict[str, dict[str, Any]] = {"required": {}, "optional": {}}
        for key in self._declared():
            section = "required" if self._is_required(key) else "optional"
            kind = ANYTHING if key in self.mixed else self.types.get(key, ANYTHING)
            sections[section][key] = [[] if key in folders else kind, {}]
        return {
            "input": sections,
            "input_order": {section: list(keys) for section, keys in sections.items()},
            "output": list(self.outputs),
            "output_is_list": [False] * len(self.outputs),
            "output_name": list(self.outputs),
            "name": name,
            "display_name": name,
            "description": "",
            "python_module": LEARNED_MODULE,
            "category": "learned",
            "output_node": self.shows or not self.outputs,
        }

    def _is_required(self, key: str) -> bool:
        """Whether every node has it, and there are several: one node does not tell what it could
        have been without."""
        return self.inputs[key] == self.count > 1

    def _declared(self) -> list[str]:
        # A server takes a list for a link where the class declares the input, and looks into no
        # other; so a class that runs with a list does not declare it.
        return [key for key in self.inputs if key not in self.lists]


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "INT"
    if isinstance(value, float):
        return "FLOAT"
    return "STRING" if isinstance(value, str) else ANYTHING
