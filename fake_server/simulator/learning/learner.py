"""Workflows -> the classes, model files and input files that a server needs to run them.

A workflow shows how its classes are used: which inputs they have, of which types, and which of
their outputs lead where. What a catalogue lacks is made of that. Then each workflow is validated as
``POST /prompt`` would, and what is refused although the workflow has it (a choice, a model file, a
number beyond the bounds) is added; so whatever is learned from is accepted. A workflow with a
cycle, or with links to nowhere, is refused as before.
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from comfyrec.errors import WorkflowError
from comfyrec.versions import Era
from comfyrec.workflows import Converter, Workflow
from comfyrec.workflows.graph import Graph, Subgraph
from comfyrec.workflows.page_nodes import is_on_the_page_only
from fake_server.nodes.call import failure
from fake_server.nodes.catalogue import LEARNED_MODULE, WIDENED, Catalogue, NodeClass
from fake_server.nodes.file_checks import self_checked
from fake_server.nodes.learned import Learned
from fake_server.nodes.model_folders import MODEL_FOLDERS
from fake_server.nodes.object_info import free, options_of, set_option, written
from fake_server.nodes.values import Value, is_link
from fake_server.simulator.learning.class_use import ANYTHING, ClassUse
from fake_server.simulator.learning.known_classes import ClassesOf, NewestClasses
from fake_server.simulator.validate import Broken, validate

__all__ = ["Learner"]

NODES_MAX: Final = 20_000
"""Nodes of a workflow that is validated; of a longer one only the classes are learned, for
validating very long chains takes minutes."""
ROUNDS_MAX: Final = 6
"""How often a workflow is looked at again; one refusal may hide the next."""
SLOTS_MAX: Final = 256
"""Outputs that a class may have; a link to a later one leads to nowhere."""
_MEDIA_ENDS: Final = (
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".mp4", ".webm", ".mov", ".mkv",
    ".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".glb", ".latent",
)  # fmt: skip
# The name of an input that is linked between two unknown classes -> the type that it likely is.
_TYPE_WORDS: Final = {
    "image": "IMAGE", "images": "IMAGE", "pixels": "IMAGE", "mask": "MASK", "model": "MODEL",
    "clip": "CLIP", "vae": "VAE", "positive": "CONDITIONING", "negative": "CONDITIONING",
    "conditioning": "CONDITIONING", "latent": "LATENT", "latent_image": "LATENT",
    "samples": "LATENT", "audio": "AUDIO", "video": "VIDEO", "text": "STRING", "string": "STRING",
    "prompt": "STRING",
}  # fmt: skip
_UPLOADS: Final = ("image_upload", "audio_upload", "video_upload", "file_upload")
_FREED: Final = ("required_input_missing", "return_type_mismatch", "invalid_input_type")
_SIDES: Final = {"value_smaller_than_min": "min", "value_bigger_than_max": "max"}


class Learner:
    """Collects what workflows use, against one catalogue.

    Args:
        catalogue: what is known already.
        era: of the server that shall run them.
    """

    def __init__(self, catalogue: Catalogue, era: Era) -> None:
        self._base, self._era = catalogue, era
        self._prompts: list[tuple[str, Mapping[str, Any]]] = []
        self._uses: dict[str, ClassUse] = {}
        self._newer = NewestClasses(catalogue)
        self._entries: dict[str, dict[str, Any]] = {}
        self._models: dict[str, dict[str, None]] = {}
        self._loaders: dict[str, dict[str, str]] = {}
        self._files: dict[str, None] = {}
        self._folders: dict[str, str] = {}  # model file -> folder, where a workflow says it
        self._notes: dict[str, None] = {}
        self._current: Catalogue | None = None
        self._classes_only = False
        self._classes = ClassesOf(catalogue, self._newer)
        self._converter = Converter(self._classes)

    @property
    def prompts(self) -> list[tuple[str, Mapping[str, Any]]]:
        """What was added, in API format, each with its name."""
        return list(self._prompts)

    def add(self, workflow: Workflow, where: str) -> None:
        """Take one workflow.

        Args:
            where: how notes and errors name it.

        Raises:
            WorkflowError: it cannot be converted.
        """
        prompt = workflow.graph
        if workflow.format == "ui":
            converted = self._converter.to_prompt(workflow.graph, where=where)
            prompt = converted.prompt
            self._look_at_page(converted.graphs)
        self.add_prompt(prompt, where)

    def add_prompt(self, prompt: Mapping[str, Any], where: str) -> None:
        """Take one prompt in API format.

        Raises:
            WorkflowError: a node of it is not an object with a class_type and inputs.
        """
        for node_id, node in prompt.items():
            if not isinstance(node, Mapping) or not isinstance(node.get("class_type"), str):
                raise WorkflowError(where, f"node {node_id!r} has no class_type")
            if not isinstance(node.get("inputs", {}), Mapping):
                raise WorkflowError(where, f"the inputs of node {node_id!r} are not an object")
        self._prompts.append((where, prompt))

    def learned(self, *, classes_only: bool = False) -> Learned:
        """What all workflows that were added need.

        Args:
            classes_only: nothing else than classes that the catalogue lacks, or knows from
                workflows alone.
        """
        self._classes_only = classes_only
        for _, prompt in self._prompts:
            self._look_at(prompt)
        for name, use in self._uses.items():
            self._entries[name] = self._entry_of(name, use)
        for where, prompt in self._prompts:
            self._accept(where, prompt)
        return Learned(
            classes=self._entries,
            new=[name for name in self._entries if name not in self._base],
            models={folder: list(names) for folder, names in self._models.items()},
            loaders=self._loaders,
            files=list(self._files),
            workflows=len(self._prompts),
            notes=list(self._notes),
        )

    # --- what a workflow shows ---------------------------------------------------------------

    def _look_at_page(self, graphs: Sequence[Graph]) -> None:
        """The slots and model files that a workflow of the web page names itself."""
        subgraphs = {graph.id for graph in graphs if isinstance(graph, Subgraph)}
        for graph in graphs:
            for node in graph.nodes.values():
                for model in node.properties.get("models") or ():
                    self._note_model(model)
                if node.type in subgraphs or node.type in self._classes:
                    continue
                if is_on_the_page_only(node.type, self._classes):
                    continue
                use = self._use(node.type)
                for each in node.inputs:
                    use.take_type(each.name, each.type)
                for slot, kind in enumerate(node.output_types):
                    use.take_output(slot, kind)

    def _note_model(self, model: Any) -> None:
        if isinstance(model, Mapping):
            name, folder = model.get("name"), model.get("directory")
            if isinstance(name, str) and isinstance(folder, str) and folder in MODEL_FOLDERS:
                self._folders[name] = folder

    def _use(self, name: str) -> ClassUse:
        return self._uses.setdefault(name, ClassUse())

    def _is_known(self, name: str) -> bool:
        return name in self._classes

    def _look_at(self, prompt: Mapping[str, Any]) -> None:
        taken = {value[0] for _, value in _links(prompt)}
        meant = {one for one in self._misspelled(prompt) if one not in taken}
        for node_id, node in prompt.items():
            name = node["class_type"]
            if name in self._newer and name not in self._entries:
                self._entries[name] = dict(self._newer[name])
            shows = node_id not in taken and node_id not in meant
            if not self._is_known(name):
                use = self._use(name)
                use.take_node(shows=shows)
                self._look_at_inputs(use, node, prompt, meant)
            elif self._entry(name).get("python_module") == LEARNED_MODULE:
                use = ClassUse()
                use.take_node(shows=shows)
                self._look_at_inputs(use, node, prompt, meant)
                self._extend(name, use)
        for (target, key), value in _links(prompt):
            source = prompt.get(value[0])
            if source is not None and not self._is_known(source["class_type"]):
                use = self._use(source["class_type"])
                if 0 <= value[1] < SLOTS_MAX:
                    wanted = self._type_wanted(prompt[target]["class_type"], key)
                    use.take_output(int(value[1]), wanted)
                else:
                    use.take_output(0, ANYTHING)
        for name in {prompt[one]["class_type"] for one in meant} & self._uses.keys():
            self._use(name).take_output(0, ANYTHING)

    def _entry(self, name: str) -> Mapping[str, Any]:
        return self._entries.get(name) or self._classes[name]

    def _extend(self, name: str, use: ClassUse) -> None:
        """What a class that was learned before is used for beyond that."""
        old, new = self._entry(name), use.entry(name, {})
        declared = {key for section in old["input"].values() for key in section or ()}
        more = {
            key: spec
            for section in new["input"].values()
            for key, spec in section.items()
            if key not in declared
        }
        shows = use.shows and not old.get("output_node")
        if more or shows:
            entry = self._own_entry(name)
            entry["input"]["optional"] = {**(entry["input"].get("optional") or {}), **more}
            entry["input_order"] = {
                section: list(keys or ()) for section, keys in entry["input"].items()
            }
            entry["output_node"] = bool(entry.get("output_node")) or use.shows

    def _misspelled(self, prompt: Mapping[str, Any]) -> Iterator[str]:
        """Nodes that lists name which are no links: ``[4, 0]``, ``["4", "0"]``."""
        for node in prompt.values():
            for value in node.get("inputs", {}).values():
                if isinstance(value, list) and len(value) == 2 and not is_link(value):
                    source = prompt.get(str(value[0]))
                    entry = None if source is None else self._classes.get(source["class_type"])
                    if source is not None and not (entry or {}).get("output_node"):
                        yield str(value[0])

    def _look_at_inputs(
        self, use: ClassUse, node: Mapping[str, Any], prompt: Mapping[str, Any], meant: set[str]
    ) -> None:
        """
        Args:
            meant: what is linked to only in a way that the server will refuse.
        """
        for key, value in node.get("inputs", {}).items():
            if is_link(value):
                source = prompt.get(value[0])
                kind = ANYTHING if source is None else self._type_given(source, value[1])
                use.take_input(key, kind)
            elif isinstance(value, list) and len(value) == 2 and str(value[0]) in meant:
                use.take_input(key, ANYTHING)
            else:
                use.take_value(key, value)

    def _type_given(self, source: Mapping[str, Any], slot: float) -> str:
        name = source["class_type"]
        if not self._is_known(name):
            outputs = self._uses[name].outputs if name in self._uses else []
            return outputs[int(slot)] if 0 <= slot < len(outputs) else ANYTHING
        output = self._classes[name].get("output") or ()
        kind = output[int(slot)] if 0 <= slot < len(output) else ANYTHING
        return kind if isinstance(kind, str) else "COMBO"

    def _type_wanted(self, name: str, key: str) -> str:
        if not self._is_known(name):
            return self._uses[name].types.get(key) or _TYPE_WORDS.get(key.lower(), ANYTHING)
        for section in ("required", "optional"):
            spec = (self._classes[name].get("input", {}).get(section) or {}).get(key)
            if spec:
                return spec[0] if isinstance(spec[0], str) else "COMBO"
        return ANYTHING

    def _entry_of(self, name: str, use: ClassUse) -> dict[str, Any]:
        folders = {} if self._classes_only else use.folders(name)
        if folders:
            self._loaders.setdefault(name, {}).update(folders)
        if use.mixed:
            listed = ", ".join(map(repr, use.mixed))
            self._notes[f"{name!r} is used with several types of {listed}; it takes any"] = None
        return use.entry(name, folders)

    # --- what is refused of it ---------------------------------------------------------------

    def _accept(self, where: str, prompt: Mapping[str, Any]) -> None:
        """Add whatever is needed until the prompt is accepted, or nothing more helps."""
        for _, value in _links(prompt):
            self._reach_output(prompt, value)
        if not self._classes_only:
            self._learn_files(prompt)
        if len(prompt) > NODES_MAX:
            return
        problems: list[tuple[str | None, Mapping[str, Any]]] = []
        for _ in range(ROUNDS_MAX):
            problems = list(self._problems(prompt))
            mended = [self._mend(prompt, *one) for one in problems]
            if not any(mended):
                break
            self._current = None
        if self._classes_only:
            return
        self._let_run(prompt)
        for node_id, problem in problems[:1]:
            said = f"{problem['message']}: {problem['details']}".rstrip(": ")
            at = "" if node_id is None else f"node {node_id}: "
            self._notes[f"{where} is refused all the same ({at}{said})"] = None

    def _problems(
        self, prompt: Mapping[str, Any]
    ) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
        """What is refused, each with the node that it is said of; None for all of the prompt."""
        try:
            verdict = validate(
                # Literals are converted where they stand.
                {one: _own_copy(node) for one, node in prompt.items()},
                None,
                catalogue=self._catalogue(),
                era=self._era,
                checks=lambda kind, given: (),
                checked=self_checked,
            )
        except (Broken, RecursionError):
            return
        if isinstance(verdict.node_errors, Mapping):
            for node_id, entry in verdict.node_errors.items():
                yield from ((node_id, problem) for problem in entry["errors"])
        if verdict.error is not None and not verdict.node_errors:
            yield None, verdict.error

    def _let_run(self, prompt: Mapping[str, Any]) -> None:
        """A core node that would fail on how it is called is one of another version."""
        catalogue = self._catalogue()
        for node in prompt.values():
            kind = catalogue.get(node["class_type"])
            if kind is not None and kind.core and failure(kind, _given(kind, node), literals=True):
                self._own_entry(kind.name)

    def _catalogue(self) -> Catalogue:
        """What is known by now; made anew after something was added."""
        if self._current is None:
            self._current = self._base.with_learned(self._entries, self._models, self._loaders)
        return self._current

    def _mend(
        self, prompt: Mapping[str, Any], node_id: str | None, problem: Mapping[str, Any]
    ) -> bool:
        """Add what a refusal says is missing; whether anything was added."""
        if node_id is None:
            return False
        key = problem.get("extra_info", {}).get("input_name")
        node = prompt[node_id]
        name, value = node["class_type"], node.get("inputs", {}).get(key)
        kind = problem["type"]
        if not isinstance(key, str) or not self._may_change(name):
            return False
        if kind == "value_not_in_list":
            return self._offer(name, key, value)
        entry = self._own_entry(name)
        if "." in key and written(entry, key) is None:
            # An input that another one brings; which ones it brings is no longer asked then.
            return free(entry, key.partition(".")[0])
        if kind in _SIDES:
            return set_option(entry, key, _SIDES[kind], value)
        return kind in _FREED and free(entry, key)

    def _may_change(self, name: str) -> bool:
        entry = self._entry(name)
        return not self._classes_only or entry.get("python_module") == LEARNED_MODULE

    def _own_entry(self, name: str) -> dict[str, Any]:
        """The entry of a class, to be written into."""
        self._current = None
        if name not in self._entries:
            self._entries[name] = copy.deepcopy(dict(self._classes[name]))
        entry = self._entries[name]
        if entry.get("python_module") != LEARNED_MODULE and WIDENED not in entry:
            entry = self._entries[name] = {**copy.deepcopy(entry), WIDENED: True}
        return entry

    def _offer(self, name: str, key: str, value: Any) -> bool:
        """Let a list have one more choice: a model file of its folder, or a word of its own."""
        folder = self._base.folder_of(name, key) or self._loaders.get(name, {}).get(key)
        if folder is not None and isinstance(value, str):
            files = self._models.setdefault(folder, {})
            new = value not in files
            files[value] = None
            return new
        entry = self._own_entry(name)
        top = key.partition(".")[0]
        spec = written(entry, key)
        if spec is None or top != key:
            return free(entry, top)
        if isinstance(spec[0], list):
            spec[0] = [*spec[0], value]
        elif isinstance(options_of(spec).get("options"), list):
            spec[1] = {**spec[1], "options": [*spec[1]["options"], value]}
        else:
            return free(entry, key)
        return True

    def _reach_output(self, prompt: Mapping[str, Any], link: Sequence[Any]) -> None:
        """A link to an output that a known class does not have is one of a newer version."""
        source = prompt.get(link[0])
        if source is None or not 0 <= link[1] < SLOTS_MAX:
            return
        name, slots = source["class_type"], int(link[1]) + 1
        if not self._may_change(name):
            return
        entry = self._entry(name)
        output = list(entry.get("output") or ())
        if len(output) < slots:
            more = [ANYTHING] * (slots - len(output))
            entry = self._own_entry(name)
            entry["output"] = [*output, *more]
            for field, fill in (("output_is_list", False), ("output_name", ANYTHING)):
                entry[field] = [*(entry.get(field) or ()), *([fill] * len(more))]

    def _learn_files(self, prompt: Mapping[str, Any]) -> None:
        """The input files that nodes name, and the model files whose folders are said."""
        for node in prompt.values():
            kind = self._base.get(node["class_type"])
            for key, value in node.get("inputs", {}).items():
                if not isinstance(value, str):
                    continue
                one = kind.inputs.get(key) if kind is not None else None
                upload = one is not None and any(one.options.get(flag) for flag in _UPLOADS)
                loads = None if kind is None else kind.behaviour.file
                named = loads is not None and loads.input == key
                if upload or named or (kind is None and _is_media(value)):
                    self._files[value] = None
                folder = self._folders.get(posixpath.basename(value.replace("\\", "/")))
                if folder is not None and value not in self._base.models.get(folder, ()):
                    self._models.setdefault(folder, {})[value] = None
                    self._current = None


# --- entries ---------------------------------------------------------------------------------


def _links(prompt: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], list[Any]]]:
    for node_id, node in prompt.items():
        for key, value in node.get("inputs", {}).items():
            if is_link(value):
                yield (node_id, key), value


def _given(kind: NodeClass, node: Mapping[str, Any]) -> dict[str, Value]:
    """What a call of a node would be given, as far as it can be known before it runs."""
    inputs = node.get("inputs", {})
    declared = kind.finalized(inputs)
    return {
        key: Value() if is_link(value) else Value(literal=value, known=True)
        for key, value in inputs.items()
        if is_link(value) or key in declared
    }


def _own_copy(node: Mapping[str, Any]) -> dict[str, Any]:
    inputs = node.get("inputs")
    if not isinstance(inputs, Mapping):
        return dict(node)
    own = {key: [*value] if isinstance(value, list) else value for key, value in inputs.items()}
    return {**node, "inputs": own}


def _is_media(value: str) -> bool:
    return value.lower().removesuffix(" [input]").endswith(_MEDIA_ENDS)
