"""Cases, goldens, and what the last run saw, as files."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
CASES = HERE / "cases"
LAST_RUN = Path(".parity")


def load_cases(folder: Path, only: str | None) -> list[dict]:
    cases = []
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if only and not (fnmatch.fnmatch(name, only) or name == only):
            continue
        case = yaml.safe_load(path.read_text())
        case["name"] = name
        cases.append(case)
    return cases


def golden_path(folder: Path, golden: str, name: str) -> Path:
    return folder.parent / "goldens" / golden / f"{name}.json"


def last_path(name: str) -> Path:
    return LAST_RUN / f"{name}.json"


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dump(value) + "\n")


def dump(value: Any, indent: str = "") -> str:
    """JSON that stays short: whatever fits on a line is put on one."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + len(indent) <= 118 or not isinstance(value, (dict, list)) or not value:
        return line
    inner = indent + " "
    if isinstance(value, dict):
        parts = [
            f"{inner}{json.dumps(k, ensure_ascii=False)}: {dump(v, inner)}"
            for k, v in value.items()
        ]
    else:
        parts = [inner + dump(v, inner) for v in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return opening + "\n" + ",\n".join(parts) + f"\n{indent}{closing}"
