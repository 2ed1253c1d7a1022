"""How a person goes on whose prompt was refused: for what a fresh fake server lacks, or its form.

The refusal itself is word for word ComfyUI's; this stands beside it, in headers and on the
console, a line for each hint.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from comfyrec.errors import WorkflowError
from comfyrec.wording import shortened, shortened_list
from fake_server.nodes.catalogue import Catalogue
from fake_server.nodes.model_folders import CORE_MODELS

__all__ = ["form_hint", "refusal_hints"]

_NAMES_MAX: Final = 3
_NAME_LETTERS_MAX: Final = 60
_FLAGS_LETTERS_MAX: Final = 2_000
"""Proxies and clients take 8,192 bytes of headers and more; longer flags are left out, not cut."""


def refusal_hints(
    catalogue: Catalogue, prompt: Any, node_errors: Mapping[str, Any] | Sequence[Any]
) -> list[str]:
    """What to start the server with so that all of the prompt is accepted, as far as is known.

    Args:
        catalogue: the classes and model files of the server.
        prompt: what was submitted, whatever it is.
        node_errors: as the refusal, or the answer to what runs in part, has them; a list where
            there are none.
    """
    unknown = catalogue.unknown_in(prompt)
    if unknown:
        return [
            f"{_named(unknown)} {_is_not(unknown)} in the catalogue: start with --learn "
            "WORKFLOW.json, --object-info URL or --unknown-nodes accept"
        ]
    if not isinstance(node_errors, Mapping):
        return []
    return [*_about_models(catalogue, prompt, node_errors), *_about_files(catalogue, node_errors)]


def form_hint(body: Any) -> str:
    """What to send instead of a body that has a workflow in another form; empty if it has none.

    Args:
        body: of ``POST /prompt``, parsed, whatever it is.
    """
    # Most servers are asked properly; they start without reading how workflows are found.
    from comfyrec.workflows import find_workflows

    prompt = body.get("prompt") if isinstance(body, Mapping) else None
    if isinstance(prompt, Mapping) and "class_type" in prompt:
        return "'prompt' is one node: send an object of node ids, each with its node"
    try:
        found = find_workflows(body)
    except WorkflowError:
        return ""
    workflow = found[0]
    at = _quoted(workflow.where) if workflow.where else "the body"
    if workflow.format == "ui":
        return (
            f"{at} is a workflow as the page saves it: send what 'comfyrec convert FILE -o "
            "api.json' or Export (API) on the page makes of it"
        )
    if workflow.where != "prompt":
        return f'{at} is the workflow: send it as {{"prompt": WORKFLOW}}'
    if isinstance(prompt, str):
        return "'prompt' is JSON in a text: send the object itself"
    return ""


def _about_models(
    catalogue: Catalogue,
    prompt: Mapping[str, Any],
    node_errors: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    missing: dict[str, dict[str, None]] = {}
    for name, error in _each(node_errors, "value_not_in_list"):
        extra = error["extra_info"]
        folder, value = catalogue.folder_of(name, extra["input_name"]), extra["received_value"]
        if folder is not None and isinstance(value, str):
            missing.setdefault(folder, {})[value] = None
    if missing:
        names = list(dict.fromkeys(name for files in missing.values() for name in files))
        folders = "folder" if len(missing) == 1 else "folders"
        flags = _models_flags(catalogue, prompt, missing)
        yield (
            f"{_named(names)} {_is_not(names)} in the model {folders} {', '.join(missing)}: "
            f"start with {f'{flags} or ' if flags else ''}--learn WORKFLOW.json"
        )


def _models_flags(
    catalogue: Catalogue, prompt: Mapping[str, Any], missing: Mapping[str, Iterable[str]]
) -> str:
    """The flags that bring these files, whole and to be pasted; empty where flags cannot say it.

    A flag says all that its folder holds, so it also names what is to stay: what somebody put
    there, or else what the prompt uses.
    """
    flags: list[str] = []
    for folder, files in missing.items():
        there = catalogue.models[folder]
        if there == tuple(CORE_MODELS.get(folder, ())):
            there = tuple(_used(catalogue, prompt, folder))
        names = dict.fromkeys([*there, *files])
        if not all(map(_can_be_typed, names)):
            return ""
        flags.append(f"--models {folder}={shlex.quote(','.join(names))}")
    command = " ".join(flags)
    return command if len(command) <= _FLAGS_LETTERS_MAX else ""


def _used(catalogue: Catalogue, prompt: Mapping[str, Any], folder: str) -> Iterator[str]:
    """The files of a folder that the prompt names and the server has."""
    for node in prompt.values():
        for key, value in node["inputs"].items():
            in_folder = catalogue.folder_of(node["class_type"], key) == folder
            if in_folder and isinstance(value, str) and value in catalogue.models[folder]:
                yield value


def _can_be_typed(name: str) -> bool:
    # A header is ASCII, and the flag parts names at commas.
    return bool(name) and name.isascii() and name.isprintable() and "," not in name


def _about_files(
    catalogue: Catalogue, node_errors: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    missing: dict[str, None] = {}
    for name, error in _each(node_errors, "custom_validation_failed"):
        node_class = catalogue.get(name)
        loads = node_class.behaviour.file if node_class is not None else None
        if loads is not None:
            missing[error["details"].partition(loads.missing)[2]] = None
    if missing:
        yield (
            f"{_named([*missing])} {_is_not(missing)} in the input folder: upload it first, or "
            "start with --learn WORKFLOW.json"
        )


def _each(
    node_errors: Mapping[str, Mapping[str, Any]], kind: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Class and error, of the errors of a kind."""
    for node in node_errors.values():
        for error in node["errors"]:
            if error["type"] == kind:
                yield node["class_type"], error


def _named(names: Sequence[str]) -> str:
    return ", ".join(shortened_list([_quoted(one) for one in names], _NAMES_MAX))


def _quoted(name: str) -> str:
    quoted = ascii(name)
    return shortened(quoted[:-1], _NAME_LETTERS_MAX - 1) + quoted[-1]


def _is_not(names: Mapping[str, None] | Sequence[str]) -> str:
    return "is not" if len(names) == 1 else "are not"
