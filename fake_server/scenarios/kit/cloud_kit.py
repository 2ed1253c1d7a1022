"""What scenarios of Comfy Cloud are made of: other jobs under the client's own key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fake_server.scenarios.kit.graphs import other_outputs
from fake_server.scenarios.kit.observer import Observer
from fake_server.scenarios.kit.operator import Operator, Step, Tally
from fake_server.scenarios.kit.requests import posts, write_json
from fake_server.source import Happened, Request, RequestReceived

__all__ = ["same_key_job"]

_KEPT: Final = ("host", "authorization", "x-api-key", "content-type")


def same_key_job(name: str) -> Operator:
    """Another program submits a job with the client's key, just before the client's first one.

    It is the client's own prompt with other outputs, so its nodes have the same ids.
    """
    tally = Tally(name)

    def hear(happened: Happened, observer: Observer) -> Iterator[Step]:
        fits = isinstance(happened, RequestReceived) and posts(happened.request)
        if isinstance(happened, RequestReceived) and fits and not tally.spent(1):
            other = _other(happened.request)
            if other is not None:
                tally.hit()
                yield RequestReceived(observer.other_user(), other)
        yield happened

    return Operator(tally, hear)


def _other(request: Request) -> Request | None:
    body = request.json
    graph = body.get("prompt") if isinstance(body, dict) else None
    if not isinstance(graph, dict) or not all(isinstance(node, dict) for node in graph.values()):
        return None
    headers = tuple(field for field in request.headers if field[0].lower() in _KEPT)
    return Request("POST", request.target, headers, write_json({"prompt": other_outputs(graph)}))
