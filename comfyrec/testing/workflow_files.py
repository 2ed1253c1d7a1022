"""Workflow files on a disk -> what a server needs to run them, and how its nodes behave.

A path names a file, a folder or a pattern. Beside workflows a file ``nodes.yaml`` (or
``nodes.json``) may say of each class how long it takes, what it shows and how it fails.
"""

from __future__ import annotations

import glob
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from comfyrec.errors import ScenarioError, UsageError, WorkflowError
from comfyrec.versions import Era
from comfyrec.wording import plural, reason
from comfyrec.workflows import read_workflows
from fake_server.nodes.catalogue import Catalogue
from fake_server.nodes.learned import Learned
from fake_server.options import ServerOptions
from fake_server.simulator.learning import Learner
from fake_server.simulator.node_plan import NodePlans

__all__ = ["LearnedFiles", "learn_files", "with_learned"]

SUFFIXES: Final = (".json", ".png", ".webp")
"""Of files that are looked into when a folder is named."""
SIDECARS: Final = ("nodes.yaml", "nodes.yml", "nodes.json")
SIZE_MAX: Final = 256 * 1024 * 1024
"""Of one file, in bytes."""
_OTHER_NAMES: Final = {"outputs": "ui", "failure": "raise"}
"""Keys of a sidecar that a plan calls otherwise."""


class LearnedFiles(msgspec.Struct, frozen=True):
    """What came of the files."""

    learned: Learned
    class_plans: Mapping[str, Mapping[str, Any]]
    """Class -> keys of a plan, from sidecars."""
    prompts: Sequence[tuple[str, Mapping[str, Any]]] = ()
    """The workflows in API format, each with the name of its file."""
    skipped: Sequence[str] = ()
    """Files of folders and patterns that hold no workflow."""

    def __str__(self) -> str:
        said = str(self.learned)
        if self.class_plans:
            said += f"; {plural(len(self.class_plans), 'class', 'classes')} as nodes.yaml says"
        if self.skipped:
            said += f"; {plural(len(self.skipped), 'file')} without a workflow"
        return said


def with_learned(
    options: ServerOptions, paths: Sequence[str | Path], *, flag: str = "--learn"
) -> tuple[ServerOptions, LearnedFiles]:
    """The options of a server that runs the workflows of these files.

    Raises:
        UsageError: a path that names nothing, or a sidecar that cannot be read.
        WorkflowError: a file that is named by itself holds no workflow.
    """
    found = learn_files(paths, options.node_classes, options.era, flag=flag)
    changed = msgspec.structs.replace(
        options,
        catalogue=found.learned.added_to(options.node_classes),
        learned=found.learned,
        class_plans={**options.class_plans, **found.class_plans},
    )
    return changed, found


def learn_files(
    paths: Sequence[str | Path], catalogue: Catalogue, era: Era, *, flag: str = "--learn"
) -> LearnedFiles:
    """What the workflows of these files need beyond a catalogue.

    Raises:
        UsageError: a path that names nothing, or a sidecar that cannot be read.
        WorkflowError: a file that is named by itself holds no workflow.
    """
    learner = Learner(catalogue, era)
    plans: dict[str, Mapping[str, Any]] = {}
    skipped: dict[str, None] = {}
    found = 0
    for path in paths:
        before = found + len(plans)
        for file, alone in _files(str(path), flag):
            if file.name in SIDECARS:
                plans |= _sidecar(file, flag)
                continue
            try:
                found += _learn(learner, file, flag)
            except WorkflowError:
                if alone:
                    raise
                skipped[str(file)] = None
        if found + len(plans) == before:
            raise UsageError(
                f"{flag} {path}: none of its files holds a workflow; give workflows that the web "
                "page saved, or pictures that ComfyUI made"
            )
    return LearnedFiles(learner.learned(), plans, learner.prompts, list(skipped))


def _learn(learner: Learner, file: Path, flag: str) -> int:
    workflows = read_workflows(_content(file, flag), str(file))
    for workflow in workflows:
        learner.add(workflow, f"{file}: {workflow.where}" if workflow.where else str(file))
    return len(workflows)


def _files(path: str, flag: str) -> Iterator[tuple[Path, bool]]:
    """The files that a path names, each with whether it is named by itself."""
    one = Path(path)
    if one.is_dir():
        inside = sorted(each for each in one.rglob("*") if each.is_file())
        wanted = [each for each in inside if _is_wanted(each)]
        if not wanted:
            raise UsageError(
                f"{flag} {path}: the folder holds no .json, .png or .webp file; give one that "
                f"holds workflows"
            )
        yield from ((each, False) for each in wanted)
        return
    if one.exists() or not glob.has_magic(path):
        yield one, True
        return
    # Path.glob wants relative patterns, and people give any.
    fitting = sorted(map(Path, glob.glob(path, recursive=True)))  # noqa: PTH207
    fitting = [each for each in fitting if each.is_file()]
    if not fitting:
        raise UsageError(
            f"{flag} {path}: no file fits this pattern; give a workflow, a folder or a pattern"
        )
    yield from ((each, False) for each in fitting)


def _is_wanted(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES or file.name in SIDECARS


def _content(file: Path, flag: str) -> bytes:
    try:
        if file.stat().st_size > SIZE_MAX:
            raise UsageError(f"{flag} {file}: it is larger than {SIZE_MAX >> 20} MiB")
        return file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{flag} {file}: {reason(error)}; give a workflow, a folder or a pattern"
        ) from None


# --- sidecars --------------------------------------------------------------------------------


def _sidecar(file: Path, flag: str) -> Mapping[str, Mapping[str, Any]]:
    """Class -> keys of a plan."""
    read = _parsed(file, flag)
    if not isinstance(read, Mapping) or not all(isinstance(one, Mapping) for one in read.values()):
        raise UsageError(
            f"{flag} {file}: give classes with their keys, as in KSampler: {{seconds: 1}}"
        )
    plans = {
        str(name): {_OTHER_NAMES.get(str(key), str(key)): value for key, value in keys.items()}
        for name, keys in read.items()
    }
    try:
        NodePlans(classes=plans)
    except ScenarioError as error:
        raise UsageError(f"{flag} {file}: {error}") from None
    return plans


def _parsed(file: Path, flag: str) -> Any:
    data = _content(file, flag)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        if file.suffix == ".json":
            raise UsageError(f"{flag} {file}: not valid JSON ({error})") from None
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError:
        raise UsageError(
            f"{flag} {file}: reading YAML needs PyYAML; 'pip install pyyaml', or write it as JSON"
        ) from None
    try:
        return yaml.safe_load(data)
    except (yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise UsageError(f"{flag} {file}: not valid YAML ({said})") from None
