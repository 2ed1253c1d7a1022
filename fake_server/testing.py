"""A running fake server in one line, for scripts and benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from comfyrec.events import comfy_json
from comfyrec.http.request import loads
from fake_server.options import ServerOptions
from fake_server.server.clock import MAX
from fake_server.server.thread import serve
from fake_server.simulated_server import SimulatedServer
from fake_server.simulator.node_plan import NodePlans, always
from fake_server.source import Action, Happened, Request, RequestReceived, Wrapper
from fake_server.storage.memory import Folders
from fake_server.storage.pictures import picture

__all__ = ["SamePromptServer", "running"]

_STAND_IN: Final = {"9": {"class_type": "PreviewAny", "inputs": {"source": "a"}}}
_PICTURE: Final = "a.png"


class SamePromptServer(Wrapper):
    """The simulated server, running the same small prompt in place of each that it is sent.

    For measuring clients. The prompt runs in full each time: 13 frames, one of them ``executed``.
    There is a picture ``a.png`` in the output folder.
    """

    def __init__(self) -> None:
        plans = NodePlans(classes={"PreviewAny": {"uncached": True, "steps": 1}})
        folders = Folders()
        folders.write("output", "", _PICTURE, _drawn, 0)
        super().__init__(
            SimulatedServer(ServerOptions(folders=lambda: folders), plan_for=always(plans))
        )

    def handle(self, happened: Happened, now: int) -> Iterable[Action]:
        """As the simulated server, with the prompt exchanged."""
        if type(happened) is RequestReceived and happened.request.target.endswith("/prompt"):
            happened = _with_stand_in(happened)
        return self.inner.handle(happened, now)


def _drawn() -> bytes:
    return picture(width=64, height=64, seed=0)


def _with_stand_in(received: RequestReceived) -> RequestReceived:
    request = received.request
    body = _exchanged(request.body)
    changed = Request(request.method, request.target, request.headers, body, request.peer)
    return RequestReceived(received.exchange, changed)


def _exchanged(body: bytes) -> bytes:
    try:
        posted = loads(body)
    except ValueError:
        return body
    if not isinstance(posted, dict) or "prompt" not in posted:
        return body
    return comfy_json({**posted, "prompt": _STAND_IN}).encode()


@contextmanager
def running() -> Iterator[str]:
    """A fresh, isolated fake server as long as the block runs; gives its URL.

    It runs the same prompt for any that is sent; see ``SamePromptServer``.
    """
    with serve(SamePromptServer(), speed=MAX) as handle:
        yield handle.url
