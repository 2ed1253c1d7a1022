"""One harmless question for each fact of ComfyUI's versions that a client can ask about.

Nothing is deleted or cleared. A few small prompts are run, which write previews into the server's
temporary folder, and one of them is interrupted; all others are refused before they reach the
queue.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from comfyrec.conform.interrupting import Interrupt
from comfyrec.versions import Era

__all__ = ["PROBES", "UNKNOWN_ID", "Answer", "Probe", "Run", "Server"]

METADATA: Final = {"comfyrec": "conform"}
"""The ``workflow_metadata`` of the prompt that is run."""
UNKNOWN_ID: Final = "00000000-0000-4000-8000-00000000c0de"


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """By names in small letters."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, None for anything else."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class Run(msgspec.Struct, frozen=True):
    """What was seen of the prompt that was run."""

    prompt_id: str
    asked_id: str
    """The id that was asked for."""
    frames: list[Mapping[str, Any]]
    """The text frames of the socket, from its greeting to the end of the prompt."""
    history: Mapping[str, Any]
    """Its entry in the history."""
    again: Mapping[str, Any]
    """The entry of the same prompt once more, from nobody: all of it was cached."""
    client_id: str = ""
    """Of the socket whose frames these are."""
    accepted: Mapping[str, Any] = {}
    """The answer to POST /prompt."""
    others: list[Mapping[str, Any]] = []
    """The text frames of another client's socket meanwhile."""
    repeated: list[Mapping[str, Any]] = []
    """The text frames of the same prompt once more, from the same client."""
    queued: tuple[list[str], list[str]] | None = None
    """Ids of prompts that were submitted at once, and the order in which they started; None where
    they did not have to wait for each other."""
    interrupted: Interrupt | None = None
    """What became of one that was interrupted; None where it was over before."""

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """The data of the frames of a type that name the prompt."""
        found = (frame.get("data") for frame in self.frames if frame.get("type") == kind)
        return [
            data
            for data in found
            if isinstance(data, dict) and data.get("prompt_id") == self.prompt_id
        ]


class Server(Protocol):
    """What probes ask."""

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request; a body is sent as JSON, bytes as they are, None not at all."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether it was reached under a loopback address."""
        ...

    @property
    def run(self) -> Run | None:
        """The prompt that was run; None where the server was busy or refused it."""
        ...


Ask = Callable[[Server], bool | None]
"""True or False: what the answer shows; None: it shows nothing."""


class Probe(msgspec.Struct, frozen=True):
    """A question, and the fact that it is about."""

    fact: str
    ask: Ask
    expected: Callable[[Era], bool] | None = None
    """What a version answers, where that is not just whether it has the fact."""

    def expects(self, era: Era) -> bool:
        """What a server of that version answers."""
        return era.has(self.fact) if self.expected is None else self.expected(era)


# --- kinds of questions ----------------------------------------------------------------------


def _there(path: str, method: str = "GET") -> Ask:
    """Whether there is such a route."""
    return lambda server: server.ask(method, path).status not in (403, 404, 405)


def _flag(name: str) -> Ask:
    def ask(server: Server) -> bool:
        flags = server.ask("GET", "/features").json
        return isinstance(flags, dict) and name in flags

    return ask


def _of_system(name: str) -> Ask:
    def ask(server: Server) -> bool:
        stats = server.ask("GET", "/system_stats").json
        system = stats.get("system") if isinstance(stats, dict) else None
        return isinstance(system, dict) and name in system

    return ask


def _refusal(server: Server, prompt: Any, **beside: Any) -> Mapping[str, Any] | None:
    """The answer to a prompt that every server refuses; None where one did not."""
    answer = server.ask("POST", "/prompt", {"prompt": prompt, **beside})
    return answer.json if answer.status == 400 and isinstance(answer.json, dict) else None


def _type(refusal: Mapping[str, Any] | None) -> Any:
    error = None if refusal is None else refusal.get("error")
    return error.get("type") if isinstance(error, dict) else None


def _in_run(look: Callable[[Run], bool | None]) -> Ask:
    return lambda server: None if server.run is None else look(server.run)


# --- the questions ---------------------------------------------------------------------------

_IMAGE: Final = {
    "class_type": "EmptyImage",
    "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
}
_LATENT: Final = {
    "class_type": "EmptyLatentImage",
    "inputs": {"width": 64, "height": 64, "batch_size": 1},
}


def _preview(of: str) -> dict[str, Any]:
    return {"class_type": "PreviewImage", "inputs": {"images": [of, 0]}}


def _origin_guard(server: Server) -> bool | None:
    if not server.is_local:
        return None
    return server.ask("GET", "/prompt", headers={"Origin": "http://a.example"}).status == 403


def _fetch_site_guard(server: Server) -> bool:
    return server.ask("GET", "/prompt", headers={"Sec-Fetch-Site": "cross-site"}).status == 403


def _error_objects(server: Server) -> bool | None:
    answer = server.ask("POST", "/prompt", {"client_id": "comfyrec-conform"}).json
    return isinstance(answer.get("error"), dict) if isinstance(answer, dict) else None


def _missing_node_type(server: Server) -> bool | None:
    refusal = _refusal(server, {"1": {"class_type": "ComfyrecNoSuchNode", "inputs": {}}})
    return None if refusal is None else _type(refusal) == "missing_node_type"


def _uuid_prompt_ids(server: Server) -> bool | None:
    if server.run is not None and server.run.prompt_id != server.run.asked_id:
        return None  # it does not look at ids
    refusal = _refusal(server, {}, prompt_id="not-a-uuid")
    return None if refusal is None else _type(refusal) == "invalid_prompt_id"


def _long_mismatch(server: Server) -> bool | None:
    refusal = _refusal(server, {"1": _LATENT, "2": _preview("1")})
    return None if refusal is None else "received_type(" in json.dumps(refusal)


def _reprs_in_lists(server: Server) -> bool | None:
    sampler = {
        "class_type": "KSampler",
        "inputs": {"sampler_name": 5, "latent_image": ["1", 0]},
    }
    save = {"class_type": "SaveLatent", "inputs": {"samples": ["2", 0], "filename_prefix": "a"}}
    refusal = _refusal(server, {"1": _LATENT, "2": sampler, "3": save})
    if refusal is None or "value_not_in_list" not in json.dumps(refusal):
        return None
    return "sampler_name: 5 not in" in json.dumps(refusal)


def _job_cancelled(server: Server) -> bool | None:
    answer = server.ask("GET", "/api/jobs?status=cancelled&limit=1")
    return answer.status == 200


def _job_cancel(server: Server) -> bool:
    return server.ask("POST", f"/api/jobs/{UNKNOWN_ID}/cancel").status != 405


def _asset_export(server: Server) -> bool:
    return server.ask("POST", "/api/assets/export", {}).status != 405


# Lists of assets are older, and always on there: 0.9.2 has them.
_SCANS_ASSETS: Final = _there("/api/assets/seed/status")


def _assets_always(server: Server) -> bool | None:
    if _SCANS_ASSETS(server):
        return False
    status = server.ask("GET", "/api/assets?limit=1").status
    return status == 200 if status in (200, 403, 404, 405, 503) else None


def _assets_on(server: Server) -> bool | None:
    if not _SCANS_ASSETS(server):
        return False
    status = server.ask("GET", "/api/assets?limit=1").status
    if status in (200, 403, 404, 405, 503):
        return status == 200
    # With users of its own it lists nothing for nobody; what it shows has ids all the same.
    shown = {} if server.run is None else server.run.history.get("outputs", {})
    files = [file for node in shown.values() for file in node.get("images", ())]
    return any("id" in file for file in files) if files else None


def _no_store(server: Server) -> bool:
    answer = server.ask("GET", "/comfyrec-conform.js")
    return answer.headers.get("cache-control") == "no-store"


def _datasets_folder(server: Server) -> bool:
    folders = server.ask("GET", "/models").json
    return isinstance(folders, list) and "datasets" in folders


def _previewable_count(server: Server) -> bool | None:
    if server.run is None:
        return None
    job = server.ask("GET", f"/api/jobs/{server.run.prompt_id}").json
    return isinstance(job, dict) and "previewable_outputs_count" in job


def _view_nosniff(server: Server) -> bool | None:
    if server.run is None:
        return None
    for shown in server.run.history.get("outputs", {}).values():
        for file in shown.get("images", ()):
            path = f"/view?filename={file['filename']}&type={file['type']}"
            return "x-content-type-options" in server.ask("GET", path).headers
    return None


def _create_time(run: Run) -> bool:
    return "create_time" in run.history["prompt"][3]


def _aimed(run: Run) -> bool | None:
    return None if run.interrupted is None else run.interrupted.aimed


PROBES: Final = (
    Probe("success_event", _in_run(lambda run: bool(run.of("execution_success")))),
    Probe(
        "display_node",
        _in_run(lambda run: any("display_node" in data for data in run.of("executing"))),
    ),
    Probe("long_mismatch", _long_mismatch),
    Probe("origin_guard", _origin_guard),
    Probe("options_everywhere", _there("/comfyrec-conform", "OPTIONS")),
    Probe("internal_routes", _there("/models")),
    Probe("error_objects", _error_objects),
    Probe("workflow_templates", _there("/workflow_templates")),
    Probe("i18n", _there("/i18n")),
    Probe("v2_userdata", _there("/v2/userdata")),
    Probe("progress_state", _in_run(lambda run: bool(run.of("progress_state")))),
    Probe("client_prompt_id", _in_run(lambda run: run.prompt_id == run.asked_id)),
    Probe("targeted_interrupt", _in_run(_aimed)),
    Probe("global_subgraphs", _there("/global_subgraphs")),
    Probe("cached_needs_client", _in_run(lambda run: not run.again.get("outputs"))),
    Probe("create_time", _in_run(_create_time)),
    Probe("jobs", _there("/api/jobs?limit=1")),
    Probe("manager_flag", _flag("extension")),
    Probe(
        "job_cancelled", _job_cancelled, lambda era: era.has("jobs") and era.has("job_cancelled")
    ),
    Probe("missing_node_type", _missing_node_type),
    Probe("node_replacement", _there("/node_replacements")),
    Probe("asset_lists", _there("/api/assets?limit=1")),
    Probe("assets_always", _assets_always),
    Probe("assets_events", _SCANS_ASSETS),
    Probe("no_store", _no_store),
    Probe("fetch_site_guard", _fetch_site_guard),
    Probe("reprs_in_lists", _reprs_in_lists),
    Probe("uuid_prompt_ids", _uuid_prompt_ids),
    Probe("usage_source", _of_system("deploy_environment")),
    Probe("job_cancel", _job_cancel),
    Probe("model_type_tags", _flag("supports_model_type_tags")),
    Probe("replacements_flag", _flag("node_replacements")),
    Probe("assets_flag", _flag("assets")),
    Probe("view_nosniff", _view_nosniff),
    Probe(
        "previewable_count",
        _previewable_count,
        lambda era: era.has("jobs") and era.has("previewable_count"),
    ),
    Probe("datasets_folder", _datasets_folder),
    Probe(
        "workflow_metadata",
        _in_run(lambda run: any("comfyrec" in data for data in run.of("execution_start"))),
    ),
    Probe("asset_export", _asset_export),
    Probe("assets_on", _assets_on, lambda era: era.has("assets_events") and era.has("assets_on")),
)
