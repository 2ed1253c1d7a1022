"""Which API a server speaks, by its answers."""

from __future__ import annotations

import json

import pytest

from comfyrec.client.http.exchange import HttpResponse
from comfyrec.client.http.which_surface import which_surface

QUEUE = json.dumps({"queue_running": [], "queue_pending": []}).encode()
GONE = b'{"error": {"code": "not_found", "message": "no such job"}}'
KEY = b'{"error": {"code": "unauthorized", "message": "no key"}}'
ANSWERS = {
    "ComfyUI": ([(200, QUEUE)], "native"),
    "Comfy API v2": ([(404, b"404: Not Found"), (404, GONE)], "v2"),
    "Comfy API v2 without its key": ([(401, KEY), (401, KEY)], "v2"),
    "a web page for everything": ([(200, b"<html>"), (200, b"<html>")], "unknown"),
    "ComfyUI behind a login": ([(403, b"no"), (403, b"no")], "unknown"),
    "Comfy Cloud's first API": ([(401, b'{"code": "UNAUTHORIZED"}')] * 2, "unknown"),
    "an older error of ComfyUI": ([(404, b""), (404, b'{"error": "nothing"}')], "unknown"),
    "a good answer to a bad question": ([(404, b""), (200, GONE)], "unknown"),
}  # fmt: skip


@pytest.mark.parametrize("answers, spoken", ANSWERS.values(), ids=ANSWERS)
def test_an_api_is_known_by_what_only_it_says(
    answers: list[tuple[int, bytes]], spoken: str
) -> None:
    asking = which_surface()
    asked = [next(asking)]

    with pytest.raises(StopIteration) as end:
        for status, body in answers:
            asked.append(asking.send(HttpResponse(status=status, body=body)))

    assert end.value.value == spoken
    assert {one.method for one in asked} == {"GET"}
