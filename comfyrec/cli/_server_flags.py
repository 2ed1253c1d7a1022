"""The flags that say which nodes a simulated server has: one set for all commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from comfyrec.cli._object_info import catalogue_of
from comfyrec.errors import UsageError
from comfyrec.http.hint import HINT_HEADER, HINTED
from comfyrec.wording import shortened_list
from fake_server.options import ServerOptions
from fake_server.source import Action, Happened, Respond, Source, Wrapper

__all__ = ["HintsShown", "add_node_flags", "with_nodes"]

NOTES_SHOWN_MAX = 10


def add_node_flags(add: Any) -> None:
    """``--object-info``, ``--models``, ``--learn`` and ``--unknown-nodes``.

    Args:
        add: ``add_argument`` of a parser or group.
    """
    add(
        "--object-info",
        metavar="FILE",
        help="the node catalogue: a server's /object_info as JSON, a cassette that holds one, or "
        "the URL of a running server",
    )
    add(
        "--models",
        action="append",
        default=[],
        metavar="FOLDER=NAME,...",
        help="the files of a model folder, such as loras=a.safetensors,b.safetensors",
    )
    add(
        "--learn",
        action="extend",
        nargs="+",
        default=[],
        metavar="FILE",
        help="workflows to run: files, folders or patterns; the nodes, model files and pictures "
        "that they need and the server lacks are added",
    )
    add(
        "--unknown-nodes",
        choices=("accept", "refuse"),
        default="refuse",
        help="accept any node class, as the prompt uses it (default: refuse, as ComfyUI does)",
    )


def with_nodes(
    arguments: argparse.Namespace, options: ServerOptions, command: str
) -> ServerOptions:
    """The options with what the flags say; what was learned is said on standard error.

    A catalogue that the options have already stays, and ``--object-info`` is not looked at.
    ``arguments.learned`` holds what came of ``--learn`` then, or None.

    Raises:
        UsageError: a flag names something that cannot be used.
        WorkflowError: a file of ``--learn`` holds no workflow.
    """
    catalogue = options.catalogue
    if catalogue is None:
        catalogue = catalogue_of(arguments.object_info, options.era)
    for text in arguments.models:
        try:
            catalogue = catalogue.with_models(_models(text))
        except UsageError as error:
            raise UsageError(f"--models {text}: {error}") from None
    options = replace(
        options,
        catalogue=catalogue,
        accept_unknown_nodes=arguments.unknown_nodes == "accept",
    )
    arguments.learned = None
    if not arguments.learn:
        return options
    from comfyrec.testing.workflow_files import with_learned

    # 'catalogue learn' takes the files without a flag.
    flag = "FILE" if command == "catalogue" and arguments.what == "learn" else "--learn"
    options, found = with_learned(options, arguments.learn, flag=flag)
    arguments.learned = found
    _say(command, str(found))
    for note in shortened_list(list(found.learned.notes), NOTES_SHOWN_MAX):
        _say(command, note)
    return options


def _models(text: str) -> dict[str, list[str]]:
    folder, equals, names = text.partition("=")
    if not equals or not folder:
        raise UsageError("write FOLDER=NAME,NAME, as in loras=a.safetensors")
    return {folder: [name for name in names.split(",") if name]}


def _say(command: str, sentence: str) -> None:
    # What a terminal needs is not imported before there is something to say.
    from comfyrec.cli.terminal.output import safe

    print(safe(f"comfyrec {command}: {sentence}"), file=sys.stderr, flush=True)


class HintsShown(Wrapper):
    """Says on standard error, once each, how to go on after a refusal.

    Args:
        inner: what behaves.
        command: the command's name.
        said: the hints that were shown already, also by other servers of this command.
    """

    def __init__(self, inner: Source, command: str, said: set[str]) -> None:
        super().__init__(inner)
        self._command, self._said = command, said

    def handle(self, happened: Happened, now: int) -> Iterator[Action]:
        """Pass on, and look for hints on refusals."""
        for action in self.inner.handle(happened, now):
            if isinstance(action, Respond) and action.answer.status in HINTED:
                for name, value in action.answer.headers:
                    if name == HINT_HEADER and value not in self._said:
                        self._said.add(value)
                        _say(self._command, value)
            yield action
