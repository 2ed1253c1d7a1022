"""The body of ``POST /api/v2/jobs`` -> what is asked of the server; its refusal -> that of v2."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from comfyrec.client.http import requests
from comfyrec.client.http.exchange import reason_of
from comfyrec.client.workflow import Workflow
from comfyrec.errors import Rejected
from comfyrec.http.hint import HINT_HEADER
from fake_server.source import Request
from fake_server.surfaces.surface import Asking, client_response, native_request
from fake_server.surfaces.v2.answers import V2Error, upstream_error
from fake_server.surfaces.v2.assets import Asset, references

__all__ = ["IdempotencyKeys", "Submission", "read_submission", "resolved", "submitted"]

KEY_CHARS_MAX: Final = 255
"""As in comfy-api-proxy, and in comfy-sdk."""
KEYS_MAX: Final = 10_000
KEY_US: Final = 86_400_000_000
"""A key is kept for a day."""
LABELS_MAX: Final = 16
"""As comfy-sdk has it of ``metadata``."""


class Submission(msgspec.Struct, frozen=True):
    """What a client wants to be run."""

    workflow: dict[str, Any]
    extra_data: dict[str, str]
    metadata: dict[str, str]


class IdempotencyKeys:
    """Keys that were used: each is good for one request."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, int] = OrderedDict()

    def claim(self, request: Request, now: int) -> str | None:
        """Take the key of a request; None: it has none.

        Raises:
            V2Error: the key was used before, or cannot be one.
        """
        key = request.fields.get("idempotency-key")
        if key is None:
            return None
        if not 1 <= len(key) <= KEY_CHARS_MAX:
            raise V2Error(
                422, "invalid_request", f"Idempotency-Key has to have 1 to {KEY_CHARS_MAX} letters"
            )
        while self._keys and (
            len(self._keys) >= KEYS_MAX or now - next(iter(self._keys.values())) >= KEY_US
        ):
            self._keys.popitem(last=False)
        if key in self._keys:
            raise V2Error(
                422,
                "idempotency_key_reuse",
                "this Idempotency-Key was used already; ask for the job, do not send it again",
            )
        self._keys[key] = now
        return key

    def release(self, key: str | None) -> None:
        """Nothing came of the request: it may be sent again."""
        if key is not None:
            self._keys.pop(key, None)

    def clear(self) -> None:
        """Forget all keys."""
        self._keys.clear()


def read_submission(request: Request) -> Submission:
    """What a body says.

    Raises:
        V2Error: it cannot be accepted.
    """
    body = request.json
    if not isinstance(body, dict):
        raise V2Error(422, "invalid_request", "the body has to be a JSON object")
    for name in ("webhook_url", "inputs"):
        if body.get(name) is not None:
            raise V2Error(422, "invalid_workflow", f"'{name}' is reserved and not accepted yet")
    workflow = body.get("workflow")
    if not isinstance(workflow, dict):
        raise V2Error(422, "invalid_workflow", "'workflow' has to be a graph in API format")
    if isinstance(workflow.get("nodes"), list) and "links" in workflow:
        raise V2Error(
            422,
            "workflow_format_ui",
            "this workflow is as the editor saves it; export it in API format",
        )
    return Submission(workflow, _extra_data(body), _labels(body.get("metadata")))


def _extra_data(body: Mapping[str, Any]) -> dict[str, str]:
    extra_data = body.get("extra_data")
    if extra_data is None and "extra_data" not in body:
        return {}
    if not isinstance(extra_data, dict) or extra_data.keys() - {"api_key_comfy_org"}:
        raise V2Error(422, "invalid_request", "'extra_data' takes 'api_key_comfy_org' alone")
    if not all(isinstance(value, str) for value in extra_data.values()):
        raise V2Error(422, "invalid_request", "'extra_data.api_key_comfy_org' has to be a text")
    return dict(extra_data)


def _labels(metadata: object) -> dict[str, str]:
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise V2Error(422, "metadata_invalid", "'metadata' has to be an object of texts")
    if len(metadata) > LABELS_MAX:
        raise V2Error(
            422, "metadata_invalid", f"'metadata' has {len(metadata)} labels, at most {LABELS_MAX}"
        )
    for name, value in metadata.items():
        if not name or not isinstance(value, str):
            raise V2Error(422, "metadata_invalid", f"the label '{name}' has to be a text")
    return dict(metadata)


def resolved(
    workflow: dict[str, Any], find: Callable[[Mapping[str, Any]], Asset | None]
) -> tuple[dict[str, Any], set[str]]:
    """The workflow with file names in place of its assets, and the ids of these.

    Raises:
        V2Error: a reference without an asset, or an entry that is not a node.
    """
    used: set[str] = set()
    missing: list[str] = []
    names: dict[int, str] = {}
    for reference in references(workflow):
        info = reference.get("info")
        asset = find(info) if isinstance(info, dict) else None
        if asset is None:
            named = info.get("id") if isinstance(info, dict) else None
            missing.append(named if isinstance(named, str) else "in a reference without an id")
            continue
        used.add(asset.id)
        # A workflow is a tree, so each reference is in it once.
        names[id(reference)] = _file_name(asset)
    if missing:
        raise V2Error(
            422,
            "missing_asset",
            f"there is no asset {', '.join(missing)}",
            details={"missing_ids": missing},
        )
    graph = _replaced(workflow, names)
    _check_nodes(graph)
    return graph, used


def _check_nodes(workflow: Mapping[str, Any]) -> None:
    for node_id, node in workflow.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            raise V2Error(422, "invalid_workflow", f"'{node_id}' is not a node with a class_type")
        if not isinstance(node.get("inputs"), dict):
            raise V2Error(422, "invalid_workflow", f"node {node_id} has no object of inputs")


def _file_name(asset: Asset) -> str:
    """As a node's input names it: relative to its folder, models to that of their kind."""
    file = asset.blob.file
    if file is None:
        parts = asset.file_path.split("/")
        return "/".join(parts[2:] if parts[0] == "models" and len(parts) > 2 else parts)
    path = f"{file.subfolder}/{file.filename}" if file.subfolder else file.filename
    return path if file.type == "input" else f"{path} [{file.type}]"


def _replaced(value: Any, names: Mapping[int, str]) -> Any:
    if isinstance(value, dict):
        name = names.get(id(value))
        return name if name is not None else {k: _replaced(v, names) for k, v in value.items()}
    if isinstance(value, list):
        return [_replaced(one, names) for one in value]
    return value


# --- the server's word ---------------------------------------------------------------------------


def submitted(
    submission: Submission, graph: dict[str, Any], *, client_id: str, release: Callable[[], None]
) -> Asking[str]:
    """Send a prompt to the server; gives its id there.

    Args:
        submission: what the client sent.
        graph: its workflow, with file names for assets.
        client_id: whose sockets hear of it.
        release: called when nothing was queued for certain.

    Raises:
        V2Error: it was refused, or nobody knows.
    """
    conversation = requests.submit(
        Workflow(graph), client_id=client_id, extra_data=submission.extra_data
    )
    got = yield native_request(next(conversation))
    answer = client_response(got)
    # Where its handler raises, nothing was queued: only a gateway's word leaves that open.
    refused = 400 <= got.status <= 500
    if refused:
        release()
    if got.status == 429:
        after = next((v for k, v in got.headers if k.lower() == "retry-after"), "")
        seconds = int(after) if after.isascii() and after.isdigit() else 5
        raise V2Error(429, "queue_full", "the queue is full", retry_after=seconds)
    if got.status == 402:
        raise V2Error(402, "insufficient_credits", reason_of(answer))
    try:
        conversation.send(answer)
    except StopIteration as done:
        accepted: requests.Accepted = done.value
        return accepted.prompt_id
    except Rejected as rejected:
        if not refused:
            raise upstream_error() from None
        errors = _node_errors(rejected.node_errors)
        details = {"node_errors": errors} if errors else None
        hints = tuple(field for field in got.headers if field[0] == HINT_HEADER)
        raise V2Error(
            422, "invalid_workflow", rejected.why, details=details, headers=hints
        ) from None
    raise AssertionError("a submission is one request")


def _node_errors(found: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """ComfyUI's errors by node, each as the field and the reason of v2."""
    shown: dict[str, list[dict[str, str]]] = {}
    for node_id, entry in found.items():
        errors = entry.get("errors") if isinstance(entry, dict) else None
        for error in errors if isinstance(errors, list) else []:
            if isinstance(error, dict):
                info = error.get("extra_info")
                field = info.get("input_name") if isinstance(info, dict) else None
                shown.setdefault(node_id, []).append(
                    {
                        "field": str(field or ""),
                        "reason": str(error.get("type") or ""),
                        "message": str(error.get("details") or error.get("message") or ""),
                    }
                )
    return shown
