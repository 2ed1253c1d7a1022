"""The recording proxy: a byte relay with a recorder beside it."""

from __future__ import annotations

from comfyrec.proxy.recorder import Recorder
from comfyrec.proxy.relay import Relay
from comfyrec.proxy.upstream import Upstream, parse_upstream

__all__ = ["Recorder", "Relay", "Upstream", "parse_upstream"]
