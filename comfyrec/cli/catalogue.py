"""Learn node classes from workflows, or say what is known of a class and where from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from comfyrec.cassette.files import write_file
from comfyrec.cassette.files.replace import refuse_existing
from comfyrec.cli._server_flags import add_node_flags, with_nodes
from comfyrec.cli._versions import chosen_era
from comfyrec.cli.terminal.output import safe
from comfyrec.errors import UsageError
from comfyrec.wording import did_you_mean, shortened
from comfyrec.workflows import read_workflows
from fake_server.nodes.catalogue import LEARNED_MODULE, Catalogue, Input
from fake_server.options import ServerOptions

__all__ = ["add_arguments", "run"]

CHOICES_SHOWN_MAX = 60
"""Letters of the choices of an input."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``learn FILES -o FILE`` and ``show CLASS|FILE``."""
    parts = parser.add_subparsers(dest="what", required=True, metavar="learn|show")
    learn = parts.add_parser("learn", help="write what workflows need as an object_info")
    learn.add_argument("learn", nargs="+", metavar="FILE", help="workflows, folders or patterns")
    learn.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    learn.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    learn.set_defaults(object_info=None, models=[], unknown_nodes="refuse")
    show = parts.add_parser("show", help="say what is known of a class, or of those of a workflow")
    show.add_argument("names", nargs="+", metavar="CLASS|FILE")
    add_node_flags(show.add_argument)
    for part in (learn, show):
        part.add_argument("--comfyui-version", metavar="V", help="whose classes are built in")


def run(arguments: argparse.Namespace) -> int:
    """Do either."""
    options = ServerOptions(era=chosen_era(arguments.comfyui_version, [], "catalogue"))
    if arguments.what == "learn":
        refuse_existing(str(arguments.output), overwrite=arguments.overwrite)
    options = with_nodes(arguments, options, "catalogue")
    if arguments.what == "learn":
        return _write(arguments, options)
    assert options.catalogue is not None, "with_nodes gives one"
    names = [name for given in arguments.names for name in _classes_of(given)]
    unknown = [name for name in names if name not in options.catalogue]
    if unknown and unknown == names:
        hint = did_you_mean(unknown[0], options.catalogue, otherwise="start with --learn FILE")
        raise UsageError(f"{shortened(ascii(unknown[0]), 80)} is not in the catalogue; {hint}")
    for name in names:
        for line in _lines(arguments, name, options.catalogue):
            print(safe(line))
    return 0


def _write(arguments: argparse.Namespace, options: ServerOptions) -> int:
    """The whole catalogue as GET /object_info would answer it."""
    info = options.node_classes.all_info(options.learned.files)
    data = msgspec.json.format(msgspec.json.encode(info), indent=1)
    write_file(arguments.output, data + b"\n", overwrite=arguments.overwrite)
    print(f"{arguments.output}: {len(info)} classes", file=sys.stderr)
    return 0


def _classes_of(given: str) -> Sequence[str]:
    """A class by its name, or those of a workflow's file."""
    path = Path(given)
    if not path.is_file():
        return [given]
    names: dict[str, None] = {}
    for workflow in read_workflows(path.read_bytes(), given):
        nodes: Any = workflow.graph.values() if workflow.format == "api" else None
        for node in workflow.graph.get("nodes", ()) if nodes is None else nodes:
            kind = node.get("class_type", node.get("type"))
            if isinstance(kind, str):
                names[kind] = None
    return list(names)


def _lines(arguments: argparse.Namespace, name: str, catalogue: Catalogue) -> Sequence[str]:
    kind = catalogue.get(name)
    if kind is None:
        return [f"{name}: not in the catalogue"]
    outputs = ", ".join(str(one) for one in kind.output) or "no outputs"
    mark = ", an output node" if kind.output_node else ""
    lines = [f"{name} ({_origin(arguments, name, catalogue)}): gives {outputs}{mark}"]
    inputs = kind.inputs.values()
    return [
        *lines,
        *(f"  {one.name}: {_type(one)}{'' if one.required else ', optional'}" for one in inputs),
    ]


def _origin(arguments: argparse.Namespace, name: str, catalogue: Catalogue) -> str:
    if name in catalogue.learned:
        entry: Mapping[str, Any] = catalogue.learned[name]
        new = entry.get("python_module") == LEARNED_MODULE
        return "learned" if new else "built in, with what was learned"
    return "built in" if arguments.object_info is None else f"given by {arguments.object_info}"


def _type(one: Input) -> str:
    if one.choices is not None:
        listed = ", ".join(str(choice) for choice in one.choices) or "nothing yet"
        return f"one of {shortened(listed, CHOICES_SHOWN_MAX)}"
    return "anything" if one.type == "*" or one.takes_any else str(one.type)
