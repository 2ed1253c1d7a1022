"""Print what the JSON of comfyrec looks like: JSON Schema, or TypeScript types.

It describes what 'show --json' (Story) and 'diff --json' (Diff) print, the lines of a text cassette
(RecordLine), and the events of the server (Event).
"""

from __future__ import annotations

import argparse
import json

from comfyrec.cli import FINE
from comfyrec.show.schemas import json_schema, typescript

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of ``comfyrec schema``."""
    parser.add_argument("--typescript", action="store_true", help="TypeScript types instead")


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    print(typescript() if arguments.typescript else json.dumps(json_schema(), indent=2))
    return FINE
