"""What every ComfyUI does, whatever its version: one question for each rule.

Like the questions about facts they are harmless: what is run writes previews, what is uploaded goes
to the temporary folder, what is interrupted was run for that, and nothing is cleared or deleted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from comfyrec.conform.probes import UNKNOWN_ID, Answer, Run, Server

__all__ = ["RULES", "Rule"]

FIRST: Final = "1"
LAST: Final = "2"
"""The nodes of the prompt that is run: a picture, and its preview."""
_WORDS_MAX: Final = 200
_BOUNDARY: Final = "comfyrec-conform-boundary"

Look = Callable[[Server, Mapping[str, bool]], str | None]
"""What is wrong, empty for nothing; None where the rule could not be looked at. The facts are those
that the probes have shown."""


class Rule(msgspec.Struct, frozen=True):
    """One thing that holds for every version."""

    name: str
    says: str
    look: Look


def _in_run(look: Callable[[Run, Mapping[str, bool]], str | None]) -> Look:
    return lambda server, facts: None if server.run is None else look(server.run, facts)


def _lacks(value: Any, names: tuple[str, ...], what: str) -> str:
    if not isinstance(value, Mapping):
        return f"{what} is not an object"
    missing = [name for name in names if name not in value]
    return f"{what} lacks {', '.join(missing)}" if missing else ""


def _said(answer: Answer) -> str:
    return f"status {answer.status}, {answer.body[:_WORDS_MAX].decode(errors='replace')!r}"


def _json_object(server: Server, path: str, names: tuple[str, ...]) -> str:
    answer = server.ask("GET", path)
    if answer.status != 200:
        return f"GET {path} answered status {answer.status}"
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return f"GET {path} came as {answer.headers.get('content-type', 'nothing')}"
    return _lacks(answer.json, names, f"GET {path}")


# --- HTTP ------------------------------------------------------------------------------------

_DEVICE: Final = (
    "name", "type", "index", "vram_total", "vram_free", "torch_vram_total", "torch_vram_free",
)  # fmt: skip


def _system_stats(server: Server, facts: Mapping[str, bool]) -> str:
    wrong = _json_object(server, "/system_stats", ("system", "devices"))
    if wrong:
        return wrong
    stats = server.ask("GET", "/system_stats").json
    names = ["os", "python_version", "embedded_python"]
    if facts.get("internal_routes"):
        names += ["ram_total", "ram_free", "comfyui_version", "pytorch_version", "argv"]
    devices = stats["devices"] if isinstance(stats["devices"], list) else [None]
    lacking = [_lacks(one, _DEVICE, "a device") for one in devices]
    return next(filter(None, [_lacks(stats["system"], tuple(names), "its system"), *lacking]), "")


def _queue_shape(server: Server, facts: Mapping[str, bool]) -> str:
    return _json_object(server, "/queue", ("queue_running", "queue_pending"))


def _object_info(server: Server, facts: Mapping[str, bool]) -> str:
    wrong = _json_object(server, "/object_info/EmptyImage", ("EmptyImage",))
    if wrong:
        return wrong
    entry = server.ask("GET", "/object_info/EmptyImage").json["EmptyImage"]
    names = ("input", "output", "output_is_list", "output_name", "name", "output_node")
    return _lacks(entry, names, "EmptyImage")


def _unknown_class_is_empty(server: Server, facts: Mapping[str, bool]) -> str:
    answer = server.ask("GET", "/object_info/ComfyrecNoSuchNode")
    return "" if answer.status == 200 and answer.json == {} else _said(answer)


def _wrong_method(server: Server, facts: Mapping[str, bool]) -> str:
    answer = server.ask("POST", "/system_stats")
    return "" if answer.status == 405 else f"POST /system_stats answered status {answer.status}"


def _unknown_path(server: Server, facts: Mapping[str, bool]) -> str:
    answer = server.ask("GET", "/comfyrec/no/such/path")
    return "" if answer.status == 404 else f"an unknown path answered status {answer.status}"


# --- validation ------------------------------------------------------------------------------

_SMALL: Final = {"width": 8, "height": 8, "batch_size": 1, "color": 0}


def _refused(server: Server, body: Any) -> tuple[str, Any]:
    """What is wrong with the status of a refusal, and its JSON."""
    answer = server.ask("POST", "/prompt", body)
    return ("" if answer.status == 400 else f"it was answered with {_said(answer)}"), answer.json


def _no_prompt(server: Server, facts: Mapping[str, bool]) -> str:
    wrong, said = _refused(server, {"client_id": "comfyrec-conform"})
    return wrong or _lacks(said, ("error", "node_errors"), "the refusal")


def _unknown_class(server: Server, facts: Mapping[str, bool]) -> str:
    wrong, said = _refused(server, {"prompt": {"1": {"class_type": "ComfyrecNo", "inputs": {}}}})
    return wrong or _lacks(said, ("error", "node_errors"), "the refusal")


def _no_outputs(server: Server, facts: Mapping[str, bool]) -> str | None:
    graph = {"1": {"class_type": "EmptyImage", "inputs": _SMALL}}
    wrong, said = _refused(server, {"prompt": graph})
    if _lacks_classes(said):
        return None
    return wrong or _type_is(said, "prompt_no_outputs")


def _lacks_classes(said: Any) -> bool:
    """Whether a refusal is for a class that the server does not have: a fork, or a replay."""
    return not _type_is(said, "missing_node_type") or not _type_is(said, "invalid_prompt")


def _type_is(said: Any, wanted: str) -> str:
    error = said.get("error") if isinstance(said, Mapping) else None
    kind = error.get("type") if isinstance(error, Mapping) else None
    return "" if kind == wanted else f"error.type is {kind!r}, not {wanted!r}"


def _node_error(wanted: str, **inputs: Any) -> Look:
    """A preview of an image with a wrong input is refused with a word for that."""

    def look(server: Server, facts: Mapping[str, bool]) -> str | None:
        given = {name: value for name, value in {**_SMALL, **inputs}.items() if value is not None}
        shown = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
        graph = {"1": {"class_type": "EmptyImage", "inputs": given}, "2": shown}
        wrong, said = _refused(server, {"prompt": graph})
        if _lacks_classes(said):
            return None
        wrong = wrong or _type_is(said, "prompt_outputs_failed_validation")
        if wrong:
            return wrong
        errors = said.get("node_errors")
        node: Any = errors.get("1") if isinstance(errors, Mapping) else None
        wrong = _lacks(node, ("errors", "dependent_outputs", "class_type"), "node_errors['1']")
        if wrong:
            return wrong
        kinds = [one.get("type") for one in node["errors"] if isinstance(one, Mapping)]
        return "" if kinds == [wanted] else f"the errors of the node are {kinds}, not {[wanted]}"

    return look


def _accepted(run: Run, facts: Mapping[str, bool]) -> str:
    wrong = _lacks(run.accepted, ("prompt_id", "number", "node_errors"), "the answer")
    if wrong or run.accepted["node_errors"] == {}:
        return wrong
    return f"node_errors is {json.dumps(run.accepted['node_errors'])[:_WORDS_MAX]}"


# --- events ----------------------------------------------------------------------------------


def _queue_of(frame: Mapping[str, Any]) -> Any:
    data = frame.get("data")
    status = data.get("status") if isinstance(data, Mapping) else None
    info = status.get("exec_info") if isinstance(status, Mapping) else None
    return info.get("queue_remaining") if isinstance(info, Mapping) else None


def _greeting(run: Run, facts: Mapping[str, bool]) -> str:
    first = run.frames[0] if run.frames else {}
    if first.get("type") != "status":
        return f"the first frame is {first.get('type')!r}"
    if not isinstance(_queue_of(first), int):
        return "it has no queue_remaining"
    sid = first["data"].get("sid")
    return "" if sid == run.client_id else f"its sid is {sid!r}, the clientId {run.client_id!r}"


def _status(run: Run, facts: Mapping[str, bool]) -> str:
    counts = [_queue_of(one) for one in run.frames[1:] if one.get("type") == "status"]
    return (
        "" if any(isinstance(one, int) and one > 0 for one in counts) else f"it was told {counts}"
    )


def _life(run: Run, facts: Mapping[str, bool]) -> str:
    """The order of the frames of one prompt."""
    words = []
    for frame in run.frames:
        data = frame.get("data")
        kind, node = frame.get("type"), data.get("node") if isinstance(data, Mapping) else None
        if isinstance(data, Mapping) and data.get("prompt_id", run.prompt_id) == run.prompt_id:
            words.append((kind, node))
    wanted: list[tuple[str, Any]] = [("execution_start", None), ("execution_cached", None)]
    wanted += [("executing", FIRST), ("executing", LAST), ("executed", LAST)]
    if facts.get("success_event"):
        wanted.append(("execution_success", None))
    wanted.append(("executing", None))
    known = {kind for kind, _ in wanted}
    seen = [word for word in words if word[0] in known]
    if seen == wanted:
        return ""
    return f"they came as {', '.join(_word(*one) for one in seen)}"


def _word(kind: Any, node: Any) -> str:
    return f"{kind}({node})" if node is not None else str(kind)


def _progress(run: Run, facts: Mapping[str, bool]) -> str:
    for entry in _progress_entries(run):
        value, most = entry.get("value"), entry.get("max")
        if not isinstance(value, int | float) or not isinstance(most, int | float) or value > most:
            return f"a node stands at {value!r} of {most!r}"
    return ""


def _progress_entries(run: Run) -> list[Mapping[str, Any]]:
    found: list[Any] = list(run.of("progress"))
    for state in run.of("progress_state"):
        nodes = state.get("nodes")
        found += nodes.values() if isinstance(nodes, Mapping) else [{}]
    return [one if isinstance(one, Mapping) else {} for one in found]


def _executed(run: Run, facts: Mapping[str, bool]) -> str | None:
    shown = run.of("executed")
    if not shown:
        return None  # the order of frames says so
    output: Any = shown[0].get("output")
    images = output.get("images") if isinstance(output, Mapping) else None
    if not isinstance(images, list) or not images:
        return f"the output of the preview is {json.dumps(output)[:_WORDS_MAX]}"
    return _lacks(images[0], ("filename", "subfolder", "type"), "its image")


def _cached(run: Run, facts: Mapping[str, bool]) -> str | None:
    told = [one for one in run.repeated if one.get("type") == "execution_cached"]
    if not told:
        return None
    data = told[0].get("data")
    nodes = data.get("nodes") if isinstance(data, Mapping) else None
    listed = sorted(nodes) if isinstance(nodes, list) else nodes
    return "" if listed == [FIRST, LAST] else f"it lists {nodes!r} of a prompt that had run"


def _private(run: Run, facts: Mapping[str, bool]) -> str:
    """Frames of a prompt go to the client that submitted it."""
    heard = {
        str(frame.get("type"))
        for frame in run.others
        if isinstance(frame.get("data"), Mapping) and "prompt_id" in frame["data"]
    }
    return f"another client was sent {', '.join(sorted(heard))}" if heard else ""


# --- queue, history, jobs, files -------------------------------------------------------------


def _order(run: Run, facts: Mapping[str, bool]) -> str | None:
    if run.queued is None:
        return None
    submitted, ran = run.queued
    kept = [one for one in submitted if one in ran]
    return "" if ran == kept else "prompts did not run in the order in which they were submitted"


def _interrupt(run: Run, facts: Mapping[str, bool]) -> str | None:
    if run.interrupted is None:
        return None
    return "" if run.interrupted.heeded else "the prompt ran to its end"


def _history(run: Run, facts: Mapping[str, bool]) -> str:
    wrong = _lacks(run.history, ("prompt", "outputs", "status"), "the entry")
    wrong = wrong or _lacks(
        run.history["status"], ("status_str", "completed", "messages"), "its status"
    )
    if wrong:
        return wrong
    said = run.history["status"]["status_str"], run.history["status"]["completed"]
    return "" if said == ("success", True) else f"a prompt that succeeded has the status {said}"


def _unknown_history(server: Server, facts: Mapping[str, bool]) -> str:
    answer = server.ask("GET", f"/history/{UNKNOWN_ID}")
    return "" if answer.status == 200 and answer.json == {} else _said(answer)


def _jobs(server: Server, facts: Mapping[str, bool]) -> str | None:
    if not facts.get("jobs"):
        return None
    wrong = _json_object(server, "/api/jobs?limit=1", ("jobs", "pagination"))
    if wrong:
        return wrong
    page = server.ask("GET", "/api/jobs?limit=1").json
    names = ("offset", "limit", "total", "has_more")
    wrong = _lacks(page["pagination"], names, "pagination")
    return wrong or ("" if len(page["jobs"]) <= 1 else "limit=1 gave more than one job")


def _job(server: Server, facts: Mapping[str, bool]) -> str | None:
    if server.run is None or not facts.get("jobs"):
        return None
    job = server.ask("GET", f"/api/jobs/{server.run.prompt_id}").json
    wrong = _lacks(job, ("id", "status", "outputs_count"), "the job")
    return wrong or ("" if job["status"] == "completed" else f"its status is {job['status']!r}")


def _view(server: Server, facts: Mapping[str, bool]) -> str | None:
    if server.run is None:
        return None
    for shown in server.run.history.get("outputs", {}).values():
        for file in shown.get("images", ()):
            path = f"/view?filename={file['filename']}&type={file['type']}"
            answer = server.ask("GET", path)
            kind = answer.headers.get("content-type")
            if answer.status != 200 or not answer.body.startswith(b"\x89PNG"):
                return f"the preview came as {_said(answer)}"
            if kind != "image/png":
                return f"the preview came with the Content-Type {kind}"
            named = "content-disposition" in answer.headers
            return "" if named else "the preview came without a Content-Disposition"
    return None


def _view_missing(server: Server, facts: Mapping[str, bool]) -> str:
    answer = server.ask("GET", "/view?filename=comfyrec-no-such-file.png&type=temp")
    return "" if answer.status == 404 else f"a file that is not there: status {answer.status}"


def _upload(server: Server, facts: Mapping[str, bool]) -> str | None:
    """Another picture of the same name gets another one, and the first stays."""
    if server.run is None:
        return None  # then every name that could be asked for exists
    name = f"comfyrec-{server.run.asked_id}.png"
    told = [_uploaded(server, name, content) for content in (b"first", b"second")]
    for answer in told:
        wrong = _lacks(answer.json, ("name", "subfolder", "type"), "the answer")
        if answer.status != 200 or wrong:
            return wrong or _said(answer)
    names = [answer.json["name"] for answer in told]
    return "" if names[0] == name != names[1] else f"two pictures of one name became {names}"


def _uploaded(server: Server, name: str, content: bytes) -> Answer:
    parts = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="type"\r\n\r\ntemp\r\n'
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    body = parts.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    return server.ask("POST", "/upload/image", body, kind)


RULES: Final = (
    Rule("system_stats", "GET /system_stats tells of the system and its devices", _system_stats),
    Rule("queue", "GET /queue has queue_running and queue_pending", _queue_shape),
    Rule("object_info", "GET /object_info/{class} describes the class", _object_info),
    Rule(
        "object_info_unknown",
        "GET /object_info of an unknown class is an empty object",
        _unknown_class_is_empty,
    ),
    Rule("wrong_method", "POST on a route that has only GET is refused with 405", _wrong_method),
    Rule("unknown_path", "a path that does not exist is refused with 404", _unknown_path),
    Rule("no_prompt", "POST /prompt without a prompt is refused with 400", _no_prompt),
    Rule("unknown_class", "a prompt with an unknown class is refused with 400", _unknown_class),
    Rule("no_outputs", "a prompt without outputs is refused as prompt_no_outputs", _no_outputs),
    Rule(
        "missing_input",
        "a missing input is refused as required_input_missing",
        _node_error("required_input_missing", width=None),
    ),
    Rule(
        "small_value",
        "a number below its least is refused as value_smaller_than_min",
        _node_error("value_smaller_than_min", width=0),
    ),
    Rule(
        "wrong_type",
        "a text for a number is refused as invalid_input_type",
        _node_error("invalid_input_type", width="wide"),
    ),
    Rule("accepted", "an accepted prompt gets prompt_id, number, node_errors", _in_run(_accepted)),
    Rule("greeting", "a socket is greeted with status and its client's id", _in_run(_greeting)),
    Rule("status", "status frames count the prompts that wait or run", _in_run(_status)),
    Rule("order_of_frames", "the frames of a prompt come in their order", _in_run(_life)),
    Rule("progress", "no node is further than its end", _in_run(_progress)),
    Rule("executed", "executed has the files of an output node", _in_run(_executed)),
    Rule("cached_nodes", "execution_cached lists all nodes of a repeated prompt", _in_run(_cached)),
    Rule("private_frames", "frames of a prompt go to its own client alone", _in_run(_private)),
    Rule("queue_order", "prompts run in the order in which they were submitted", _in_run(_order)),
    Rule("interrupt", "an interrupt ends the prompt that runs", _in_run(_interrupt)),
    Rule("history", "the history has prompt, outputs and status of a prompt", _in_run(_history)),
    Rule("history_unknown", "the history of an unknown id is an empty object", _unknown_history),
    Rule("jobs_page", "GET /api/jobs comes in pages", _jobs),
    Rule("job", "GET /api/jobs/{id} tells of a finished prompt", _job),
    Rule("view", "GET /view sends a preview as image/png, with its name", _view),
    Rule("view_missing", "GET /view of a file that is not there is a 404", _view_missing),
    Rule("upload", "an upload does not replace another file of its name", _upload),
)
