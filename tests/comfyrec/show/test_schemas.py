"""Schemas: they know every field that is printed, and every reference leads somewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from comfyrec.cassette.files import find_cassette, open_cassette
from comfyrec.cli import main
from comfyrec.events.schema import KNOWN
from comfyrec.show.diff import compare
from comfyrec.show.schemas import json_schema, typescript
from comfyrec.timeline import Timeline
from comfyrec.timeline.story import tell

DEFS: dict[str, Any] = json_schema()["$defs"]


def timeline_of(name: str) -> Timeline:
    with open_cassette(find_cassette(name)) as reader:
        return Timeline.build(reader)


def unknown_in(value: Any, schema: Any, path: str = "") -> Iterator[str]:
    """Fields of a value that its schema does not know."""
    if "$ref" in schema:
        schema = DEFS[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        found = [list(unknown_in(value, one, path)) for one in schema["anyOf"]]
        yield from min(found, key=len)
    elif isinstance(value, dict) and "properties" in schema:
        for key, item in value.items():
            if key not in schema["properties"]:
                yield f"{path}.{key}"
            else:
                yield from unknown_in(item, schema["properties"][key], f"{path}.{key}")
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            yield from unknown_in(item, schema["items"], f"{path}[]")


@pytest.mark.parametrize("name", ["execution-error", "reconnect-mid-run", "validation-errors"])
def test_the_schema_knows_every_field_of_a_story(name: str) -> None:
    story = json.loads(msgspec.json.encode(tell(timeline_of(name))))

    assert list(unknown_in(story, DEFS["Story"])) == []


def test_the_schema_knows_every_field_of_a_diff() -> None:
    diff = compare(timeline_of("server-0.8-jobs"), timeline_of("jobs-api"))

    assert list(unknown_in(json.loads(msgspec.json.encode(diff)), DEFS["Diff"])) == []


def test_the_schema_knows_every_kind_of_record_and_event() -> None:
    with open(find_cassette("execution-error"), encoding="utf-8") as file:  # noqa: PTH123 - a plain name
        lines = [json.loads(line) for line in file]

    kinds = {DEFS[one["$ref"].rpartition("/")[2]]["properties"]["kind"]["enum"][0]
             for one in DEFS["RecordLine"]["anyOf"]}  # fmt: skip
    events = {one["properties"]["type"]["const"] for one in DEFS["Event"]["anyOf"]}

    assert {line["kind"] for line in lines} <= kinds
    assert events == set(KNOWN)


def test_every_reference_leads_somewhere() -> None:
    names = re.findall(r'"#/\$defs/([^"]+)"', json.dumps(DEFS))

    assert set(names) <= set(DEFS)


def test_types_in_typescript_are_declared_once_and_used_as_declared() -> None:
    text = re.sub(r"/\*\*.*?\*/|//.*", "", typescript())

    declared = re.findall(r"^export type (\w+) =", text, re.MULTILINE)
    used = set(re.findall(r"(?<![\"\w.])([A-Z_]\w*)(?![\w\"(?:])", text)) - {"Array"}
    assert len(declared) == len(set(declared))
    assert used <= set(declared)
    assert text.count("{") == text.count("}")


def test_the_command_prints_either(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$defs"]["Story"]["title"] == "Story"

    assert main(["schema", "--typescript"]) == 0
    assert "export type Story = {" in capsys.readouterr().out
