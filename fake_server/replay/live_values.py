"""A recorded answer -> the same with the values that the live client chose.

Ids are in place already. What an answer says of a live prompt gets that prompt's own graph, names
and texts; in other answers words that are known to stand for recorded ones take their places.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from comfyrec.http.event_stream import is_event_stream, is_json_lines
from comfyrec.http.request import loads_or_none
from fake_server.replay.live.live_state import LivePrompt, LiveState
from fake_server.replay.live.recorded_facts import RecordedFacts
from fake_server.replay.live.uploads import asset_place, viewed_file
from fake_server.replay.recorded.request_key import RequestKey
from fake_server.source import Request, Response

__all__ = ["with_live_values"]

_ABOUT_PROMPTS: Final = frozenset(("history", "queue", "jobs"))
_DATA: Final = re.compile(rb"data: ?")
# Long, and the same for every client.
_SAME_FOR_ALL: Final = frozenset(("object_info", "extensions", "i18n", "system_stats", ""))


def with_live_values(
    response: Response,
    recorded: RequestKey,
    request: Request,
    live_state: LiveState,
    facts: RecordedFacts,
) -> Response:
    """Put live values into a recorded answer.

    Args:
        response: its ids renamed.
        recorded: what was asked when it was recorded.
        request: of the live client.
        live_state: of the play-through that it is about.
        facts: what the recording knows.
    """
    if recorded.route == "view":
        return _viewed(response, recorded, request, live_state)
    family = recorded.route
    if family == "v2/assets" and recorded.path.endswith("/content"):
        return _content(response, request, live_state)
    prompts = live_state.rewritten
    lists = recorded.is_question and family not in _ABOUT_PROMPTS and family not in _SAME_FOR_ALL
    unmade: frozenset[str] = live_state.unmade if lists else frozenset()
    if family in _SAME_FOR_ALL or not (prompts or live_state.bindings.any or unmade):
        return response
    kind = next((v for name, v in response.headers if name.lower() == "content-type"), "")
    if is_event_stream(kind) or is_json_lines(kind):
        return _in_lines(response, live_state)
    value = loads_or_none(response.body) if response.body[:1] in (b"{", b"[") else None
    if value is None or any(name.lower() == "content-encoding" for name, _ in response.headers):
        return response
    if family in _ABOUT_PROMPTS:
        changed = _about_prompts(value, prompts, facts)
    else:
        changed = _with_words(_without(value, unmade), live_state)
    if changed == value:
        return response
    return msgspec.structs.replace(response, body=json.dumps(changed).encode())


def _viewed(
    response: Response, recorded: RequestKey, request: Request, live_state: LiveState
) -> Response:
    """A file under its live name; what a live client uploaded with its own bytes."""
    query, live = dict(recorded.query), viewed_file(request)
    if live is None or "filename" not in query or response.status != 200:
        return response
    upload = live_state.uploads.get(live)
    if upload is not None and response.body_bytes and not {"preview", "channel"} & query.keys():
        response = msgspec.structs.replace(response, body=upload.body, stored=upload.stored)
    return _with_name(response, query["filename"], live.filename)


def _content(response: Response, request: Request, live_state: LiveState) -> Response:
    """Of an asset that a live client uploaded, its own bytes, if they were asked for as a whole."""
    upload = live_state.uploads.get(asset_place(request.parts.segments[-2]))
    if upload is None or response.status != 200 or not response.body_bytes:
        return response
    return msgspec.structs.replace(response, body=upload.body, stored=upload.stored)


def _with_name(response: Response, recorded: str, live: str) -> Response:
    if recorded == live:
        return response
    headers = tuple(
        (name, value.replace(recorded, live) if name.lower() == "content-disposition" else value)
        for name, value in response.headers
    )
    return msgspec.structs.replace(response, headers=headers)


def _in_lines(response: Response, live_state: LiveState) -> Response:
    """A body whose lines hold JSON: server-sent events, or one value in each line."""
    if not live_state.bindings.any:
        return response
    lines = [_line(line, live_state) for line in response.body.splitlines(keepends=True)]
    return msgspec.structs.replace(response, body=b"".join(lines))


def _line(line: bytes, live_state: LiveState) -> bytes:
    field = _DATA.match(line)
    start = field.end() if field else 0
    text = line[start:].rstrip(b"\r\n")
    value = loads_or_none(text) if text[:1] in (b"{", b"[") else None
    if value is None:
        return line
    changed = _with_words(value, live_state)
    if changed == value:
        return line
    return line[:start] + json.dumps(changed).encode() + line[start + len(text) :]


def _without(value: Any, unmade: Collection[str]) -> Any:
    """Lists without what nobody has made."""
    if isinstance(value, list):
        ids = [str(one.get("id")) if isinstance(one, dict) else "" for one in value]
        kept = (one for one, id in zip(value, ids, strict=True) if id not in unmade)
        return [_without(one, unmade) for one in kept]
    if isinstance(value, dict) and unmade:
        return {name: _without(item, unmade) for name, item in value.items()}
    return value


def _with_words(value: Any, live_state: LiveState, within: str = "") -> Any:
    """A JSON value with the live texts in it, and the live numbers in inputs of a graph."""
    bindings = live_state.bindings
    if isinstance(value, str):
        return bindings.live(value)
    if isinstance(value, list):
        return [_with_words(item, live_state) for item in value]
    if isinstance(value, dict):
        return {
            bindings.live(name): bindings.live_number(name, item)
            if within == "inputs" and isinstance(item, int | float)
            else _with_words(item, live_state, name)
            for name, item in value.items()
        }
    return value


def _about_prompts(value: Any, prompts: Mapping[str, LivePrompt], facts: RecordedFacts) -> Any:
    if isinstance(value, list):
        if len(value) >= 5 and isinstance(value[1], str) and value[1] in prompts:
            return [*facts.item(prompts[value[1]]), *value[5:]]
        return [_about_prompts(item, prompts, facts) for item in value]
    if not isinstance(value, dict):
        return value
    for name in ("id", "prompt_id"):
        if isinstance(value.get(name), str) and value[name] in prompts:
            return _of_prompt(value, prompts[value[name]], facts)
    return {
        name: _of_prompt(item, prompts[name], facts)
        if name in prompts
        else _about_prompts(item, prompts, facts)
        for name, item in value.items()
    }


def _of_prompt(value: Any, live: LivePrompt, facts: RecordedFacts) -> Any:
    """A history entry or a job."""
    assert live.rewriter is not None, "only prompts with one are looked for"
    changed = live.rewriter.value(value)
    if not isinstance(changed, dict):
        return changed
    if isinstance(changed.get("prompt"), list):
        changed["prompt"] = facts.item(live)
    workflow = changed.get("workflow")
    if isinstance(workflow, dict) and "prompt" in workflow:
        recorded = workflow.get("extra_data")
        extra = facts.extra_data(live, recorded if isinstance(recorded, dict) else {})
        changed["workflow"] = {**workflow, "prompt": live.graph, "extra_data": extra}
    return changed
