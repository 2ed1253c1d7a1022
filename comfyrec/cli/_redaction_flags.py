"""What commands that redact share: ``--redact``, ``--redact-header``, this machine's secrets."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from typing import Final

from comfyrec.client.redaction import SECRET_VARIABLES
from comfyrec.errors import UsageError

__all__ = ["add_classes_flag", "add_header_flag", "checked_headers", "known_secrets"]

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}", re.ASCII)


def add_classes_flag(parser: argparse._ActionsContainer, words: str) -> None:
    """``--redact CLASS``; ``check_classes`` reads what was given."""
    parser.add_argument("--redact", action="append", default=[], metavar="CLASS", help=words)


def add_header_flag(parser: argparse.ArgumentParser, *, of: str = "") -> None:
    """``--redact-header NAME``; ``of`` says of what, where that is not everything."""
    parser.add_argument(
        "--redact-header",
        action="append",
        default=[],
        metavar="NAME",
        help=f"{of}a header field whose value is a secret too, in requests and responses; may be "
        f"given several times",
    )


def checked_headers(names: Sequence[str]) -> Sequence[str]:
    """The names that were given.

    Raises:
        UsageError: one of them is not the name of a header field.
    """
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"--redact-header {name!r} is not the name of a header field; give the name "
                f"alone, as in --redact-header X-Team"
            )
    return names


def known_secrets() -> list[str]:
    """The secrets of this machine's environment."""
    return [value for name in SECRET_VARIABLES if (value := os.environ.get(name))]
