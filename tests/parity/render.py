"""A transcript as text for a person."""

from __future__ import annotations

import json
from typing import Any

from tests.parity.points import MISSING


def short_state(frame: dict) -> Any:
    """The data of a frame, with the usual parts of progress_state left out."""
    data = frame.get("data")
    if (
        frame.get("type") != "progress_state"
        or not isinstance(data, dict)
        or not isinstance(data.get("nodes"), dict)
    ):
        return data
    nodes = {}
    for node, state in data["nodes"].items():
        usual = {
            "node_id": node,
            "display_node_id": node,
            "real_node_id": node,
            "parent_node_id": None,
            "prompt_id": data.get("prompt_id"),
        }
        rest = {
            k: v
            for k, v in state.items()
            if k not in ("value", "max", "state") and v != usual.get(k, MISSING)
        }
        gone = sorted(set(usual) - set(state))
        text = (
            f"{state.get('state')} {json.dumps(state.get('value'))}/{json.dumps(state.get('max'))}"
        )
        nodes[node] = " ".join(
            [text] + ([json.dumps(rest)] if rest else []) + [f"no {key}" for key in gone]
        )
    return data | {"nodes": nodes}


def render(transcript: dict) -> list[str]:
    lines = [f"!! {transcript['problem']}"] if transcript["problem"] else []
    for entry in transcript["http"]:
        lines += ["", f"{entry['call']}  ->  {entry['status']}"]
        lines += [f"  {name}: {value}" for name, value in entry["headers"].items()]
        body = entry.get("body")
        lines += [
            "  " + line
            for line in json.dumps(body, indent=1, sort_keys=True, ensure_ascii=False).splitlines()
        ]
    for lane, frames in transcript["ws"].items():
        lines += ["", f"socket {lane}"]
        for frame in frames:
            extra = {key: value for key, value in frame.items() if key not in ("type", "data")}
            text = json.dumps(short_state(frame), sort_keys=True, ensure_ascii=False)
            lines.append(
                f"  {frame.get('type')}  {text}" + (f"  +{json.dumps(extra)}" if extra else "")
            )
    return lines
