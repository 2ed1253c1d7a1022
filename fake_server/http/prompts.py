"""``/prompt``, ``/queue``, ``/interrupt`` and ``/free``: what is done, and what is still to do.

protocol.md, sections 6 and 7.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from comfyrec.errors import WorkflowError
from comfyrec.events import comfy_json
from comfyrec.http.hint import HINT_HEADER
from fake_server.http.console_log import write_line
from fake_server.http.context import (
    BodyNotJson,
    Context,
    HandlerFailed,
    keys_of,
    listed,
    read_json,
)
from fake_server.http.responses import empty, json_response
from fake_server.nodes.catalogue import Catalogue
from fake_server.nodes.file_checks import file_checks, self_checked
from fake_server.nodes.refusal_hints import form_hint, refusal_hints
from fake_server.nodes.replacements import Unreplaceable, replace_retired
from fake_server.simulator.engine import SENSITIVE, Engine
from fake_server.simulator.job import Job
from fake_server.simulator.node_plan import UnfitPlan
from fake_server.simulator.validate import Broken, Verdict, validate
from fake_server.source import Request, Response

__all__ = [
    "UNMET_HEADER",
    "get_prompt",
    "get_queue",
    "post_free",
    "post_interrupt",
    "post_prompt",
    "post_queue",
]

UNMET_HEADER: Final = "X-Fake-Plan-Unmet"
"""On the answer to POST /prompt: ids that the plan speaks of and the prompt does not have."""

HINTED_BODY_MAX: Final = 4 * 1024 * 1024
"""Bytes of a refused body in which a workflow is looked for."""

METADATA_LETTERS_MAX: Final = 256
"""So long may the JSON of a prompt's ``workflow_metadata`` be."""

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


# --- /prompt ---------------------------------------------------------------------------------


def get_prompt(context: Context, request: Request) -> Response:
    """How long the queue is."""
    return json_response(context.engine.queue_info())


def post_prompt(context: Context, request: Request) -> Response:
    """Validate a prompt, convert its values, and put it into the queue."""
    write_line(context, "got prompt")
    try:
        body = read_json(request)
    except BodyNotJson as failed:
        failed.hint = 'the body is not JSON: send {"prompt": WORKFLOW}; curl reads it with -d @FILE'
        raise
    try:
        answer = _post_prompt(context, request, body)
    except HandlerFailed as failed:
        failed.hint = _form_hint(request, body)
        raise
    if answer.status == 200 or any(name == HINT_HEADER for name, _ in answer.headers):
        return answer
    return _hinted(answer, _form_hint(request, body))


def _post_prompt(context: Context, request: Request, body: Any) -> Response:
    engine = context.engine
    if isinstance(body, (list, str)):
        # 'in' works on them too, and only then does the server reach for a key.
        if "number" in body:
            raise HandlerFailed("a list or text has no 'number'")
        refusal = _no_prompt(engine)
        if "prompt" in body:
            raise HandlerFailed("a list or text has no 'prompt'")
        return refusal
    if not isinstance(body, dict):
        raise HandlerFailed("the body is a number, true, false or null")
    number = _number(engine, body)
    if "prompt" not in body:
        return _no_prompt(engine, counted=True)
    prompt_id = _prompt_id(engine, body)
    if prompt_id is None:
        return _refused(engine, _bad_id(), {})
    return _submit(context, request, body, number, prompt_id)


def _number(engine: Engine, body: Mapping[str, Any]) -> int | float:
    if "number" in body:
        try:
            return float(body["number"])
        except (TypeError, ValueError, OverflowError) as error:
            raise HandlerFailed(str(error)) from None
    number = engine.number
    engine.number += 1
    return -number if body.get("front") else number


def _no_prompt(engine: Engine, *, counted: bool = False) -> Response:
    if not counted:
        engine.number += 1
    message = "No prompt provided"
    error = {"type": "no_prompt", "message": message, "details": message, "extra_info": {}}
    return _refused(engine, error, {})


def _refused(engine: Engine, error: Mapping[str, Any], node_errors: Any) -> Response:
    if engine.era.has("error_objects"):
        return json_response({"error": error, "node_errors": node_errors}, 400)
    if error["type"] == "no_prompt":
        return json_response({"error": "no prompt", "node_errors": []}, 400)
    return json_response({"error": error, "node_errors": node_errors or []}, 400)


def _prompt_id(engine: Engine, body: Mapping[str, Any]) -> str | None:
    """The id the prompt gets; None for one that is refused."""
    given = body.get("prompt_id")
    if not engine.era.has("client_prompt_id"):
        return engine.random.uuid()
    if not engine.era.has("uuid_prompt_ids"):
        return str(given) if "prompt_id" in body else engine.random.uuid()
    if given is None:
        return engine.random.uuid()
    return given if isinstance(given, str) and _UUID.match(given) else None


def _bad_id() -> dict[str, Any]:
    return {
        "type": "invalid_prompt_id",
        "message": "prompt_id must be a valid UUID",
        "details": "prompt_id must be a UUID string in canonical lowercase hyphenated form; "
        "omit it to let the server generate one",
        "extra_info": {},
    }


def _submit(
    context: Context,
    request: Request,
    body: Mapping[str, Any],
    number: int | float,
    prompt_id: str,
) -> Response:
    engine, prompt = context.engine, _own_copy(body["prompt"])
    if context.options.accept_unknown_nodes:
        _learn_classes(engine, prompt)
    verdict = _validated(engine, prompt, body)
    extra_data = _extra_data(engine, request, body)
    if verdict.error is not None:
        refused = _refused(engine, verdict.error, verdict.node_errors)
        return _with_hints(refused, engine, prompt, verdict)
    if not isinstance(extra_data, dict):
        raise HandlerFailed("extra_data is not an object")
    try:
        unmet = engine.not_planned_for(prompt, extra_data.get("client_id"))
    except UnfitPlan as unfit:
        return json_response({"error": _unfit(unfit), "node_errors": {}}, 400)
    if engine.era.has("create_time"):
        extra_data["create_time"] = engine.time.unix_ms
        for name in SENSITIVE:
            extra_data.pop(name, None)
    _share_names(prompt, engine.catalogue)
    job = Job(number, prompt_id, prompt, extra_data, verdict.outputs)
    answer = json_response(
        {"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors}
    )
    if verdict.node_errors:
        answer = _with_hints(answer, engine, prompt, verdict)
    engine.put(job, context.now)
    return _with_unmet(answer, unmet)


def _learn_classes(engine: Engine, prompt: Any) -> None:
    """Take the classes that nobody knows as the prompt uses them."""
    if not engine.catalogue.unknown_in(prompt, besides=engine.catalogue.learned):
        return
    # Few servers learn; the others start without reading how.
    from fake_server.simulator.learning import Learner

    learner = Learner(engine.catalogue, engine.era)
    try:
        learner.add_prompt(prompt, "the prompt")
    except WorkflowError:  # validation says what is wrong with it
        return
    engine.learn(learner.learned(classes_only=True))


def _form_hint(request: Request, body: Any) -> str:
    return form_hint(body) if len(request.body) <= HINTED_BODY_MAX else ""


def _with_hints(answer: Response, engine: Engine, prompt: Any, verdict: Verdict) -> Response:
    return _hinted(answer, *refusal_hints(engine.catalogue, prompt, verdict.node_errors))


def _hinted(answer: Response, *hints: str) -> Response:
    fields = tuple((HINT_HEADER, hint) for hint in hints if hint)
    return msgspec.structs.replace(answer, headers=answer.headers + fields) if fields else answer


def _own_copy(prompt: Any) -> Any:
    """As deep as the server writes into a prompt: what it converts are inputs and the numbers of
    links. The body belongs to all who look at the request."""
    if not isinstance(prompt, dict):
        return prompt
    return {node_id: _own_node(node) for node_id, node in prompt.items()}


def _own_node(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    own, inputs = {**node}, node.get("inputs")
    if isinstance(inputs, dict):
        own["inputs"] = {
            name: [*value] if type(value) is list else value for name, value in inputs.items()
        }
    return own


def _share_names(prompt: Mapping[str, dict[str, Any]], catalogue: Catalogue) -> None:
    """Thousands of prompts may wait, with the same few classes: one string for all of them."""
    for node in prompt.values():
        known = catalogue.get(node["class_type"])
        if known is not None:
            node["class_type"] = known.name


def _unfit(unfit: UnfitPlan) -> dict[str, Any]:
    # No real server says this; it is for the author of the test.
    return {
        "type": "fake_plan_does_not_fit",
        "message": str(unfit),
        "details": unfit.node_id,
        "extra_info": {},
    }


def _with_unmet(answer: Response, unmet: Sequence[str]) -> Response:
    if not unmet:
        return answer
    header = (UNMET_HEADER, ", ".join(json.dumps(one)[1:-1] for one in unmet))
    return msgspec.structs.replace(answer, headers=(*answer.headers, header))


def _validated(engine: Engine, prompt: Any, body: Mapping[str, Any]) -> Verdict:
    has_targets = engine.era.has("partial_targets")
    try:
        if engine.era.has("node_replacement"):
            if not isinstance(prompt, dict):
                raise HandlerFailed("the prompt is not an object")
            replace_retired(prompt, engine.catalogue)
        return validate(
            prompt,
            body.get("partial_execution_targets") if has_targets else None,
            catalogue=engine.catalogue,
            era=engine.era,
            checks=file_checks(engine.files.exists),
            checked=self_checked,
        )
    except (Broken, Unreplaceable, RecursionError) as error:
        raise HandlerFailed(str(error)) from None


def _extra_data(engine: Engine, request: Request, body: Mapping[str, Any]) -> Any:
    """The ``extra_data`` of a prompt; only a prompt that may run needs an object there."""
    extra_data = body.get("extra_data", {})
    extra_data = {**extra_data} if isinstance(extra_data, dict) else extra_data
    source = request.header("Comfy-Usage-Source")
    try:
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        if engine.era.has("workflow_metadata"):
            _take_metadata(extra_data, body)
        if engine.era.has("usage_source") and "comfy_usage_source" not in extra_data and source:
            extra_data["comfy_usage_source"] = source
    except TypeError as error:
        raise HandlerFailed(str(error)) from None
    return extra_data


def _take_metadata(extra_data: Any, body: Mapping[str, Any]) -> None:
    """Keep the prompt's ``workflow_metadata`` in its ``extra_data``; what is too large is ignored.

    What stands there already counts for nothing; without any, the id of the workflow is taken.
    """
    if not isinstance(extra_data, dict):
        raise TypeError("extra_data is not an object")
    extra_data.pop("workflow_metadata", None)
    metadata = body.get("workflow_metadata")
    if not _is_metadata(metadata):
        metadata = _id_of_workflow(extra_data)
    if _is_metadata(metadata):
        extra_data["workflow_metadata"] = metadata


def _is_metadata(value: Any) -> bool:
    return isinstance(value, dict) and len(comfy_json(value)) <= METADATA_LETTERS_MAX


def _id_of_workflow(extra_data: Mapping[str, Any]) -> dict[str, str] | None:
    found: Any = extra_data
    for name in ("extra_pnginfo", "workflow", "id"):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return {"workflow_id": found} if isinstance(found, str) and found else None


# --- /queue, /interrupt, /free ---------------------------------------------------------------


def get_queue(context: Context, request: Request) -> Response:
    """What runs and what waits."""
    engine = context.engine
    running = [job.item() for job in engine.running]
    pending = [job.item() for job in engine.pending]
    return json_response({"queue_running": running, "queue_pending": pending})


def post_queue(context: Context, request: Request) -> Response:
    """Take waiting prompts out of the queue: ``{"clear": true}`` or ``{"delete": [ids]}``."""
    engine, body = context.engine, keys_of(request)
    if body.get("clear"):
        engine.clear_queue()
    for one in listed(body, "delete"):
        engine.delete(lambda job, one=one: job.prompt_id == one)  # type: ignore[misc]  # bound now
    return empty()


def post_interrupt(context: Context, request: Request) -> Response:
    """Interrupt what runs, or only the prompt that the body names."""
    engine = context.engine
    if not engine.era.has("targeted_interrupt"):
        engine.interrupt(context.now)
        return empty()
    try:
        body = read_json(request)
    except BodyNotJson:
        body = {}
    if not isinstance(body, dict):
        raise HandlerFailed("the body is not an object")
    engine.interrupt(context.now, body.get("prompt_id") or None)
    return empty()


def post_free(context: Context, request: Request) -> Response:
    """Let go of models and results when the worker has time."""
    body = read_json(request)
    if not isinstance(body, dict):
        raise HandlerFailed("the body is not an object")
    context.engine.free(
        unload_models=bool(body.get("unload_models", False)),
        free_memory=bool(body.get("free_memory", False)),
        now=context.now,
    )
    return empty()
