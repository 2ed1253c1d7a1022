"""Values that differ from run to run -> stable names, so that transcripts can be compared."""

from __future__ import annotations

import copy
import json
import re
import uuid
from typing import Any


class Stop(Exception):
    """The case cannot go on; what was seen so far still counts."""


TIME_KEYS = {
    "timestamp",
    "create_time",
    "execution_start_time",
    "execution_end_time",
    "modified",
    "created",
}
SET_LIKE = {"executed", "current_outputs", "dependent_outputs", "cycle_nodes", "nodes"}
FREE_TEXT = {"tooltip", "description"}
UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
HEX64 = re.compile(r"\b[0-9a-f]{64}\b")
GENERATED = [
    (re.compile(r"(_temp_)[a-z]{5}(?=_)"), r"\1<letters>"),
    (UUID, "<uuid>"),
    (HEX64, "<hex64>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<hex32>"),
    (re.compile(r"\b0x[0-9a-f]{6,}\b"), "<address>"),
]
MACHINE_PATH = re.compile(
    r"(?<![\w.:/])/(?:[\w.+-]+/)+(?=(?:input|output|temp|user|models|custom_nodes)/)"
)


def describe_time(value: float) -> str:
    unit = "ms" if value > 1e11 else "s" if value > 1e8 else "small"
    return f"<time {unit} {type(value).__name__}>"


def blank_catalogue(info: Any) -> Any:
    """Empty the free text of /object_info: descriptions, tooltips and search words."""
    if isinstance(info, dict):
        out = {}
        for key, value in info.items():
            if key in FREE_TEXT and isinstance(value, str):
                value = ""
            elif key == "output_tooltips" and isinstance(value, list):
                value = ["" if isinstance(item, str) else item for item in value]
            elif key == "search_aliases" and isinstance(value, list):
                value = []
            out[key] = blank_catalogue(value)
        return out
    if isinstance(info, list):
        return [blank_catalogue(item) for item in info]
    return info


def shape_of(value: Any) -> Any:
    """Only the types of a value; equal list items are listed once, hash-like keys become one."""
    if isinstance(value, dict):
        return {HEX64.sub("<hex64>", key): shape_of(item) for key, item in value.items()}
    if isinstance(value, list):
        kinds: list = []
        for item in map(shape_of, value):
            if item not in kinds:
                kinds.append(item)
        return kinds
    return "<null>" if value is None else f"<{type(value).__name__}>"


def keep_matching(value: Any, pattern: re.Pattern) -> Any:
    """The entries of a list or dict that match, by key or by their text."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if pattern.search(key)}
    if isinstance(value, list):
        return [
            item
            for item in value
            if pattern.search(item if isinstance(item, str) else json.dumps(item))
        ]
    return value


class Names:
    """Values that differ from run to run, and the stable names the transcript uses for them."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"rand": uuid.uuid4().hex[:8]}
        self.labels: dict[str, str] = {}  # literal value -> stable name
        self.numbers: dict[float, str] = {}  # queue numbers handed out by the server
        self.base_number: int | None = None

    def put(self, name: str, value: Any, label: str | None = None) -> None:
        self.values[name] = value
        if label and isinstance(value, str) and value:
            self.labels[value] = label

    def queue_number(self, number: Any) -> None:
        if isinstance(number, bool) or not isinstance(number, int):
            return
        if self.base_number is None:
            self.base_number = abs(number)
        self.numbers[number] = (
            f"<number {'-' if number < 0 else ''}n+{abs(number) - self.base_number}>"
        )

    def fill(self, value: Any) -> Any:
        """Replace ${name} in a part of a case."""
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if not isinstance(value, str) or "${" not in value:
            return value
        whole = re.fullmatch(r"\$\{([\w:.-]+)\}", value)
        if whole:
            return self.lookup(whole[1])
        return re.sub(r"\$\{([\w:.-]+)\}", lambda m: str(self.lookup(m[1])), value)

    def lookup(self, name: str) -> Any:
        if name not in self.values and name.startswith("uuid:"):
            self.put(name, str(uuid.uuid4()), f"<{name}>")
        if name not in self.values:
            raise Stop(f"nothing was saved as ${{{name}}}")
        return copy.deepcopy(self.values[name])

    def text(self, value: str, is_call: bool = False) -> str:
        """Replace what the case made up or saved, what the server generated, and its paths."""
        for literal in sorted(self.labels, key=len, reverse=True):
            value = value.replace(literal, self.labels[literal])
        value = value.replace(self.values["rand"], "<rand>")
        for pattern, name in GENERATED:
            value = pattern.sub(name, value)
        return value if is_call else MACHINE_PATH.sub("<base>/", value)

    def clean(self, value: Any, key: str = "") -> Any:
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, (int, float)):
            if key in TIME_KEYS:
                return describe_time(value)
            if isinstance(value, int) and (
                key in ("number", "priority") or key.endswith("/prompt/0")
            ):
                return self.numbers.get(value, value)
            return value
        if isinstance(value, str):
            if key == "tooltip":
                return ""
            if key == "details" and "\n" in value:
                value = "\n".join(sorted(value.split("\n")))
            return self.text(value, key == "call")
        if isinstance(value, dict):
            if key == "current_inputs":
                return {"<names>": sorted(value)}
            return {self.text(name): self.clean(item, name) for name, item in value.items()}
        if key == "traceback":
            return (
                ["<traceback>"] if value and all(isinstance(item, str) for item in value) else value
            )
        items = [self.clean(item, key if key in TIME_KEYS else "") for item in value]
        if (key in SET_LIKE or key.endswith("/prompt/4")) and all(
            isinstance(item, str) for item in items
        ):
            return sorted(items)
        if key == "errors" and all(isinstance(item, dict) for item in items):
            return sorted(
                items, key=lambda item: json.dumps([item.get("type"), item.get("details")])
            )
        if (
            len(items) >= 5 and isinstance(items[2], dict) and isinstance(items[4], list)
        ):  # a queue item
            if isinstance(value[0], int):
                items[0] = self.numbers.get(value[0], value[0])
            if all(isinstance(item, str) for item in items[4]):
                items[4] = sorted(items[4])
        return items
