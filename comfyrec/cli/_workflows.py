"""Workflow files on the command line: read, and converted where a server does not run them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from comfyrec.cassette.files import write_file
from comfyrec.cli import FINE
from comfyrec.cli.terminal.output import safe
from comfyrec.errors import UsageError, WorkflowError
from comfyrec.wording import plural, shortened_list
from comfyrec.workflows import Workflow, read_workflows, to_prompt
from fake_server.nodes.catalogue import LEARNED_MODULE

__all__ = ["as_prompt", "convert", "only_workflow", "page_workflow"]

_MEND: Final = "give --object-info with the address of a server that has them"


def convert(arguments: argparse.Namespace) -> int:
    """``comfyrec convert workflow.json -o prompt.json``: the page's format to API format."""
    from comfyrec.cli._object_info import catalogue_of  # brings the fake server along

    path = Path(arguments.file)
    workflow = only_workflow(_read(path), str(path))
    classes = catalogue_of(arguments.object_info).all_info()
    prompt = as_prompt(workflow, classes, where=str(path), mend=_MEND)
    data = msgspec.json.format(msgspec.json.encode(prompt), indent=2)
    write_file(arguments.output, data + b"\n", overwrite=arguments.overwrite)
    print(safe(f"wrote {arguments.output} ({plural(len(prompt), 'node')})"))
    return FINE


def page_workflow(data: bytes, where: str) -> Workflow | None:
    """A workflow that only the page understands, or one out of a picture; None for anything else.

    Raises:
        WorkflowError: a picture without a workflow, or a file with several of the page's.
    """
    is_picture = data[:4] in (b"\x89PNG", b"RIFF")
    try:
        found = read_workflows(data, where)
    except WorkflowError:
        if is_picture:
            raise
        return None
    if is_picture or any(one.format == "ui" for one in found):
        return only_workflow(data, where)
    return None


def only_workflow(data: bytes, where: str) -> Workflow:
    """The workflow of a file that holds one.

    Raises:
        WorkflowError: there is none, or there are several.
    """
    found = read_workflows(data, where)
    if len(found) > 1:
        places = ", ".join(one.where for one in found[:5])
        raise WorkflowError(where, f"it holds {len(found)} workflows ({places}); give one alone")
    return found[0]


def as_prompt(
    workflow: Workflow, classes: Mapping[str, Any], *, where: str, mend: str = ""
) -> Mapping[str, Any]:
    """The workflow in API format; what could not be converted is said on standard error.

    Args:
        where: how the sentences name the workflow.
        mend: what brings the inputs of classes that are not in ``classes``.
    """
    if workflow.format == "api":
        return workflow.graph
    # Of a class that a simulated server knows from workflows alone, this one knows as much itself.
    known = {
        name: entry
        for name, entry in classes.items()
        if entry.get("python_module") != LEARNED_MODULE
    }
    converted = to_prompt(workflow.graph, known, where=where, now=datetime.now())
    for note in converted.notes:
        print(safe(f"comfyrec: {where}: {note}"), file=sys.stderr)
    if converted.unnamed:
        listed = ", ".join(shortened_list(converted.unnamed, 8))
        missing = f"values of {listed} have no names in it, so these inputs are missing"
        print(safe(f"comfyrec: {where}: {missing}{mend and f'; {mend}'}"), file=sys.stderr)
    return converted.prompt


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a workflow that the page saved") from None
