"""Which API a server speaks, by its answers to questions that change nothing.

Asked when a WebSocket was refused: whoever takes it is ComfyUI, or takes its key as Comfy Cloud
does. A server of Comfy API v2 has none.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from comfyrec.client.http.exchange import Conversation, HttpRequest
from comfyrec.events.v2_detect import ASKING, is_v2_answer

__all__ = ["Spoken", "which_surface"]

Spoken = Literal["native", "cloud", "v2", "unknown"]
"""An API, by the name of its surface; ``unknown``: nothing tells."""


def which_surface() -> Conversation[Spoken]:
    """Ask for the queue, then for a job of Comfy API v2 that cannot be there."""
    queue = yield HttpRequest(path="/queue")
    if queue.status == 200 and _is_queue(queue.body):
        return "native"
    job = yield HttpRequest(path=ASKING)
    return "v2" if is_v2_answer(job.status, job.body) else "unknown"


def _is_queue(body: bytes) -> bool:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return isinstance(said, dict) and "queue_running" in said
