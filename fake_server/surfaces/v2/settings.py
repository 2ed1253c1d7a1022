"""How the v2 surface is served."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

__all__ = ["V2Settings"]


class V2Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``--surface v2:KEY=VALUE,...`` may say."""

    prefix: Annotated[
        str, msgspec.Meta(pattern=r"^((/[^/?#\s]+)+)?$", examples=["/deployment/dep-1"])
    ] = ""
    """The path that it is mounted under, as serverless deployments are."""
    token: str = ""
    """The bearer token that requests must carry; without one nobody is asked."""
    links: Literal["absolute", "relative"] = "absolute"
    """How ``urls`` of jobs are written."""
    content: Literal["direct", "redirect"] = "direct"
    """Whether bytes are served, as by a proxy of one's own, or by a redirect to a signed URL on
    another host, as by Comfy Cloud."""
    streams_max: Annotated[int, msgspec.Meta(ge=0)] = 8
    """Event streams at once; one more is refused."""
    queue_max: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Jobs that may wait or run; one more is refused as ``queue_full``. 0: any number."""
    parallel: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    """Jobs that run at once, as on Comfy Cloud and deployments; more of them wait."""
    throttle_ms: Annotated[int, msgspec.Meta(ge=0)] = 500
    """The least distance of ``progress`` events of a stream, and of ``preview`` events."""
    retention_s: Annotated[int, msgspec.Meta(ge=1)] = 86_400
    """How long jobs and their outputs are kept."""
