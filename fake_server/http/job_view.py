"""Queue and history -> the job list of /api/jobs.

protocol.md, section 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from comfyrec.versions import Era

__all__ = ["STATUSES", "from_history", "from_queue", "ordered", "statuses"]

STATUSES: Final = ("pending", "in_progress", "completed", "failed", "cancelled")

_PREVIEWABLE: Final = frozenset({"images", "video", "audio", "3d", "text"})
_SOLIDS: Final = (".obj", ".fbx", ".gltf", ".glb", ".usdz")
_TEXTS: Final = (".txt", ".md", ".json")
TEXT_SHOWN_MAX: Final = 1024

Job = dict[str, Any]


def statuses(era: Era) -> tuple[str, ...]:
    """The statuses that an era tells apart."""
    return STATUSES if era.has("job_cancelled") else STATUSES[:4]


def from_queue(item: Sequence[Any], status: str, era: Era, *, alone: bool = False) -> Job:
    """A waiting or running prompt as a job; ``alone`` for a question about this one only."""
    number, prompt_id, prompt, extra_data, _ = item
    job = _without_none(
        {
            "id": prompt_id,
            "status": status,
            "priority": number,
            "create_time": extra_data.get("create_time"),
            "outputs_count": 0,
            "previewable_outputs_count": 0 if era.has("previewable_count") else None,
            "workflow_id": _workflow_id(extra_data),
        }
    )
    if alone and era.has("job_workflow_always"):
        job["workflow"] = {"prompt": prompt, "extra_data": extra_data}
    return job


def from_history(prompt_id: str, entry: Mapping[str, Any], era: Era, *, alone: bool = False) -> Job:
    """A finished prompt as a job."""
    number, _, prompt, extra_data, _ = entry["prompt"]
    outputs, status = entry["outputs"], entry["status"]
    started, ended, error, interrupted = _times(status["messages"])
    count, preview = _summary(outputs, era)
    state = "completed"
    if status["status_str"] == "error":
        cancelled = interrupted and era.has("job_cancelled")
        state = "cancelled" if cancelled else "failed"
    job = _without_none(
        {
            "id": prompt_id,
            "status": state,
            "priority": number,
            "create_time": extra_data.get("create_time"),
            "execution_start_time": started,
            "execution_end_time": ended,
            "execution_error": error,
            "outputs_count": count,
            "previewable_outputs_count": _previewable(outputs)
            if era.has("previewable_count")
            else None,
            "preview_output": preview,
            "workflow_id": _workflow_id(extra_data),
        }
    )
    if alone:
        job["outputs"] = _normalized(outputs)
        job["execution_status"] = status
        job["workflow"] = {"prompt": prompt, "extra_data": extra_data}
    return job


def ordered(jobs: Iterable[Job], by: str, *, descending: bool) -> list[Job]:
    """Jobs by ``created_at`` or ``execution_duration``."""
    key = _duration if by == "execution_duration" else _created
    return sorted(jobs, key=key, reverse=descending)


def _created(job: Job) -> Any:
    return job.get("create_time", 0)


def _duration(job: Job) -> int:
    started, ended = job.get("execution_start_time", 0), job.get("execution_end_time", 0)
    return ended - started if started and ended else 0


def _without_none(job: Job) -> Job:
    return {key: value for key, value in job.items() if value is not None}


def _workflow_id(extra_data: Mapping[str, Any]) -> Any:
    """``extra_pnginfo.workflow.id``. ``AttributeError`` where the real server has it (500)."""
    return extra_data.get("extra_pnginfo", {}).get("workflow", {}).get("id")


def _times(messages: Iterable[Sequence[Any]]) -> tuple[Any, Any, Any, bool]:
    started = ended = error = None
    interrupted = False
    for kind, data in messages:
        if kind == "execution_start":
            started = data.get("timestamp")
        elif kind in ("execution_success", "execution_error", "execution_interrupted"):
            ended = data.get("timestamp")
            error = data if kind == "execution_error" else error
            interrupted = interrupted or kind == "execution_interrupted"
    return started, ended, error, interrupted


# --- outputs ---------------------------------------------------------------------------------


def _solid(item: str) -> Job | None:
    """A text that names a 3D file, as a file."""
    if not item.lower().endswith(_SOLIDS):
        return None
    return {"filename": item, "type": "output", "subfolder": "", "mediaType": "3d"}


def _items(outputs: Mapping[str, Any]) -> Iterable[tuple[str, str, Any]]:
    for node_id, shown in outputs.items():
        if not isinstance(shown, Mapping):
            continue
        for media, items in shown.items():
            if media != "animated" and isinstance(items, list):
                for item in items:
                    yield node_id, media, item


def _can_preview(media: str, item: Mapping[str, Any]) -> bool:
    if media in _PREVIEWABLE:
        return True
    if str(item.get("format", "")).startswith(("video/", "audio/")):
        return True
    return str(item.get("filename", "")).lower().endswith(_SOLIDS + _TEXTS)


def _is_text(media: str, item: Mapping[str, Any]) -> bool:
    return media == "text" or str(item.get("filename", "")).lower().endswith(_TEXTS)


def _summary(outputs: Mapping[str, Any], era: Era) -> tuple[int, Job | None]:
    """How many outputs there are, and the one to show; saved pictures first."""
    count = 0
    found: dict[int, Job] = {}  # rank -> the first of that rank
    for node_id, media, item in _items(outputs):
        if isinstance(item, str):
            solid = _solid(item)
            if solid is None:
                if media == "text":
                    text = {**_text(item), "nodeId": node_id, "mediaType": media}
                    found.setdefault(_rank("text", text, era), text)
                continue
            item = solid
        if not isinstance(item, Mapping):
            continue
        count += 1
        if _can_preview(media, item):
            shown = {"nodeId": node_id, "mediaType": media}
            entry = {**item, **{k: v for k, v in shown.items() if k == "nodeId" or k not in item}}
            found.setdefault(_rank(media, item, era), entry)
    return count, found[min(found)] if found else None


def _rank(media: str, item: Mapping[str, Any], era: Era) -> int:
    if "content" in item and "filename" not in item:
        return 4 if era.has("text_ranks_last") else 2
    if era.has("text_ranks_last") and _is_text(media, item):
        return 3
    return 1 if item.get("type") == "output" else 2


def _text(item: str) -> Job:
    if len(item) <= TEXT_SHOWN_MAX:
        return {"content": item}
    return {"content": item[:TEXT_SHOWN_MAX], "truncated": True}


def _previewable(outputs: Mapping[str, Any]) -> int:
    as_files = (
        (media, _solid(item) if isinstance(item, str) else item)
        for _, media, item in _items(outputs)
    )
    return sum(isinstance(item, Mapping) and _can_preview(media, item) for media, item in as_files)


def _normalized(outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        node_id: {media: _listed(media, items) for media, items in shown.items()}
        if isinstance(shown, Mapping)
        else shown
        for node_id, shown in outputs.items()
    }


def _listed(media: str, items: Any) -> Any:
    if media == "animated" or not isinstance(items, list):
        return items
    return [
        (_solid(one) or one) if isinstance(one, str) else one for one in items if one is not None
    ]
