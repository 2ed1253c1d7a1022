"""How the Cloud surface is served."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = ["CloudSettings"]


class CloudSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``--surface cloud:KEY=VALUE,...`` may say."""

    key: str = ""
    """The key that requests and sockets must bring; empty: any key will do, and each is a user."""
    parallel: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    """Jobs of one user that run at once, each on a machine of its own; more of them wait."""
    words: Literal["pages", "specification", "others"] = "pages"
    """Of ``GET /api/job/{id}/status``: those that the pages list, those of the specification, or
    in-flight words that neither has."""
    failed_as: Literal["error", "non_retryable_error", "retryable_error"] = "error"
    """The word of a failed job, apart from the words of the specification."""
    errors: Literal["least", "few", "all"] = "few"
    """The fields of ``execution_error``: what the schema demands, with the category, or all."""
    previews: Literal["plain", "metadata"] = "metadata"
    """The binary kind of previews: 1, or 4, which names the job."""
    url_s: Annotated[int, msgspec.Meta(ge=1)] = 3_600
    """How long a signed URL opens."""
