"""How a server tells other programs where it is: one object, printed or in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comfyrec.errors import UsageError
from fake_server.server.thread import Handle

__all__ = ["prepare_ready_file", "ready_file", "whereabouts"]


def whereabouts(handle: Handle) -> dict[str, Any]:
    """``url`` and ``ws_url``, without a slash at their end, and the process's ``pid``."""
    return {"url": handle.url, "ws_url": handle.ws_url, "pid": os.getpid()}


def prepare_ready_file(file: Path) -> None:
    """Remove what an earlier server has left there; who waits for the file must not read that.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        file.unlink(missing_ok=True)
        if not file.parent.is_dir():
            raise FileNotFoundError(2, f"there is no folder {file.parent}")
    except OSError as error:
        raise UsageError(f"--ready-file {file} cannot be written: {error.strerror}") from None


@contextmanager
def ready_file(file: Path | None, handle: Handle) -> Iterator[None]:
    """The file is there, whole, as long as the block runs.

    Raises:
        UsageError: the file cannot be written.
    """
    if file is None:
        yield
        return
    half = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        half.write_text(json.dumps(whereabouts(handle)) + "\n", encoding="utf-8")
        half.replace(file)
    except OSError as error:
        raise UsageError(f"--ready-file {file} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
