"""A prompt in the queue, and the steps in which a worker goes through it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeAlias

import msgspec

__all__ = ["Job", "Steps"]

Steps: TypeAlias = Generator[int | None, None, Any]
"""None behind each frame, or a time to wait for."""


class Job(msgspec.Struct, frozen=True):
    """A prompt in the queue."""

    number: int | float
    prompt_id: str
    prompt: Mapping[str, Mapping[str, Any]]
    extra_data: dict[str, Any]
    outputs: tuple[str, ...]

    @property
    def client_id(self) -> Any:
        """Who is told of it; whatever the client sent, or None."""
        return self.extra_data.get("client_id")

    def item(self) -> list[Any]:
        """As /queue and /history show it."""
        return [self.number, self.prompt_id, self.prompt, self.extra_data, list(self.outputs)]
