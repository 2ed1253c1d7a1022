"""Two transcripts -> points, each equal or not."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

MISSING = "<missing>"
UNEXPECTED = "unexpected frame"
"""Costs a point where it comes, without being one."""


def body_points(prefix: str, value: Any, budget: int = 20) -> dict[str, Any]:
    """Cut a body into at most `budget` points, as deep as the budget allows."""

    def cut(where: str, item: Any, depth: int) -> Iterator[tuple[str, Any]]:
        if depth and isinstance(item, dict) and item:
            yield f"{where}.keys", sorted(item)
            for key, inner in item.items():
                yield from cut(f"{where}.{key}", inner, depth - 1)
        elif depth and isinstance(item, list) and item:
            yield f"{where}.length", len(item)
            for index, inner in enumerate(item):
                yield from cut(f"{where}[{index}]", inner, depth - 1)
        else:
            yield where, item

    for depth in (5, 4, 3, 2, 1):
        points = dict(cut(prefix, value, depth))
        if len(points) <= budget:
            return points
    return {prefix: value}


def at_path(prefix: str, value: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """The same points of another body: every place of `wanted` that exists there."""
    found: dict[str, Any] = {}

    def walk(where: str, item: Any) -> None:
        found[where] = item
        if isinstance(item, dict):
            found[f"{where}.keys"] = sorted(item)
            for key, inner in item.items():
                walk(f"{where}.{key}", inner)
        elif isinstance(item, list):
            found[f"{where}.length"] = len(item)
            for index, inner in enumerate(item):
                walk(f"{where}[{index}]", inner)

    walk(prefix, value)
    return {name: found[name] for name in wanted if name in found}


def frame_kind(frame: dict) -> str:
    data = frame.get("data")
    node = f" {data['node']}" if isinstance(data, dict) and "node" in data else ""
    return f"{frame.get('type')}{node}"


def compare(golden: dict, actual: dict) -> Iterator[tuple[str, Any, Any]]:
    """Every point of the golden transcript with the expected and the actual value."""
    for index, want in enumerate(golden["http"]):
        got = actual["http"][index] if index < len(actual["http"]) else None
        if got is None or got["call"] != want["call"]:
            got = {"status": MISSING, "headers": {}, "body": MISSING}
        where = f"http[{index}] {want['call']}"
        yield f"{where} status", want["status"], got["status"]
        for header, value in want["headers"].items():
            yield f"{where} header {header}", value, got["headers"].get(header, MISSING)
        if "body" in want:
            points = body_points(f"{where} body", want["body"])
            if want.get("picked"):
                points.pop(f"{where} body.keys", None)  # the case chose these names itself
            seen = at_path(f"{where} body", got.get("body", MISSING), points)
            for name, value in points.items():
                yield name, value, seen.get(name, MISSING)

    for lane, frames in golden["ws"].items():
        others = actual["ws"].get(lane, [])
        matcher = difflib.SequenceMatcher(
            None, [frame_kind(f) for f in frames], [frame_kind(f) for f in others], autojunk=False
        )
        partner = {
            a + i: b + i for a, b, size in matcher.get_matching_blocks() for i in range(size)
        }
        for index, frame in enumerate(frames):
            if frame.get("type") == "<mark>":
                continue
            where = f"ws {lane}[{index}] {frame_kind(frame)}"
            other = others[partner[index]] if index in partner else None
            yield f"{where} order", True, other is not None
            yield f"{where} data", frame, other if other is not None else MISSING
        yield f"ws {lane} count", len(frames), len(others)
        for index in sorted(set(range(len(others))) - set(partner.values())):
            yield f"ws {lane} {UNEXPECTED} {index}", MISSING, others[index]
    for lane in sorted(set(actual["ws"]) - set(golden["ws"])):
        for index, frame in enumerate(actual["ws"][lane]):
            yield f"ws {lane} {UNEXPECTED} {index}", MISSING, frame


def same(left: Any, right: Any) -> bool:
    """Equality that also tells 1 from 1.0 and from true."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def score(golden: dict, actual: dict, tolerant: set[str]) -> tuple[int, int, list[dict]]:
    good = total = surplus = 0
    wrong = []
    lost = actual["problem"] is not None and actual["problem"].startswith("set-up")
    for name, want, got in compare(golden, actual):
        if name in tolerant:
            continue
        if UNEXPECTED in name:
            surplus += 1
        else:
            total += 1
        if same(want, got) and not lost:
            good += 1
        else:
            wrong.append({"point": name, "expected": want, "actual": got})
    return max(0, good - surplus), total, wrong
