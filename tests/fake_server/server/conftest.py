"""What the tests of the shell share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fake_server.server.thread import Handle, serve
from tests.support.scripted_source import Scripted, Start


@pytest.fixture
def start() -> Iterator[Start]:
    """Serves a source, or one that echoes, until the test ends."""
    handles: list[Handle] = []

    def start(source: Scripted | None = None, **options: Any) -> tuple[Scripted, Handle]:
        source = source or Scripted()
        handles.append(serve(source, **options))
        return source, handles[-1]

    yield start
    for handle in handles:
        handle.close()
