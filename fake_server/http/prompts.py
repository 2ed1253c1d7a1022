"""Questions about prompts, queue, history and jobs -> their answers.

PROTOCOL.md, sections 6 to 9. Where the server's own handler would raise, the answer is a 500.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from fake_server.http import job_view as jobs
from fake_server.http.question import RoutedRequest, empty, json_answer, loads, server_error
from fake_server.nodes.file_checks import file_checks, self_checked
from fake_server.nodes.replacements import Unreplaceable, replace_retired
from fake_server.simulator.engine import SENSITIVE, Engine
from fake_server.simulator.job import Job
from fake_server.simulator.node_plan import UnfitPlan
from fake_server.simulator.validate import Broken, Verdict, validate
from fake_server.source import Response

__all__ = ["JOB_ROUTES", "ROUTES", "UNMET_HEADER", "PromptHandler"]

PromptHandler: TypeAlias = Callable[[Engine, RoutedRequest, int], Response]

UNMET_HEADER: Final = "X-Fake-Plan-Unmet"
"""On the answer to POST /prompt: ids that the plan speaks of and the prompt does not have."""

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
_CHARSET: Final = re.compile(r"charset=\"?([\w.:-]+)", re.IGNORECASE)


class _Wrecked(Exception):
    """The server's handler would raise here."""


def _guarded(answer: PromptHandler) -> PromptHandler:
    def guarded(engine: Engine, question: RoutedRequest, now: int) -> Response:
        try:
            return answer(engine, question, now)
        except (_Wrecked, Broken, Unreplaceable, RecursionError):
            return server_error()

    return guarded


def _text(question: RoutedRequest) -> str:
    named = _CHARSET.search(question.header("Content-Type"))
    try:
        return question.body.decode(named[1] if named else "utf-8")
    except (UnicodeError, LookupError):
        raise _Wrecked from None


def _json(question: RoutedRequest) -> Any:
    text = _text(question)
    try:
        return loads(text)
    except (ValueError, RecursionError):
        raise _Wrecked from None


def _object(question: RoutedRequest) -> dict[str, Any]:
    found = _json(question)
    if not isinstance(found, dict):
        raise _Wrecked
    return found


# --- /prompt ---------------------------------------------------------------------------------


def get_prompt(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """How long the queue is."""
    return json_answer(engine.queue_info())


def post_prompt(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """Validate a prompt, convert its values, and put it into the queue."""
    body = _json(question)
    if isinstance(body, (list, str)):
        # 'in' works on them too, and only then does the server reach for a key.
        if "number" in body:
            raise _Wrecked
        refusal = _no_prompt(engine)
        if "prompt" in body:
            raise _Wrecked
        return refusal
    if not isinstance(body, dict):
        raise _Wrecked
    number = _number(engine, body)
    if "prompt" not in body:
        return _no_prompt(engine, counted=True)
    prompt_id = _prompt_id(engine, body)
    if prompt_id is None:
        return _refused(engine, _bad_id(), {})
    return _submit(engine, question, body, number, prompt_id, now)


def _number(engine: Engine, body: Mapping[str, Any]) -> int | float:
    if "number" in body:
        try:
            return float(body["number"])
        except (TypeError, ValueError, OverflowError):
            raise _Wrecked from None
    number = engine.number
    engine.number += 1
    return -number if body.get("front") else number


def _no_prompt(engine: Engine, *, counted: bool = False) -> Response:
    if not counted:
        engine.number += 1
    said = "No prompt provided"
    error = {"type": "no_prompt", "message": said, "details": said, "extra_info": {}}
    return _refused(engine, error, {})


def _refused(engine: Engine, error: Mapping[str, Any], node_errors: Any) -> Response:
    if engine.era.has("error_objects"):
        return json_answer({"error": error, "node_errors": node_errors}, 400)
    if error["type"] == "no_prompt":
        return json_answer({"error": "no prompt", "node_errors": []}, 400)
    return json_answer({"error": error, "node_errors": node_errors or []}, 400)


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
    engine: Engine,
    question: RoutedRequest,
    body: Mapping[str, Any],
    number: int | float,
    prompt_id: str,
    now: int,
) -> Response:
    prompt = body["prompt"]
    if engine.era.has("node_replacement"):
        if not isinstance(prompt, dict):
            raise _Wrecked
        replace_retired(prompt, engine.catalogue)
    verdict = _validated(engine, prompt, body)
    extra_data = _extra_data(engine, question, body)
    if verdict.error is not None:
        return _refused(engine, verdict.error, verdict.node_errors)
    if not isinstance(extra_data, dict):
        raise _Wrecked
    try:
        unmet = engine.not_planned_for(prompt, extra_data.get("client_id"))
    except UnfitPlan as unfit:
        return json_answer({"error": _unfit(unfit), "node_errors": {}}, 400)
    if engine.era.has("create_time"):
        extra_data["create_time"] = engine.time.unix_ms
        for name in SENSITIVE:
            extra_data.pop(name, None)
    job = Job(number, prompt_id, prompt, extra_data, verdict.outputs)
    answer = json_answer(
        {"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors}
    )
    engine.put(job, now)
    return _with_unmet(answer, unmet)


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
    return validate(
        prompt,
        body.get("partial_execution_targets") if has_targets else None,
        catalogue=engine.catalogue,
        era=engine.era,
        checks=file_checks(engine.files.exists),
        checked=self_checked,
    )


def _extra_data(engine: Engine, question: RoutedRequest, body: Mapping[str, Any]) -> Any:
    """What stands beside the prompt; only a prompt that may run needs an object there."""
    extra_data = body.get("extra_data", {})
    source = question.header("Comfy-Usage-Source")
    try:
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        if engine.era.has("usage_source") and "comfy_usage_source" not in extra_data and source:
            extra_data["comfy_usage_source"] = source
    except TypeError:
        raise _Wrecked from None
    return extra_data


# --- /queue, /interrupt, /free ----------------------------------------------------------------


def get_queue(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """What runs and what waits."""
    running = [engine.running.item()] if engine.running is not None else []
    pending = [job.item() for job in engine.pending]
    return json_answer({"queue_running": running, "queue_pending": pending})


def post_queue(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """Take waiting prompts out of the queue: ``{"clear": true}`` or ``{"delete": [ids]}``."""
    body = _keyed(question)
    if body.get("clear"):
        engine.clear_queue()
    for one in _each(body, "delete"):
        engine.delete(lambda job, one=one: job.prompt_id == one)  # type: ignore[misc]  # bound now
    return empty()


def _keyed(question: RoutedRequest) -> Mapping[str, Any]:
    """A body in which the server looks for keys: lists and texts have none, the rest breaks it."""
    body = _json(question)
    if isinstance(body, dict):
        return body
    if isinstance(body, (list, str)) and "clear" not in body and "delete" not in body:
        return {}
    raise _Wrecked


def _each(body: Mapping[str, Any], name: str) -> list[Any]:
    if name not in body:
        return []
    try:
        return list(body[name])
    except TypeError:
        raise _Wrecked from None


def post_interrupt(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """Interrupt what runs, or only the prompt that the body names."""
    if not engine.era.has("targeted_interrupt"):
        engine.interrupt(now)
        return empty()
    text = _text(question)
    try:
        body = loads(text)
    except ValueError:
        body = {}
    except RecursionError:
        raise _Wrecked from None
    if not isinstance(body, dict):
        raise _Wrecked
    engine.interrupt(now, body.get("prompt_id") or None)
    return empty()


def post_free(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """Let go of models and results when the worker has time."""
    body = _object(question)
    engine.free(
        unload_models=bool(body.get("unload_models", False)),
        free_memory=bool(body.get("free_memory", False)),
        now=now,
    )
    return empty()


# --- /history --------------------------------------------------------------------------------


def get_history(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """All of the history, or a window of it."""
    most = _whole(question, "max_items")
    offset = _whole(question, "offset") if engine.era.has("history_offset") else None
    entries = engine.history
    if most is None and offset is None:
        return json_answer(entries)
    first = -1 if offset is None else offset
    if first < 0 and most is not None:
        first = len(entries) - most
    # The server stops once enough were taken, which is never before the first one.
    keys = [key for index, key in enumerate(entries) if index >= first]
    if most is not None:
        keys = keys[: max(1, most)]
    return json_answer({key: entries[key] for key in keys})


def _whole(question: RoutedRequest, name: str) -> int | None:
    value = question.asked(name)
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        raise _Wrecked from None


def get_history_of(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """One prompt's entry under its id; an empty object while there is none."""
    prompt_id = question.param["prompt_id"]
    entry = engine.history.get(prompt_id)
    return json_answer({} if entry is None else {prompt_id: entry})


def post_history(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """Forget entries: ``{"clear": true}`` or ``{"delete": [ids]}``."""
    body = _keyed(question)
    if body.get("clear"):
        engine.history.clear()
    for one in _each(body, "delete"):
        try:
            engine.history.pop(one, None)
        except TypeError:  # a list or object where an id should be
            raise _Wrecked from None
    return empty()


# --- /api/jobs -------------------------------------------------------------------------------


class _BadQuery(Exception):
    """The job list cannot be asked this way; the text is the answer's."""


def get_jobs(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """The job list: filtered, sorted, one page of it."""
    try:
        wanted = _statuses(engine, question)
        by, descending = _sorting(question)
        limit, offset = _page(question)
    except _BadQuery as bad:
        return json_answer({"error": str(bad)}, 400)
    try:
        found = [job for job in _all_jobs(engine) if job["status"] in wanted]
        workflow = question.asked("workflow_id")
        if workflow:
            found = [job for job in found if job.get("workflow_id") == workflow]
        found = jobs.ordered(found, by, descending=descending)
    except (
        AttributeError,
        TypeError,
    ):  # an extra_pnginfo that is no object, times that are no numbers
        raise _Wrecked from None
    page = found[offset:] if limit is None else found[offset : offset + limit]
    more = limit is not None and offset + len(page) < len(found)
    about = {"offset": offset, "limit": limit, "total": len(found), "has_more": more}
    return json_answer({"jobs": page, "pagination": about})


def _all_jobs(engine: Engine) -> list[dict[str, Any]]:
    era, running = engine.era, engine.running
    found = [] if running is None else [jobs.from_queue(running.item(), "in_progress", era)]
    found += [jobs.from_queue(job.item(), "pending", era) for job in engine.pending]
    found += [jobs.from_history(key, entry, era) for key, entry in engine.history.items()]
    return found


def _statuses(engine: Engine, question: RoutedRequest) -> tuple[str, ...]:
    there = jobs.statuses(engine.era)
    asked = question.asked("status") or ""
    wanted = [one.strip().lower() for one in asked.split(",") if one.strip()]
    wrong = [one for one in wanted if one not in there]
    if wrong:
        raise _BadQuery(
            f"Invalid status value(s): {', '.join(wrong)}. Valid values: {', '.join(there)}"
        )
    return tuple(wanted) if asked else there


def _sorting(question: RoutedRequest) -> tuple[str, bool]:
    by = _or(question.asked("sort_by"), "created_at").lower()
    if by not in ("created_at", "execution_duration"):
        raise _BadQuery("sort_by must be 'created_at' or 'execution_duration'")
    order = _or(question.asked("sort_order"), "desc").lower()
    if order not in ("asc", "desc"):
        raise _BadQuery("sort_order must be 'asc' or 'desc'")
    return by, order == "desc"


def _or(asked: str | None, default: str) -> str:
    return default if asked is None else asked


def _page(question: RoutedRequest) -> tuple[int | None, int]:
    limit, offset = question.asked("limit"), question.asked("offset")
    try:
        most = int(limit) if limit is not None else None
    except ValueError:
        raise _BadQuery("limit must be an integer") from None
    if most is not None and most <= 0:
        raise _BadQuery("limit must be a positive integer")
    try:
        first = int(offset) if offset is not None else 0
    except ValueError:
        raise _BadQuery("offset must be an integer") from None
    return most, max(0, first)


def get_job(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """One job, with its outputs and workflow once it is over."""
    job_id, era = question.param["job_id"], engine.era
    try:
        if job_id in engine.history:
            found = jobs.from_history(job_id, engine.history[job_id], era, alone=True)
        elif engine.running is not None and engine.running.prompt_id == job_id:
            found = jobs.from_queue(engine.running.item(), "in_progress", era, alone=True)
        else:
            waiting = next((j for j in engine.pending if j.prompt_id == job_id), None)
            if waiting is None:
                return json_answer({"error": "Job not found"}, 404)
            found = jobs.from_queue(waiting.item(), "pending", era, alone=True)
    except (AttributeError, TypeError):
        raise _Wrecked from None
    return json_answer(found)


def cancel_job(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """Interrupt or dequeue one job."""
    return json_answer({"cancelled": _cancel(engine, question.param["job_id"], now)})


def cancel_jobs(engine: Engine, question: RoutedRequest, now: int) -> Response:
    """Interrupt or dequeue several jobs."""
    text = _text(question)  # what is not UTF-8 is no JSON error there
    try:
        body = loads(text)
    except ValueError:
        return json_answer({"error": "Request body must be valid JSON"}, 400)
    ids = body.get("job_ids") if isinstance(body, dict) else None
    if not isinstance(ids, list):
        return json_answer({"error": "job_ids must be a list"}, 400)
    wrong = [str(one) for one in ids if not (isinstance(one, str) and _UUID.match(one))]
    if wrong:
        said = "job_ids contains invalid id(s)"
        return json_answer({"error": said, "invalid_ids": wrong}, 400)
    cancelled = [_cancel(engine, one, now) for one in ids]
    return json_answer({"cancelled": any(cancelled)})


def _cancel(engine: Engine, job_id: str, now: int) -> bool:
    if engine.interrupt(now, job_id):
        return True
    return engine.delete(lambda job: job.prompt_id == job_id)


ROUTES: Final[dict[tuple[str, str], PromptHandler]] = {
    key: _guarded(answer)
    for key, answer in {
        ("GET", "/prompt"): get_prompt,
        ("POST", "/prompt"): post_prompt,
        ("GET", "/queue"): get_queue,
        ("POST", "/queue"): post_queue,
        ("GET", "/history"): get_history,
        ("GET", "/history/{prompt_id}"): get_history_of,
        ("POST", "/history"): post_history,
        ("POST", "/interrupt"): post_interrupt,
        ("POST", "/free"): post_free,
    }.items()
}
# These exist under /api only, and only from the eras "jobs" and "job_cancel" on.
JOB_ROUTES: Final[dict[tuple[str, str], PromptHandler]] = {
    key: _guarded(answer)
    for key, answer in {
        ("GET", "/jobs"): get_jobs,
        ("GET", "/jobs/{job_id}"): get_job,
        ("POST", "/jobs/{job_id}/cancel"): cancel_job,
        ("POST", "/jobs/cancel"): cancel_jobs,
    }.items()
}
